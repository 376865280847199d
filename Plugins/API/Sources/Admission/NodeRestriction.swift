import Objects
import PluginKit

/// Keeps a node that speaks for itself, as user system:node:NAME, to its own objects: its Node, its lease, its pods.
/// See https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction.
struct NodeRestriction: AdmissionPlugin {
    let name = "NodeRestriction"
    private static let userPrefix = "system:node:"
    private static let leaseNamespace = "kube-node-lease"
    let store: StoreClient

    /// The name of the node that asks; nil for everybody else.
    private static func node(_ user: UserInfo) -> String? {
        guard user.groups.contains("system:nodes"), user.name.hasPrefix(userPrefix) else { return nil }
        return String(user.name.dropFirst(userPrefix.count))
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard !request.context.request.isInternal, let node = Self.node(request.user) else { return }
        if let problem = Self.problem(request, node) { throw request.forbidden(problem) }
        if let problem = try storedProblem(request, node) { throw request.forbidden(problem) }
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
        case "persistentvolumeclaims": return claimProblem(request, node)
        case "serviceaccounts" where request.operation == .create && request.subresource == "token":
            return tokenProblem(request.object["spec"]["boundObjectRef"])
        default: return nil
        }
    }

    private static func claimProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        guard request.operation == .update, request.subresource == "status" else { return "may only update PVC status" }
        func fixed(_ claim: JSON) -> JSON {
            var claim = claim
            for field in ["resourceVersion", "managedFields"] { claim["metadata"].removeValue(forKey: field) }
            for field in ["capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"] {
                claim["status"].removeValue(forKey: field)
            }
            if claim["status"].isEmpty { claim.removeValue(forKey: "status") }
            return StoredObject.normalized(claim)
        }
        return fixed(request.object) == fixed(request.old)
            ? nil
            : "node \"\(node)\" is not allowed to update fields other than status.capacity and status.conditions"
    }

    /// A node asks for tokens for the pods that it runs, and for nothing else.
    private static func tokenProblem(_ reference: JSON) -> String? {
        guard reference.apiVersion == "v1", reference.kind == "Pod", !reference["name"].isEmpty else {
            return "node requested token not bound to a pod"
        }
        return reference["uid"].isEmpty ? "node requested token with a pod binding without a uid" : nil
    }

    // MARK: - Nodes

    private static func nodeProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        guard request.name == node else { return "node \"\(node)\" is not allowed to modify node \"\(request.name)\"" }
        guard request.operation != .delete else { return nil }
        let source = request.object["spec"]["configSource"]
        if source.exists, source != request.old["spec"]["configSource"] {
            return request.operation == .create
                ? "node \"\(node)\" is not allowed to create pods with a non-nil configSource"
                : "node \"\(node)\" is not allowed to update configSource to a new non-nil configSource"
        }
        if request.operation == .update, request.subresource.isEmpty,
            request.object["spec"]["taints"] != request.old["spec"]["taints"]
        {
            return "node \"\(node)\" is not allowed to modify taints"
        }
        let forbidden = forbiddenLabels(request.object.labels, request.old.labels)
        guard !forbidden.isEmpty else { return nil }
        let names = forbidden.joined(separator: ", ")
        return request.operation == .create
            ? "node \"\(node)\" is not allowed to set the following labels: \(names)"
            : "is not allowed to modify labels: \(names)"
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
}
