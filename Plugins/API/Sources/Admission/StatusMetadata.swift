import FieldManagement

/// What a request at the status subresource may change of an object's metadata. As each kind's registry in Kubernetes has it:
/// most let labels, annotations and finalizers be written along with the status, some keep them.
enum StatusMetadata {
    /// The parts of metadata that clients write.
    static let writable = ["labels", "annotations", "finalizers", "ownerReferences"]

    /// Kinds whose status requests change nothing else.
    private static let frozen: Set = [
        "servicecidrs.networking.k8s.io", "apiservices.apiregistration.k8s.io",
        "flowschemas.flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io", "volumeattachments.storage.k8s.io",
        "resourceclaims.resource.k8s.io",
    ]

    /// The parts that stay as they are.
    static func kept(_ resource: Resource) -> Set<String> {
        if resource.custom != nil || frozen.contains(resource.qualified) { return Set(writable) }
        return switch resource.qualified {
        case "deployments.apps": ["labels"]
        case "pods": ["ownerReferences"]
        default: []
        }
    }

    /// The same as fields: nobody comes to own them by a request at the status.
    static func fields(_ resource: Resource) -> [[FieldStep]] {
        kept(resource).sorted().map { [.field("metadata"), .field($0)] }
    }
}
