import Glibc
import PluginKit

/// What the kernel has to allow for pods to reach each other and the outside.
package enum HostSettings {
    /// Lets the kernel forward between pods and to the outside, and lets node ports at 127.0.0.1 reach pods.
    package static func enableForwarding(bridge: String, log: Log) throws {
        let forwarding = "/proc/sys/net/ipv4/ip_forward"
        if read(forwarding) != "1" {
            guard write("1", to: forwarding) else {
                throw NetworkError.file(
                    path: forwarding,
                    reason:
                        "forwarding cannot be enabled: \(String(cString: strerror(errno))); set net.ipv4.ip_forward=1")
            }
        }
        if !write("1", to: "/proc/sys/net/ipv4/conf/\(bridge)/route_localnet") {
            log.warning("node ports will not answer at 127.0.0.1: \(String(cString: strerror(errno)))")
        }
    }

    /// Ends IPv6 on the bridge: nothing of this network speaks it, and what pods sent to the host by it would pass no rule.
    package static func disableIPv6(bridge: String, log: Log) {
        let path = "/proc/sys/net/ipv6/conf/\(bridge)/disable_ipv6"
        guard access(path, F_OK) == 0 else { return }
        if !write("1", to: path) {
            log.warning(
                "pods can reach the host by IPv6, past all policies: \(String(cString: strerror(errno)))",
                ["file": .string(path)])
        }
    }

    /// Whether the kernel shows the packets that a bridge carries between its ports to the rules for forwarded packets
    /// (br_netfilter). Where it does not, pods must not reach each other past the host: a pod that makes its own Ethernet
    /// frames would pass no rule. Where it does, they pass rules anyway, and translated packets go from port to port.
    static var bridgesPassIPFilters: Bool { read("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1" }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        let character = getc(file)
        return character < 0 ? nil : String(UnicodeScalar(UInt8(truncatingIfNeeded: character)))
    }

    private static func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
    }
}
