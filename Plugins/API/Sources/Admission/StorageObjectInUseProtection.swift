import Objects

/// New volumes and claims have a finalizer, so that they stay as long as they are used.
/// See https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection.
struct StorageObjectInUseProtection: AdmissionPlugin {
    let name = "StorageObjectInUseProtection"
    static let resources: Set<String>? = ["persistentvolumeclaims", "persistentvolumes"]

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.operation == .create, request.subresource.isEmpty else { return }
        let finalizer: String
        switch request.resource.qualified {
        case "persistentvolumeclaims": finalizer = "kubernetes.io/pvc-protection"
        case "persistentvolumes": finalizer = "kubernetes.io/pv-protection"
        default: return
        }
        if !request.object.finalizers.contains(finalizer) {
            request.object["metadata"]["finalizers"].append(.string(finalizer))
        }
    }
}
