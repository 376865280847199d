import PodNetworking
import Objects
import PluginKit

/// The plugin's configuration, checked.
struct NetworkSettings: Sendable {
    /// By what pods' connections to services are routed.
    enum PodRouting: String, Sendable {
        /// eBPF, and nftables where that is not to be had.
        case auto
        case ebpf
        case nftables
    }

    /// By what the connections of the host's own processes are routed.
    enum HostRouting: String, Sendable {
        /// nftables in hostd's network namespace; no other process outside of it is touched.
        case auto
        /// Also eBPF for the control groups in `hostCgroups`, or hostd's own.
        case cgroup
        /// Also eBPF at the root of the hierarchy: all processes of hostd's network namespace.
        case root
        case off
    }

    let bridge: String
    /// In bytes, 0 = the kernel's default.
    let mtu: Int
    let podRange: IPv4Range
    let serviceRange: IPv4Range
    let podRouting: PodRouting
    let hostRouting: HostRouting
    /// Directory of the control group that all pods are under; nil = the v2 mount and `cgroupParent`.
    let cgroup: String?
    let hostCgroups: [String]
    let cgroupParent: String
    let pluginDirectory: String
    /// Where attachments and routing paths are written down, for whichever plugin provides the network.
    let dataDirectory: String
    let programs: String
    /// Tells instances on one machine apart.
    let identity: String

    /// The table of nf_tables.
    var table: String { bridge == "hostd0" ? "hostd" : "hostd-\(bridge)" }

    /// The table of nf_tables that holds the rules of policies.
    var policyTable: String { bridge == "hostd0" ? "hostd-policies" : "hostd-policies-\(bridge)" }

    /// The host's address on the bridge: the first of the pods' range.
    var gateway: IPv4Address { podRange.address(at: 1) }

    static let optionsSchema = """
        {"type":"object","additionalProperties":false,"properties":{
        "bridge":{"type":"string","default":"hostd0","pattern":"^[A-Za-z0-9_.-]{1,15}$",
        "description":"Name of the bridge that pods are attached to."},
        "mtu":{"type":"integer","default":0,"minimum":0,"maximum":65535,
        "description":"Largest packet on pods' links, in bytes; 0 leaves the kernel's default."},
        "podRouting":{"type":"string","enum":["auto","ebpf","nftables"],"default":"auto",
        "description":"How pods' connections to services are routed: auto takes eBPF where the kernel has it."},
        "hostRouting":{"type":"string","enum":["auto","cgroup","root","off"],"default":"auto",
        "description":"How the host's own connections to services are routed: auto by nftables in hostd's network \
        namespace, cgroup also by eBPF at hostCgroups, root by eBPF at the root control group, off not at all."},
        "cgroup":{"type":"string","default":"",
        "description":"Control group directory (v2) that all pods are under; empty: the settings' cgroupParent."},
        "hostCgroups":{"type":"array","items":{"type":"string"},"default":[],
        "description":"Control group directories (v2) of host processes for hostRouting: cgroup; empty: hostd's own."}
        }}
        """

    init(_ configuration: PluginConfiguration) throws {
        let options = configuration.options
        let settings = configuration.settings
        bridge = options["bridge"].stringValue ?? "hostd0"
        mtu = Int(options["mtu"].integerValue ?? 0)
        podRange = try Self.range(settings, "podRange", default: "10.244.0.0/24")
        serviceRange = try Self.range(settings, "serviceRange", default: "10.96.0.0/16")
        guard podRange.prefixLength <= 29, podRange.prefixLength >= 8 else {
            throw PluginError.invalid("settings.podRange: \(podRange) must have a prefix length from 8 to 29")
        }
        guard !podRange.overlaps(serviceRange) else {
            throw PluginError.invalid("settings.podRange \(podRange) and settings.serviceRange \(serviceRange) overlap")
        }
        podRouting = try Self.choice(options, "podRouting", default: .auto)
        hostRouting = try Self.choice(options, "hostRouting", default: .auto)
        let cgroup = options["cgroup"].stringValue ?? ""
        self.cgroup = cgroup.isEmpty ? nil : cgroup
        hostCgroups = options["hostCgroups"].arrayValue.compactMap(\.stringValue)
        cgroupParent = settings["cgroupParent"].stringValue ?? "hostd"
        guard !cgroupParent.split(separator: "/").contains(".."), !cgroupParent.split(separator: "/").isEmpty else {
            throw PluginError.invalid(
                "settings.cgroupParent: \"\(cgroupParent)\" must name a control group below the root")
        }
        pluginDirectory = configuration.pluginDirectory
        dataDirectory = configuration.dataDirectory
        programs = "\(configuration.libexecDirectory)/service.bpf.o"
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in configuration.pluginDirectory.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        identity = String(hash, radix: 16)
    }

    private static func range(_ settings: JSON, _ key: String, default text: String) throws -> IPv4Range {
        let text = settings[key].stringValue ?? text
        guard let range = IPv4Range(parsing: text) else {
            throw PluginError.invalid("settings.\(key): \"\(text)\" is no IPv4 block such as 10.244.0.0/24")
        }
        return range
    }

    private static func choice<Choice: RawRepresentable<String>>(
        _ options: JSON, _ key: String, default choice: Choice
    ) throws -> Choice {
        guard let text = options[key].stringValue else { return choice }
        guard let value = Choice(rawValue: text) else {
            throw PluginError.invalid("options.\(key): \"\(text)\" is not one of the allowed values")
        }
        return value
    }
}
