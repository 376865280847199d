import Objects

/// What namespaces are born with, and which of them may not be deleted. That objects only come into namespaces which exist
/// and stay is the pipeline's to check, before anything else (`NamespaceCache`).
struct NamespaceLifecycle: AdmissionPlugin {
    let name = "NamespaceLifecycle"
    private static let kept: Set = ["default", "kube-system", "kube-public"]

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.resource.qualified == "namespaces", request.subresource.isEmpty else { return }
        switch request.operation {
        case .create:
            request.object["metadata"]["labels"]["kubernetes.io/metadata.name"] = .string(request.name)
            request.steps.append(.put(Self.defaultServiceAccount(of: request.object)))
        case .update: request.object["metadata"]["labels"]["kubernetes.io/metadata.name"] = .string(request.name)
        case .delete, .connect: break
        }
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "namespaces", .delete), Self.kept.contains(request.name) else { return }
        throw request.forbidden("this namespace may not be deleted")
    }

    /// A namespace and its default service account come into being together, so that pods can follow at once.
    private static func defaultServiceAccount(of namespace: JSON) -> JSON {
        [
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": [
                "name": "default", "namespace": .string(namespace.name), "uid": .string(makeUID()),
                "creationTimestamp": .string(namespace.creationTimestamp ?? ""),
            ],
        ]
    }
}
