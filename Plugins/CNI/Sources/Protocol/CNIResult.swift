import Objects
import PodNetworking

/// What ADD answers, in any version of the specification.
struct CNIResult: Sendable, Equatable {
    struct Interface: Sendable, Equatable {
        let name: String
        let mac: String
        /// Path of a namespace; "" = the host's.
        let sandbox: String
    }
    struct Address: Sendable, Equatable {
        let address: IPv4Address
        let prefixLength: Int
        let gateway: IPv4Address?
        /// Index of the interface that has it, where the plugin says so.
        let interface: Int?
    }

    /// As the last plugin wrote it: later runs are given this.
    let json: JSON
    let interfaces: [Interface]
    /// IPv4 only.
    let addresses: [Address]

    init(_ json: JSON) {
        self.json = json
        interfaces = json["interfaces"].arrayValue.map { entry in
            Interface(
                name: entry["name"].stringValue ?? "", mac: entry["mac"].stringValue ?? "",
                sandbox: entry["sandbox"].stringValue ?? "")
        }
        // Before version 0.3.0 there was one address of each family, and no interfaces.
        let old = json["ip4"].exists ? [["address": json["ip4"]["ip"], "gateway": json["ip4"]["gateway"]] as JSON] : []
        addresses = (old + json["ips"].arrayValue).compactMap { entry in
            let parts = (entry["address"].stringValue ?? "").split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let address = IPv4Address(parsing: parts[0]), let length = Int(parts[1]),
                (0...32).contains(length)
            else { return nil }
            return Address(
                address: address, prefixLength: length,
                gateway: entry["gateway"].stringValue.flatMap { IPv4Address(parsing: $0) },
                interface: entry["interface"].integerValue.map { Int($0) })
        }
    }

    /// The pod's end, where the plugin tells of it.
    func inside(_ request: CNIRequest) -> Interface? {
        interfaces.first { $0.name == request.interface && !$0.sandbox.isEmpty }
    }

    /// The host's end: a bridge, when there is one, is named first.
    var outside: Interface? { interfaces.last { $0.sandbox.isEmpty } }

    /// The address at the pod's interface.
    func address(_ request: CNIRequest) -> Address? {
        addresses.first { address in
            guard let index = address.interface, interfaces.indices.contains(index) else { return true }
            return interfaces[index].name == request.interface && !interfaces[index].sandbox.isEmpty
        }
    }

    /// The role's result: the current form of the specification.
    var current: JSON {
        guard json["ip4"].exists, let first = addresses.first else {
            return [
                "interfaces": json["interfaces"].exists ? json["interfaces"] : [],
                "ips": json["ips"].exists ? json["ips"] : [], "routes": json["routes"].exists ? json["routes"] : [],
                "dns": json["dns"].exists ? json["dns"] : [:],
            ]
        }
        var address: JSON = ["address": .string("\(first.address)/\(first.prefixLength)")]
        if let gateway = first.gateway { address["gateway"] = .string(gateway.description) }
        return [
            "interfaces": [], "ips": [address], "routes": json["ip4"]["routes"].exists ? json["ip4"]["routes"] : [],
            "dns": json["dns"].exists ? json["dns"] : [:],
        ]
    }
}
