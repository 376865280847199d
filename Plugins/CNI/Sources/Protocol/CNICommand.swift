import Objects
import PodNetworking

/// A pod's place in a network as plugins are told of it.
struct CNIRequest: Sendable, Equatable {
    let container: String
    /// Path; "" when it is gone, which DEL has to cope with.
    let namespace: String
    let interface: String
    /// Pairs of CNI_ARGS.
    var arguments: [(name: String, value: String)] = []
    /// Run-time configuration by capability.
    var capabilities: JSONObject = [:]

    static func == (left: CNIRequest, right: CNIRequest) -> Bool {
        left.container == right.container && left.namespace == right.namespace && left.interface == right.interface
            && left.argumentText == right.argumentText && left.capabilities == right.capabilities
    }

    init(container: String, namespace: String, interface: String) {
        self.container = container
        self.namespace = namespace
        self.interface = interface
    }

    /// What kubelet's runtimes say of a pod, and the capabilities that plugins commonly have.
    /// - Parameter address: the address that it had before and should get again.
    init(_ request: AttachmentRequest, uid: String, address: IPv4Address? = nil) {
        self.init(container: request.sandbox, namespace: request.networkNamespace, interface: request.interfaceName)
        arguments = [
            ("IgnoreUnknown", "1"), ("K8S_POD_NAMESPACE", request.podNamespace), ("K8S_POD_NAME", request.podName),
            ("K8S_POD_INFRA_CONTAINER_ID", request.sandbox), ("K8S_POD_UID", uid),
        ]
        // ';' and '=' part the pairs; names of Kubernetes have neither.
        arguments.removeAll { pair in pair.value.isEmpty || pair.value.utf8.contains { ";=".utf8.contains($0) } }
        if let address { arguments.append(("IP", address.description)) }
        if !request.portMappings.isEmpty {
            capabilities["portMappings"] = .array(
                request.portMappings.map { mapping in
                    [
                        "hostPort": JSON(mapping.hostPort), "containerPort": JSON(mapping.containerPort),
                        "protocol": .string(mapping.transport.name.lowercased()),
                        "hostIP": .string(mapping.hostAddress?.description ?? ""),
                    ]
                })
        }
        if let bandwidth = Self.bandwidth(request) { capabilities["bandwidth"] = bandwidth }
    }

    /// Bits a second; bursts are as large as Kubernetes makes them: practically without bound.
    private static func bandwidth(_ request: AttachmentRequest) -> JSON? {
        var limits: JSONObject = [:]
        let burst = JSON(Int64(Int32.max))
        if let rate = request.ingressBits {
            limits["ingressRate"] = .integer(rate)
            limits["ingressBurst"] = burst
        }
        if let rate = request.egressBits {
            limits["egressRate"] = .integer(rate)
            limits["egressBurst"] = burst
        }
        return limits.isEmpty ? nil : .object(limits)
    }

    var argumentText: String { arguments.map { "\($0.name)=\($0.value)" }.joined(separator: ";") }

    /// As the journal keeps it.
    var json: JSON {
        [
            "container": .string(container), "namespace": .string(namespace), "interface": .string(interface),
            "arguments": .array(arguments.map { [.string($0.name), .string($0.value)] }),
            "capabilities": .object(capabilities),
        ]
    }

    init?(_ json: JSON) {
        guard let container = json["container"].stringValue, let interface = json["interface"].stringValue else {
            return nil
        }
        self.init(container: container, namespace: json["namespace"].stringValue ?? "", interface: interface)
        arguments = json["arguments"].arrayValue.compactMap { pair in
            pair[0].stringValue.flatMap { name in pair[1].stringValue.map { (name, $0) } }
        }
        capabilities = json["capabilities"].objectValue ?? [:]
    }

    /// The same, without a namespace.
    var withoutNamespace: CNIRequest { moved(to: "") }

    func moved(to namespace: String) -> CNIRequest {
        var request = CNIRequest(container: container, namespace: namespace, interface: interface)
        request.arguments = arguments
        request.capabilities = capabilities
        return request
    }
}

/// One run of a plugin. Sections 2 and 3 of the specification.
enum CNICommand: String, Sendable {
    case add = "ADD"
    case check = "CHECK"
    case delete = "DEL"
    case collectGarbage = "GC"
    case status = "STATUS"
    case version = "VERSION"

    /// The variables that the plugin reads; nothing else of CNI's is in its environment.
    func environment(_ request: CNIRequest?, directories: [String]) -> [String: String] {
        var variables = ["CNI_COMMAND": rawValue, "CNI_PATH": directories.joined(separator: ":")]
        if let request {
            variables["CNI_CONTAINERID"] = request.container
            variables["CNI_IFNAME"] = request.interface
            variables["CNI_NETNS"] = request.namespace
            if !request.argumentText.isEmpty { variables["CNI_ARGS"] = request.argumentText }
        }
        return variables
    }

    /// The plugin's configuration with what the run adds.
    /// - Parameter valid: of GC: the attachments that are to stay.
    static func input(
        _ plugin: JSON, of list: NetworkList, _ request: CNIRequest?, previous: JSON? = nil,
        valid: [(container: String, interface: String)]? = nil
    ) -> JSON {
        var input = plugin.objectValue ?? [:]
        input["name"] = .string(list.name)
        input["cniVersion"] = .string(list.version.description)
        input["cniVersions"] = nil
        input["plugins"] = nil
        let wanted = (input["capabilities"]?.objectValue ?? [:]).filter { $0.value.boolValue == true }.map(\.key)
        input["capabilities"] = nil
        if let request {
            var runtime: JSONObject = [:]
            for capability in wanted { if let value = request.capabilities[capability] { runtime[capability] = value } }
            if !runtime.isEmpty { input["runtimeConfig"] = .object(runtime) }
        }
        if let previous { input["prevResult"] = previous }
        if let valid {
            input["cni.dev/valid-attachments"] = .array(
                valid.map { ["containerID": .string($0.container), "ifname": .string($0.interface)] })
        }
        return .object(input)
    }
}
