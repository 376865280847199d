import Objects

/// The rules that relate several fields and so cannot be rows of validation.txt, by type.
enum ComputedValidation {
    static func check(_ object: JSON, type: String, at place: String, _ errors: inout [FieldError]) {
        guard type.hasPrefix("io.k8s.api.") else { return }
        switch type.dropFirst("io.k8s.api.".count) {
        case "core.v1.PodSpec": PodValidation.podSpec(object, place, &errors)
        case "core.v1.Container", "core.v1.EphemeralContainer": PodValidation.container(object, place, &errors)
        case "core.v1.Probe": PodValidation.handler(object, place, ["exec", "httpGet", "tcpSocket", "grpc"], &errors)
        case "core.v1.LifecycleHandler": PodValidation.handler(object, place, ["exec", "httpGet", "tcpSocket", "sleep"], &errors)
        case "core.v1.EnvVar": PodValidation.environment(object, place, &errors)
        case "core.v1.Volume": PodValidation.volume(object, place, &errors)
        case "core.v1.Toleration": PodValidation.toleration(object, place, &errors)
        case "core.v1.ResourceRequirements": ResourceValidation.requirements(object, place, &errors)
        case "core.v1.ServiceSpec": ServiceValidation.service(object, place, &errors)
        case "core.v1.ConfigMap": DataValidation.configMap(object, &errors)
        case "core.v1.Secret": DataValidation.secret(object, &errors)
        case "apps.v1.DeploymentSpec": WorkloadValidation.deployment(object, place, &errors)
        case "apps.v1.ReplicaSetSpec": WorkloadValidation.template(object, place, "ReplicaSet", &errors)
        case "apps.v1.StatefulSetSpec": WorkloadValidation.template(object, place, "StatefulSet", &errors)
        case "apps.v1.DaemonSetSpec": WorkloadValidation.template(object, place, "DaemonSet", &errors)
        case "batch.v1.JobSpec": WorkloadValidation.job(object, place, &errors)
        default: break
        }
    }
}
