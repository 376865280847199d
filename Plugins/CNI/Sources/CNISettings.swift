import Objects
import PluginKit
import PodNetworking

/// The plugin's configuration, checked.
struct CNISettings: Sendable {
    let configurationDirectory: String
    /// Name of the network to use; "" = the first.
    let network: String
    let binaryDirectories: [String]
    /// For one run of a plugin, in milliseconds.
    let timeout: Int64
    let bridge: String
    let mtu: Int
    let podRange: IPv4Range
    let serviceRange: IPv4Range
    let routesHost: Bool
    let dataDirectory: String

    /// The host's address on the bridge: the first of the pods' range.
    var gateway: IPv4Address { podRange.address(at: 1) }

    /// The table of nf_tables.
    var table: String { bridge == "hostd0" ? "hostd-cni" : "hostd-cni-\(bridge)" }

    /// The table of policies: the same that hostd's own network has, so that a swap leaves no moment without one.
    var policyTable: String { bridge == "hostd0" ? "hostd-policies" : "hostd-policies-\(bridge)" }

    /// Where the built-in network's addresses are, and the journal.
    var directory: String { "\(dataDirectory)/pod-network/cni" }

    static let optionsSchema = """
        {"type":"object","additionalProperties":false,"properties":{
        "configurationDirectory":{"type":"string","default":"/etc/cni/net.d","minLength":1,
        "description":"Directory of CNI configurations (.conflist, .conf). The first in the order of names counts; \
        without any, a built-in network with the plugins bridge and host-local is used."},
        "network":{"type":"string","default":"",
        "description":"Name of the network among them; empty: the first."},
        "binaryDirectories":{"type":"array","items":{"type":"string","minLength":1},"minItems":1,
        "default":["/opt/cni/bin","/usr/lib/cni"],"description":"Where the plugins' programs are."},
        "timeoutSeconds":{"type":"integer","default":30,"minimum":1,"maximum":600,
        "description":"How long one run of a plugin may take."},
        "bridge":{"type":"string","default":"hostd0","pattern":"^[A-Za-z0-9_.-]{1,15}$",
        "description":"The bridge of the built-in network, which has the host's address towards pods."},
        "mtu":{"type":"integer","default":0,"minimum":0,"maximum":65535,
        "description":"Largest packet on the built-in network's links, in bytes; 0 leaves the kernel's default."},
        "hostRouting":{"type":"string","enum":["auto","off"],"default":"auto",
        "description":"Whether the host's own connections to services are routed."}
        }}
        """

    init(_ configuration: PluginConfiguration) throws {
        let options = configuration.options
        let settings = configuration.settings
        configurationDirectory = options["configurationDirectory"].stringValue ?? "/etc/cni/net.d"
        network = options["network"].stringValue ?? ""
        let directories = options["binaryDirectories"].arrayValue.compactMap(\.stringValue)
        binaryDirectories = directories.isEmpty ? ["/opt/cni/bin", "/usr/lib/cni"] : directories
        guard binaryDirectories.allSatisfy({ $0.hasPrefix("/") && !$0.utf8.contains(UInt8(ascii: ":")) }) else {
            throw PluginError.invalid("options.binaryDirectories: only absolute paths without ':'")
        }
        timeout = min(max(options["timeoutSeconds"].integerValue ?? 30, 1), 600) * 1000
        bridge = options["bridge"].stringValue ?? "hostd0"
        mtu = Int(min(max(options["mtu"].integerValue ?? 0, 0), 65535))
        podRange = try Self.range(settings, "podRange", default: "10.244.0.0/24")
        serviceRange = try Self.range(settings, "serviceRange", default: "10.96.0.0/16")
        guard podRange.prefixLength <= 29, podRange.prefixLength >= 8 else {
            throw PluginError.invalid("settings.podRange: \(podRange) must have a prefix length from 8 to 29")
        }
        guard !podRange.overlaps(serviceRange) else {
            throw PluginError.invalid("settings.podRange \(podRange) and settings.serviceRange \(serviceRange) overlap")
        }
        routesHost = options["hostRouting"].stringValue != "off"
        dataDirectory = configuration.dataDirectory
    }

    private static func range(_ settings: JSON, _ key: String, default text: String) throws -> IPv4Range {
        let text = settings[key].stringValue ?? text
        guard let range = IPv4Range(parsing: text) else {
            throw PluginError.invalid("settings.\(key): \"\(text)\" is no IPv4 block such as 10.244.0.0/24")
        }
        return range
    }

    /// The network of a machine where nobody has configured one: pods on the same bridge and with the same addresses as
    /// in hostd's own network. Masquerading and host ports are done by hostd's table.
    func builtInList() throws(CNIError) -> NetworkList {
        var bridge: JSON = [
            "type": "bridge", "bridge": .string(bridge), "isGateway": true, "isDefaultGateway": true,
            "hairpinMode": true, "ipMasq": false,
            "ipam": [
                "type": "host-local", "dataDir": .string("\(directory)/addresses"),
                "ranges": [[["subnet": .string(podRange.description), "gateway": .string(gateway.description)]]],
            ],
        ]
        if mtu > 0 { bridge["mtu"] = JSON(mtu) }
        return try NetworkList(
            ["cniVersion": "1.0.0", "name": "hostd", "plugins": [bridge]], source: "the built-in network")
    }
}
