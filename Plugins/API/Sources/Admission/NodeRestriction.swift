import Objects

/// Keeps a node that speaks for itself, as user system:node:NAME, to its own objects: its Node, its lease, its pods.
/// See https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction.
struct NodeRestriction: AdmissionPlugin {
    let name = "NodeRestriction"
    private static let userPrefix = "system:node:"
    private static let leaseNamespace = "kube-node-lease"

    /// The name of the node that asks; nil for everybody else.
    private static func node(_ user: UserInfo) -> String? {
        guard user.groups.contains("system:nodes"), user.name.hasPrefix(userPrefix) else { return nil }
        return String(user.name.dropFirst(userPrefix.count))
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard !request.context.request.isInternal, let node = Self.node(request.user) else { return }
        if let problem = Self.problem(request, node) { throw request.forbidden(problem) }
    }

    static func problem(_ request: AdmissionRequest, _ node: String) -> String? {
        switch request.resource.qualified {
        case "nodes": return nodeProblem(request, node)
        case "pods": return podProblem(request, node)
        case "resourceslices.resource.k8s.io": return sliceProblem(request, node)
        case CertificateRequest.resource: return certificateProblem(request, node)
        case "leases.coordination.k8s.io":
            guard request.namespace == leaseNamespace else {
                return "can only access leases in the \"\(leaseNamespace)\" system namespace"
            }
            guard request.name == node else {
                return "can only access node lease with the same name as the requesting node"
            }
            return nil
        case "csinodes.storage.k8s.io":
            return request.name == node ? nil : "can only access CSINode with the same name as the requesting node"
        case "persistentvolumeclaims":
            return request.operation == .update && request.subresource == "status"
                ? nil : "may only update PVC status"
        default: return nil
        }
    }

    // MARK: - Nodes

    private static func nodeProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        guard request.name == node else { return "node \"\(node)\" is not allowed to modify node \"\(request.name)\"" }
        guard request.operation != .delete else { return nil }
        if request.object["spec"]["configSource"].exists {
            return "node \"\(node)\" is not allowed to create with non-nil configSource"
        }
        if request.operation == .update, request.subresource.isEmpty,
            request.object["spec"]["taints"] != request.old["spec"]["taints"]
        {
            return "node \"\(node)\" is not allowed to modify taints"
        }
        let forbidden = forbiddenLabels(request.object.labels, request.old.labels)
        guard !forbidden.isEmpty else { return nil }
        let verb = request.operation == .create ? "set" : "modify"
        return "is not allowed to \(verb) the following labels: \(forbidden.joined(separator: ", "))"
    }

    private static let ownLabels: Set = [
        "kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "kubernetes.io/os",
        "beta.kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/arch",
    ]

    /// Labels of Kubernetes' own domains that differ, and that a node may not choose for itself: others are placed by them.
    static func forbiddenLabels(_ labels: JSON, _ old: JSON) -> [String] {
        let (new, before) = (labels.objectValue ?? [:], old.objectValue ?? [:])
        let keys = Set(new.map(\.key)).union(before.map(\.key)).filter { new[$0] != before[$0] }
        return keys.filter { key in
            guard let slash = key.firstIndex(of: "/") else { return false }
            let domain = String(key[..<slash])
            func isWithin(_ parent: String) -> Bool { domain == parent || domain.hasSuffix("." + parent) }
            if isWithin("node-restriction.kubernetes.io") { return true }
            guard isWithin("kubernetes.io") || isWithin("k8s.io") else { return false }
            return !ownLabels.contains(key) && !isWithin("kubelet.kubernetes.io") && !isWithin("node.kubernetes.io")
        }.sorted()
    }

    // MARK: - Pods

    private static func podProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        let pod = request.operation == .create ? request.object : request.old
        let place = pod["spec"]["nodeName"].stringValue ?? ""
        switch (request.operation, request.subresource) {
        case (.create, ""):
            guard pod.annotations["kubernetes.io/config.mirror"].exists else {
                return "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"\(node)\" can only create "
                    + "mirror pods"
            }
            guard place == node else {
                return "node \"\(node)\" can only create pods with spec.nodeName set to itself"
            }
            return mirrorProblem(pod["spec"], node)
        case (.delete, _):
            return place == node ? nil : "node \"\(node)\" can only delete pods with spec.nodeName set to itself"
        case (.update, "status"):
            guard place == node else {
                return "node \"\(node)\" can only update pod status for pods with spec.nodeName set to itself"
            }
            return request.object.labels == request.old.labels
                ? nil : "node \"\(node)\" cannot update labels through pod status"
        default:
            return
                "unexpected operation \"\(request.operation.rawValue)\", node \"\(node)\" can only create and delete mirror pods"
        }
    }

    /// A mirror pod shows what the node runs anyway: it brings no access to anything.
    private static func mirrorProblem(_ spec: JSON, _ node: String) -> String? {
        if !(spec["serviceAccountName"].stringValue ?? "").isEmpty {
            return "node \"\(node)\" can not create pods that reference a service account"
        }
        for volume in spec["volumes"].arrayValue {
            for (kind, words) in [
                ("secret", "secrets"), ("configMap", "configmaps"),
                ("persistentVolumeClaim", "persistentvolumeclaims"),
            ] where volume[kind].exists {
                return "node \"\(node)\" can not create pods that reference \(words)"
            }
        }
        return nil
    }
}
