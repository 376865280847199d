import Objects

/// A port of the host that leads to a pod.
struct PortMapping: Hashable, Sendable {
    let hostPort: UInt16
    let containerPort: UInt16
    let transport: Transport
    /// Nil: every address of the host.
    let hostAddress: IPv4Address?
}

/// A transport protocol that services and port mappings know. The raw value is its number in the IP header.
enum Transport: UInt8, Sendable, Hashable, CaseIterable {
    case tcp = 6
    case udp = 17
    case sctp = 132

    /// Kubernetes' name: "TCP", "UDP", "SCTP".
    init?(name: String) {
        switch name {
        case "TCP": self = .tcp
        case "UDP": self = .udp
        case "SCTP": self = .sctp
        default: return nil
        }
    }

    var name: String {
        switch self {
        case .tcp: "TCP"
        case .udp: "UDP"
        case .sctp: "SCTP"
        }
    }
}

/// What the caller of attach, check and detach names.
struct AttachmentRequest: Hashable, Sendable {
    let sandbox: String
    let networkNamespace: String
    let interfaceName: String
    let podNamespace: String
    let podName: String
    let portMappings: [PortMapping]
    let wantsBandwidth: Bool

    /// Reads and checks a message of the role. The sandbox id becomes a file name and is checked as one.
    init(_ json: JSON) throws(NetworkError) {
        sandbox = try Self.sandboxID(json)
        networkNamespace = json["networkNamespace"].stringValue ?? ""
        interfaceName = json["interfaceName"].stringValue ?? "eth0"
        guard (1...15).contains(interfaceName.utf8.count), interfaceName != ".", interfaceName != "..",
            interfaceName.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
        else { throw .invalid("interfaceName \"\(interfaceName)\" is no name of an interface (1 to 15 characters)") }
        podNamespace = json["podNamespace"].stringValue ?? ""
        podName = json["podName"].stringValue ?? ""
        wantsBandwidth = json["bandwidth"].exists
        var mappings: [PortMapping] = []
        for entry in json["portMappings"].arrayValue { mappings.append(try PortMapping(entry)) }
        portMappings = mappings
    }

    /// The member sandboxID alone.
    static func sandboxID(_ json: JSON) throws(NetworkError) -> String {
        guard let sandbox = json["sandboxID"].stringValue, isValidID(sandbox) else {
            throw .invalid("sandboxID must be 1 to 128 letters, digits, '-', '_' or '.', and not begin with '.'")
        }
        return sandbox
    }

    static func isValidID(_ text: String) -> Bool {
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
    init(_ json: JSON) throws(NetworkError) {
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

    var json: JSON {
        var json: JSON = [
            "hostPort": JSON(hostPort), "containerPort": JSON(containerPort), "protocol": .string(transport.name),
        ]
        if let hostAddress { json["hostIP"] = .string(hostAddress.description) }
        return json
    }
}

/// One pod's place in the network, as it is kept on disk.
struct Attachment: Hashable, Sendable {
    let sandbox: String
    let address: IPv4Address
    /// The end on the bridge.
    let hostName: String
    let interfaceName: String
    let networkNamespace: String
    /// Number of the pod's network namespace; 0 before it is known.
    var namespaceCookie: UInt64
    let podNamespace: String
    let podName: String
    let portMappings: [PortMapping]

    /// Pod traffic is local to the machine: the MAC is made from the address.
    var macAddress: MACAddress { MACAddress(for: address) }

    init(_ request: AttachmentRequest, address: IPv4Address) {
        sandbox = request.sandbox
        self.address = address
        hostName = Self.hostName(sandbox: request.sandbox)
        interfaceName = request.interfaceName
        networkNamespace = request.networkNamespace
        namespaceCookie = 0
        podNamespace = request.podNamespace
        podName = request.podName
        portMappings = request.portMappings
    }

    /// Reads what `json` wrote; nil when something is missing or malformed.
    init?(_ json: JSON) {
        guard let sandbox = json["sandboxID"].stringValue, AttachmentRequest.isValidID(sandbox),
            let address = json["address"].stringValue.flatMap({ IPv4Address(parsing: $0) }),
            let hostName = json["hostName"].stringValue, let interfaceName = json["interfaceName"].stringValue,
            let networkNamespace = json["networkNamespace"].stringValue,
            let cookie = json["namespaceCookie"].stringValue.flatMap({ UInt64($0) })
        else { return nil }
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
        podNamespace = json["podNamespace"].stringValue ?? ""
        podName = json["podName"].stringValue ?? ""
        portMappings = mappings
    }

    var json: JSON {
        [
            "sandboxID": .string(sandbox), "address": .string(address.description), "hostName": .string(hostName),
            "interfaceName": .string(interfaceName), "networkNamespace": .string(networkNamespace),
            "namespaceCookie": .string(String(namespaceCookie)), "podNamespace": .string(podNamespace),
            "podName": .string(podName), "portMappings": .array(portMappings.map(\.json)),
        ]
    }

    /// "hd" and 52 bits of the FNV-1a hash of the sandbox's id: within the 15 bytes that an interface name may have.
    static func hostName(sandbox: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in sandbox.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String((hash ^ hash >> 52) & 0xf_ffff_ffff_ffff, radix: 16)
        return "hd" + String(repeating: "0", count: 13 - digits.utf8.count) + digits
    }

    /// The note on the host's end of the link, by which a link without a record is known as the plugin's.
    static func alias(sandbox: String) -> String { "hostd sandbox \(sandbox)" }

    /// The sandbox that such a note names.
    static func sandbox(alias: String) -> String? {
        let prefix = "hostd sandbox "
        return alias.hasPrefix(prefix) ? String(alias.dropFirst(prefix.count)) : nil
    }
}
