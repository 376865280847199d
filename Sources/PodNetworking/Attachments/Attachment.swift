import Objects

/// A pod's place in the network: what attach made. Written down as JSON before anything is made, and handed over in a swap
/// in the same form (hostd.network.state/1 in hostd/roles/network.h).
package struct Attachment: Hashable, Sendable {
    package let sandbox: String
    package let address: IPv4Address
    /// Leading bits of the pod's network, and the address that it sends everything else to; nil: the provider's own.
    package var prefixLength: Int?
    package var gateway: IPv4Address?
    /// The host's end of the link.
    package var hostName: String
    package let interfaceName: String
    package let networkNamespace: String
    /// Number of the pod's network namespace; 0 before it is known.
    package var namespaceCookie: UInt64
    package var macAddress: MACAddress
    package let podNamespace: String
    package let podName: String
    package let portMappings: [PortMapping]
    /// Whether the pod answers its neighbours past the host, so that the host has to show its own address to it.
    package var answersDirectly = false
    /// Whether something else than hostd's rules maps the pod's host ports.
    package var mapsPortsItself = false

    /// A link as the default network makes it: names and the MAC follow from sandbox and address.
    package init(_ request: AttachmentRequest, address: IPv4Address) {
        sandbox = request.sandbox
        self.address = address
        hostName = Self.hostName(sandbox: request.sandbox)
        interfaceName = request.interfaceName
        networkNamespace = request.networkNamespace
        namespaceCookie = 0
        macAddress = MACAddress(for: address)
        podNamespace = request.podNamespace
        podName = request.podName
        portMappings = request.portMappings
    }

    /// The same link for a repeated request, which may name other ports or another path of the namespace.
    package func requested(by request: AttachmentRequest) -> Attachment {
        var attachment = Attachment(request, address: address)
        attachment.prefixLength = prefixLength
        attachment.gateway = gateway
        attachment.hostName = hostName
        attachment.namespaceCookie = namespaceCookie
        attachment.macAddress = macAddress
        attachment.answersDirectly = answersDirectly
        attachment.mapsPortsItself = mapsPortsItself
        return attachment
    }

    /// Reads what `json` wrote; nil when something is missing or malformed.
    package init?(_ json: JSON) {
        let parts = (json["address"].stringValue ?? "").split(separator: "/", omittingEmptySubsequences: false)
        guard let sandbox = json["sandboxID"].stringValue, AttachmentRequest.isValidID(sandbox),
            (1...2).contains(parts.count), let address = IPv4Address(parsing: parts[0]),
            let hostName = json["hostName"].stringValue, let interfaceName = json["interfaceName"].stringValue,
            let networkNamespace = json["networkNamespace"].stringValue,
            let cookie = UInt64(json["namespaceCookie"].stringValue ?? "0")
        else { return nil }
        if parts.count == 2 {
            guard let length = Int(parts[1]), (0...32).contains(length) else { return nil }
            prefixLength = length
        }
        var mappings: [PortMapping] = []
        for entry in json["portMappings"].arrayValue {
            do { mappings.append(try PortMapping(entry)) } catch { return nil }
        }
        self.sandbox = sandbox
        self.address = address
        self.hostName = hostName
        self.interfaceName = interfaceName
        self.networkNamespace = networkNamespace
        namespaceCookie = cookie
        macAddress = json["mac"].stringValue.flatMap { MACAddress(parsing: $0) } ?? MACAddress(for: address)
        gateway = json["gateway"].stringValue.flatMap { IPv4Address(parsing: $0) }
        podNamespace = json["podNamespace"].stringValue ?? ""
        podName = json["podName"].stringValue ?? ""
        portMappings = mappings
        answersDirectly = json["answersDirectly"].boolValue ?? false
        mapsPortsItself = json["mapsPortsItself"].boolValue ?? false
    }

    package var json: JSON {
        var json: JSONObject = [
            "sandboxID": .string(sandbox),
            "address": .string(prefixLength.map { "\(address)/\($0)" } ?? address.description),
            "hostName": .string(hostName), "interfaceName": .string(interfaceName),
            "networkNamespace": .string(networkNamespace), "namespaceCookie": .string(String(namespaceCookie)),
            "mac": .string(macAddress.description), "podNamespace": .string(podNamespace), "podName": .string(podName),
            "portMappings": .array(portMappings.map(\.json)),
        ]
        if let gateway { json["gateway"] = .string(gateway.description) }
        if answersDirectly { json["answersDirectly"] = true }
        if mapsPortsItself { json["mapsPortsItself"] = true }
        return .object(json)
    }

    /// CNI's result. `range` and `gateway` stand in for what the attachment does not say itself.
    package func result(range: IPv4Range, gateway own: IPv4Address) -> JSON {
        let gateway = JSON.string((gateway ?? own).description)
        return [
            "interfaces": [
                ["name": .string(hostName), "sandbox": ""],
                [
                    "name": .string(interfaceName), "mac": .string(macAddress.description),
                    "sandbox": .string(networkNamespace),
                ],
            ],
            "ips": [
                [
                    "address": .string("\(address)/\(prefixLength ?? range.prefixLength)"), "gateway": gateway,
                    "interface": 1,
                ]
            ],
            "routes": [["dst": "0.0.0.0/0", "gw": gateway]],
            "dns": [:],
        ]
    }

    /// "hd" and 52 bits of the FNV-1a hash of the sandbox's id: within the 15 bytes that an interface name may have.
    package static func hostName(sandbox: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in sandbox.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String((hash ^ hash >> 52) & 0xf_ffff_ffff_ffff, radix: 16)
        return "hd" + String(repeating: "0", count: 13 - digits.utf8.count) + digits
    }

    /// The note on the host's end of the link, by which a link without a record is known as the plugin's.
    package static func alias(sandbox: String) -> String { "hostd sandbox \(sandbox)" }

    /// The sandbox that such a note names.
    package static func sandbox(alias: String) -> String? {
        let prefix = "hostd sandbox "
        return alias.hasPrefix(prefix) ? String(alias.dropFirst(prefix.count)) : nil
    }
}
