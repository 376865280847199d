/// The types with defaults or rules that are code instead of rows.
enum SpecialType: Sendable {
    case pod, podSpec, container, probe, lifecycleHandler, environmentVariable, volume, toleration, resourceRequirements
    case projectedVolume
    case serviceSpec, configMap, secret, namespace, replicationController, limitRangeItem
    case deploymentSpec, replicaSetSpec, statefulSetSpec, daemonSetSpec, jobSpec, cronJob
    case customResourceDefinition, apiService, event, resourceQuotaSpec, limitRangeSpec
    case persistentVolumeSpec, persistentVolumeClaimSpec
    case networkPolicyPeer, networkPolicyPort, addressBlock
    case ingressSpec, ingressClassSpec, endpointSubset, endpointSlice
    case deviceClaim, deviceClassSpec, resourceSliceSpec, deviceTaint

    /// Nil for a type without.
    init?(typeName: String) {
        guard typeName.hasPrefix("io.k8s.api.") else {
            switch typeName {
            case CustomResourceDefinitionValidation.typeName: self = .customResourceDefinition
            case APIServiceValidation.typeName: self = .apiService
            default: return nil
            }
            return
        }
        switch String(typeName.dropFirst("io.k8s.api.".count)) {
        case "core.v1.Pod": self = .pod
        case "core.v1.PodSpec": self = .podSpec
        case "core.v1.Container", "core.v1.EphemeralContainer": self = .container
        case "core.v1.Probe": self = .probe
        case "core.v1.LifecycleHandler": self = .lifecycleHandler
        case "core.v1.EnvVar": self = .environmentVariable
        case "core.v1.Volume": self = .volume
        case "core.v1.ProjectedVolumeSource": self = .projectedVolume
        case "core.v1.Toleration": self = .toleration
        case "core.v1.ResourceRequirements": self = .resourceRequirements
        case "core.v1.ServiceSpec": self = .serviceSpec
        case "core.v1.ConfigMap": self = .configMap
        case "core.v1.Secret": self = .secret
        case "core.v1.Event": self = .event
        case "core.v1.Namespace": self = .namespace
        case "core.v1.ReplicationController": self = .replicationController
        case "core.v1.LimitRangeItem": self = .limitRangeItem
        case "core.v1.LimitRangeSpec": self = .limitRangeSpec
        case "core.v1.ResourceQuotaSpec": self = .resourceQuotaSpec
        case "core.v1.PersistentVolumeSpec": self = .persistentVolumeSpec
        case "core.v1.PersistentVolumeClaimSpec": self = .persistentVolumeClaimSpec
        case "apps.v1.DeploymentSpec": self = .deploymentSpec
        case "apps.v1.ReplicaSetSpec": self = .replicaSetSpec
        case "apps.v1.StatefulSetSpec": self = .statefulSetSpec
        case "apps.v1.DaemonSetSpec": self = .daemonSetSpec
        case "batch.v1.JobSpec": self = .jobSpec
        case "batch.v1.CronJob": self = .cronJob
        case "networking.v1.NetworkPolicyPeer": self = .networkPolicyPeer
        case "networking.v1.NetworkPolicyPort": self = .networkPolicyPort
        case "networking.v1.IPBlock": self = .addressBlock
        case "networking.v1.IngressSpec": self = .ingressSpec
        case "networking.v1.IngressClassSpec": self = .ingressClassSpec
        case "core.v1.EndpointSubset": self = .endpointSubset
        case "discovery.v1.EndpointSlice": self = .endpointSlice
        case "resource.v1.DeviceClaim": self = .deviceClaim
        case "resource.v1.DeviceClassSpec": self = .deviceClassSpec
        case "resource.v1.ResourceSliceSpec": self = .resourceSliceSpec
        case "resource.v1.DeviceTaint": self = .deviceTaint
        default: return nil
        }
    }
}
