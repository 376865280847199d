import BenchmarkReport
import CEtcdLoad
import Glibc

/// One member of etcd on loopback, with its data beside the store's.
final class EtcdServer {
    private let path: String
    private var process = pid_t()
    private let port: UInt16

    /// Starts Debian's etcd and waits until it answers; nil when it is not installed.
    init?(_ path: String) {
        self.path = path
        let (client, peer) = (Self.freePort(), Self.freePort())
        port = client
        let (clients, peers) = ("http://127.0.0.1:\(client)", "http://127.0.0.1:\(peer)")
        let words = [
            "etcd", "--data-dir", path, "--log-level", "error", "--listen-client-urls", clients,
            "--advertise-client-urls", clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
            "--initial-cluster", "default=\(peers)",
        ]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) } + [nil]
        defer { for argument in arguments { free(argument) } }
        guard posix_spawnp(&process, "etcd", nil, nil, &arguments, environ) == 0 else { return nil }
        let deadline = now() + 20_000_000_000
        while !isReachable {
            if now() > deadline { fail("etcd does not answer") }
            usleep(50_000)
        }
    }

    func stop() {
        kill(process, SIGTERM)
        waitpid(process, nil, 0)
        removeDirectory(path)
    }

    /// Puts of `valueSize` bytes for some seconds: the latencies in nanoseconds.
    func put(connections: UInt32, inFlight: UInt32, valueSize: Int, seconds: Double, prefix: String) -> [UInt64] {
        let capacity = 4_000_000
        var error = [CChar](repeating: 0, count: 256)
        return prefix.withCString { prefix in
            "127.0.0.1".withCString { host in
                var load = etcd_load(
                    host: host, port: port, connections: connections, in_flight: inFlight,
                    value_size: UInt32(valueSize), prefix: prefix, nanoseconds: UInt64(seconds * 1e9))
                return [UInt64](unsafeUninitializedCapacity: capacity) { latencies, count in
                    let done = etcd_load_run(&load, latencies.baseAddress!, capacity, &error, error.count)
                    if done < 0 {
                        fail(
                            "etcd: "
                                + String(
                                    decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
                    }
                    count = min(Int(done), capacity)
                }
            }
        }
    }

    private var isReachable: Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = Self.loopback(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
            sin_addr: in_addr(s_addr: UInt32(0x7F00_0001).bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
    }

    /// A port of loopback that nobody listened on a moment ago.
    private static func freePort() -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
            }
        }
        if result != 0 { fail("no port of loopback is free") }
        return UInt16(bigEndian: address.sin_port)
    }
}
