import PluginKit

/// What the feed watches.
extension PolicyFeed {
    func policyInformer(_ host: Host) throws(PluginError) -> Informer {
        try Informer(
            host, resource: "networkpolicies.networking.k8s.io", keepsManagedFields: false,
            handler: { [weak self] event in
                switch event {
                case .added(let policy), .updated(_, let policy): self?.policyChanged(policy)
                case .deleted(let policy): self?.policyRemoved(policy)
                case .synchronized: break
                }
            })
    }

    /// Namespaces and pods, in the order in which they are to be started.
    func objectInformers(_ host: Host) throws(PluginError) -> [Informer] {
        let namespaces = try Informer(
            host, resource: "namespaces",
            transform: { ["metadata": ["name": $0["metadata"]["name"], "labels": $0["metadata"]["labels"]]] },
            handler: { [weak self] event in
                switch event {
                case .added(let namespace), .updated(_, let namespace): self?.namespaceChanged(namespace)
                case .deleted(let namespace): self?.namespaceRemoved(namespace)
                case .synchronized: break
                }
            })
        let pods = try Informer(
            host, resource: "pods", transform: PolicyPod.members,
            handler: { [weak self] event in
                switch event {
                case .added(let pod), .updated(_, let pod): self?.podChanged(pod)
                case .deleted(let pod): self?.podRemoved(pod)
                case .synchronized: break
                }
            })
        return [namespaces, pods]
    }
}
