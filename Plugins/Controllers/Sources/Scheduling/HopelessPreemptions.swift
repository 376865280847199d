import Objects

/// Pods for which no room could be made, by what they ask for: another one of the same kind is not worth a look as long as nothing
/// has changed on the nodes.
struct HopelessPreemptions {
    private var kinds: Set<String> = []
    /// More kinds than this are not worth their memory.
    private static let limit = 1000

    /// What decides whether room can be made for a pod: two pods of the same kind have the same chances.
    /// - Parameter constrained: the pod with the affinity of its volumes.
    static func kind(of constrained: JSON) -> String {
        let spec = constrained["spec"]
        var facts: JSON = ["namespace": .string(constrained.namespace), "labels": constrained.labels]
        for field in [
            "nodeName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priority", "overhead",
        ] where spec[field].exists { facts[field] = spec[field] }
        for list in ["initContainers", "containers"] {
            facts[list] = .array(
                spec[list].arrayValue.map { container in
                    [
                        "resources": container["resources"], "ports": container["ports"],
                        "restartPolicy": container["restartPolicy"],
                    ]
                })
        }
        return facts.serializedString()
    }

    func contains(_ kind: String) -> Bool { kinds.contains(kind) }

    mutating func insert(_ kind: String) {
        if kinds.count >= Self.limit { kinds = [] }
        kinds.insert(kind)
    }

    /// Something on a node has changed.
    mutating func forget() { if !kinds.isEmpty { kinds = [] } }
}
