import Objects

/// What policies know of a pod.
struct PolicyPod: Equatable, Sendable {
    struct Port: Hashable, Sendable {
        let name: PortName
        let number: Int64
    }

    let uid: String
    let namespace: String
    let labels: JSON
    /// IPv4; nil while it has none of its own: before it is attached, after its end, and in the host's network.
    var address: String?
    let ports: [Port]

    init(_ pod: JSON) {
        uid = pod.uid
        namespace = pod.namespace
        labels = pod.labels
        let specification = pod["spec"]
        let status = pod["status"]
        let hasEnded = ["Succeeded", "Failed"].contains(status["phase"].stringValue ?? "")
        let usesHost = specification["hostNetwork"].boolValue ?? false
        if !hasEnded && !usesHost {
            let all =
                status["podIPs"].arrayValue.compactMap { $0["ip"].stringValue } + [status["podIP"].stringValue ?? ""]
            address = all.first(where: Self.isIPv4)
        }
        var ports: [Port] = []
        for list in ["containers", "initContainers"] {
            for port in specification[list].arrayValue.flatMap({ $0["ports"].arrayValue }) {
                guard let name = port["name"].stringValue, let number = port["containerPort"].integerValue else {
                    continue
                }
                ports.append(
                    Port(name: PortName(transport: port["protocol"].stringValue ?? "TCP", name: name), number: number))
            }
        }
        self.ports = ports
    }

    static func isIPv4(_ address: String) -> Bool { !address.isEmpty && !address.contains(":") }

    /// Keeps of a pod what `init` reads.
    @Sendable static func members(_ pod: JSON) -> JSON {
        func containers(_ list: JSON) -> JSON { .array(list.arrayValue.map { ["ports": $0["ports"]] }) }
        let (metadata, specification, status) = (pod["metadata"], pod["spec"], pod["status"])
        return [
            "metadata": [
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
                "labels": metadata["labels"],
            ],
            "spec": [
                "hostNetwork": specification["hostNetwork"], "containers": containers(specification["containers"]),
                "initContainers": containers(specification["initContainers"]),
            ],
            "status": ["phase": status["phase"], "podIP": status["podIP"], "podIPs": status["podIPs"]],
        ]
    }
}
