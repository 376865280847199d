import Objects

/// A port of the host that leads to a pod.
package struct PortMapping: Hashable, Sendable {
    package let hostPort: UInt16
    package let containerPort: UInt16
    package let transport: Transport
    /// Nil: every address of the host.
    package let hostAddress: IPv4Address?
}

/// A transport protocol that services and port mappings know. The raw value is its number in the IP header.
package enum Transport: UInt8, Sendable, Hashable, CaseIterable {
    case tcp = 6
    case udp = 17
    case sctp = 132

    /// Kubernetes' name: "TCP", "UDP", "SCTP".
    package init?(name: String) {
        switch name {
        case "TCP": self = .tcp
        case "UDP": self = .udp
        case "SCTP": self = .sctp
        default: return nil
        }
    }

    package var name: String {
        switch self {
        case .tcp: "TCP"
        case .udp: "UDP"
        case .sctp: "SCTP"
        }
    }
}

/// What the caller of attach, check and detach names.
package struct AttachmentRequest: Hashable, Sendable {
    package let sandbox: String
    package let networkNamespace: String
    package let interfaceName: String
    package let podNamespace: String
    package let podName: String
    package let portMappings: [PortMapping]
    /// Limits of what goes into the pod and out of it, in bits a second.
    package let ingressBits: Int64?
    package let egressBits: Int64?

    package var wantsBandwidth: Bool { ingressBits != nil || egressBits != nil }

    /// Reads and checks a message of the role. The sandbox id becomes a file name and is checked as one.
    package init(_ json: JSON) throws(NetworkError) {
        sandbox = try Self.sandboxID(json)
        networkNamespace = json["networkNamespace"].stringValue ?? ""
        interfaceName = json["interfaceName"].stringValue ?? "eth0"
        guard (1...15).contains(interfaceName.utf8.count), interfaceName != ".", interfaceName != "..",
            interfaceName.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
        else { throw .invalid("interfaceName \"\(interfaceName)\" is no name of an interface (1 to 15 characters)") }
        podNamespace = json["podNamespace"].stringValue ?? ""
        podName = json["podName"].stringValue ?? ""
        ingressBits = json["bandwidth"]["ingressBits"].integerValue.flatMap { $0 > 0 ? $0 : nil }
        egressBits = json["bandwidth"]["egressBits"].integerValue.flatMap { $0 > 0 ? $0 : nil }
        var mappings: [PortMapping] = []
        for entry in json["portMappings"].arrayValue { mappings.append(try PortMapping(entry)) }
        portMappings = mappings
    }

    /// The member sandboxID alone.
    package static func sandboxID(_ json: JSON) throws(NetworkError) -> String {
        guard let sandbox = json["sandboxID"].stringValue, isValidID(sandbox) else {
            throw .invalid("sandboxID must be 1 to 128 letters, digits, '-', '_' or '.', and not begin with '.'")
        }
        return sandbox
    }

    package static func isValidID(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.first != UInt8(ascii: ".")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }
}

extension PortMapping {
    package init(_ json: JSON) throws(NetworkError) {
        guard let hostPort = json["hostPort"].integerValue.flatMap(UInt16.init(exactly:)), hostPort > 0,
            let containerPort = json["containerPort"].integerValue.flatMap(UInt16.init(exactly:)), containerPort > 0
        else { throw .invalid("a port mapping needs hostPort and containerPort from 1 to 65535") }
        let name = json["protocol"].stringValue ?? "TCP"
        guard let transport = Transport(name: name) else {
            throw .invalid("a port mapping's protocol is TCP, UDP or SCTP, not \"\(name)\"")
        }
        var hostAddress: IPv4Address?
        if let text = json["hostIP"].stringValue, !text.isEmpty, text != "0.0.0.0" {
            guard let address = IPv4Address(parsing: text) else {
                throw .invalid("a port mapping's hostIP must be an IPv4 address, not \"\(text)\"")
            }
            hostAddress = address
        }
        self.init(hostPort: hostPort, containerPort: containerPort, transport: transport, hostAddress: hostAddress)
    }

    package var json: JSON {
        var json: JSON = [
            "hostPort": JSON(hostPort), "containerPort": JSON(containerPort), "protocol": .string(transport.name),
        ]
        if let hostAddress { json["hostIP"] = .string(hostAddress.description) }
        return json
    }

    /// Whether both cannot have the host's port.
    package func clashes(with other: PortMapping) -> Bool {
        hostPort == other.hostPort && transport == other.transport
            && (hostAddress == nil || other.hostAddress == nil || hostAddress == other.hostAddress)
    }
}
