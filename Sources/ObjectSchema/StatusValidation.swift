import Objects

/// The rules of statuses that clients write and that are more than rows of validation.txt, by kind.
enum StatusValidation {
    static func errors(from old: JSON, to new: JSON, type: String) -> [FieldError] {
        switch type {
        case "io.k8s.api.core.v1.Pod": PodStatusValidation.errors(from: old, to: new)
        case "io.k8s.api.core.v1.Node": NodeValidation.status(from: old, to: new)
        case "io.k8s.api.core.v1.Namespace": NamespaceValidation.status(new)
        case "io.k8s.api.core.v1.ReplicationController": ReplicationControllerValidation.status(new["status"])
        case "io.k8s.api.core.v1.ResourceQuota": QuotaValidation.status(new["status"])
        case "io.k8s.api.core.v1.PersistentVolumeClaim": VolumeValidation.claimStatus(new["status"])
        case "io.k8s.api.core.v1.Service": ServiceValidation.balancers(new["status"]["loadBalancer"])
        case "io.k8s.api.batch.v1.Job": JobStatusValidation.errors(from: old, to: new)
        default: WorkloadStatusValidation.errors(from: old, to: new, type: type)
        }
    }
}
