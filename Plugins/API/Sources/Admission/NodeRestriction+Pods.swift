import Objects
import PluginKit

/// What a node may do with pods: write the status of its own, delete and evict them, and show what it runs without being told to.
extension NodeRestriction {
    private static let mirrorAnnotation = "kubernetes.io/config.mirror"

    static func podProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        let pod = request.operation == .create ? request.object : request.old
        let place = pod["spec"]["nodeName"].stringValue ?? ""
        let operation = request.operation.rawValue
        switch (request.subresource, request.operation) {
        case ("", .create):
            guard pod.annotations[mirrorAnnotation].exists else {
                return
                    "pod does not have \"\(mirrorAnnotation)\" annotation, node \"\(node)\" can only create mirror pods"
            }
            guard place == node else {
                return "node \"\(node)\" can only create pods with spec.nodeName set to itself"
            }
            return ownerProblem(pod, node) ?? mirrorProblem(pod, node)
        case ("", .delete):
            return place == node ? nil : "node \"\(node)\" can only delete pods with spec.nodeName set to itself"
        case ("", _):
            return "unexpected operation \"\(operation)\", node \"\(node)\" can only create and delete mirror pods"
        case ("status", .update):
            guard place == node else {
                return "node \"\(node)\" can only update pod status for pods with spec.nodeName set to itself"
            }
            return statusProblem(request.object, pod, node)
        case ("status", _): return "unexpected operation \"\(operation)\""
        case ("eviction", .create): return nil
        case ("eviction", _): return "unexpected operation \(operation)"
        default:
            return
                "unexpected pod subresource \"\(request.subresource)\", only 'status' and 'eviction' are allowed"
        }
    }

    private static func statusProblem(_ pod: JSON, _ old: JSON, _ node: String) -> String? {
        guard pod.labels == old.labels else { return "node \"\(node)\" cannot update labels through pod status" }
        func claims(_ pod: JSON) -> [JSON] {
            pod["status"]["resourceClaimStatuses"].arrayValue.map { [$0["name"], $0["resourceClaimName"]] }
        }
        return claims(pod) == claims(old) ? nil : "node \"\(node)\" cannot update resource claim statues"
    }

    /// A mirror pod belongs to its node.
    private static func ownerProblem(_ pod: JSON, _ node: String) -> String? {
        let owners = pod.metadata["ownerReferences"].arrayValue
        guard owners.count < 2 else {
            return "node \"\(node)\" can only create pods with a single owner reference set to itself"
        }
        guard let owner = owners.first, owner.apiVersion == "v1", owner.kind == "Node",
            owner["name"].stringValue == node
        else { return "node \"\(node)\" can only create pods with an owner reference set to itself" }
        guard owner["controller"].boolValue == true else {
            return "node \"\(node)\" can only create pods with a controller owner reference set to itself"
        }
        guard owner["blockOwnerDeletion"].boolValue != true else {
            return "node \"\(node)\" must not set blockOwnerDeletion on an owner reference"
        }
        return nil
    }

    /// It shows what the node runs anyway: it brings no access to anything.
    private static func mirrorProblem(_ pod: JSON, _ node: String) -> String? {
        let spec = pod["spec"]
        let marks = Set(PodReferences.names(pod, spec).compactMap(\.first))
        let sources = spec["volumes"].arrayValue.flatMap { $0["projected"]["sources"].arrayValue }
        let refused: [(isThere: Bool, what: String)] = [
            (marks.contains("a"), "a service account"), (marks.contains("s"), "secrets"),
            (marks.contains("c"), "configmaps"),
            (sources.contains { $0["clusterTrustBundle"].exists }, "clustertrustbundles"),
            (spec["volumes"].arrayValue.contains { $0["persistentVolumeClaim"].exists }, "persistentvolumeclaims"),
        ]
        guard let what = refused.first(where: \.isThere)?.what else { return nil }
        return "node \"\(node)\" can not create pods that reference \(what)"
    }

    // MARK: - Other objects

    /// What only objects tell that are stored already: whose pod it is that a node evicts or wants a token for.
    func storedProblem(_ request: AdmissionRequest, _ node: String) throws(APIStatus) -> String? {
        guard request.operation == .create else { return nil }
        switch (request.resource.qualified, request.subresource) {
        case ("pods", ""):
            let uid = request.object.metadata["ownerReferences"][0]["uid"].stringValue ?? ""
            guard let owner = try read("nodes//\(node)") else { return nil }
            return owner.uid == uid ? nil : "node \(node) UID mismatch: expected \(uid) got \(owner.uid)"
        case ("pods", "eviction"):
            // That there is no such pod is told by the eviction itself.
            let place = "pods/\(request.namespaceOfRequest)/\(request.nameOfRequest)"
            guard let pod = try read(place) else { return nil }
            return pod["spec"]["nodeName"].stringValue == node
                ? nil : "node \(node) can only evict pods with spec.nodeName set to itself"
        case ("serviceaccounts", "token"):
            let reference = request.object["spec"]["boundObjectRef"]
            let (name, uid) = (reference["name"].stringValue ?? "", reference["uid"].stringValue ?? "")
            guard let pod = try read("pods/\(request.namespaceOfRequest)/\(name)") else { return nil }
            guard pod.uid == uid else {
                return "the UID in the bound object reference (\(uid)) does not match the UID in record. "
                    + "The object might have been deleted and then recreated"
            }
            return pod["spec"]["nodeName"].stringValue == node
                ? nil : "node requested token bound to a pod scheduled on a different node"
        default: return nil
        }
    }

    private func read(_ key: String) throws(APIStatus) -> JSON? {
        do { return try store.object(key) } catch { throw .unavailable("\(error)") }
    }
}
