import Objects
import PluginKit

extension ServiceFeed {
    private static let zoneLabel = "topology.kubernetes.io/zone"

    /// Watches in which zone this node is: what is near depends on it.
    func zoneInformer(_ host: Host) throws -> Informer {
        try Informer(
            host, resource: "nodes", selector: ".metadata.name=\(nodeName)", keepsManagedFields: false,
            transform: { ["metadata": ["name": $0["metadata"]["name"], "labels": $0["metadata"]["labels"]]] },
            handler: { [self] event in
                switch event {
                case .added(let node), .updated(_, let node): zoneChanged(node.labels[Self.zoneLabel].stringValue ?? "")
                case .deleted, .synchronized: break
                }
            })
    }
}
