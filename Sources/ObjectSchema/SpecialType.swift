/// The types with defaults or rules that are code instead of rows.
enum SpecialType: Sendable {
    case pod, podSpec, container, probe, lifecycleHandler, environmentVariable, volume, toleration, resourceRequirements
    case projectedVolume, podTemplate, httpRequest, nodeSelector
    case service, node, replicationControllerSpec
    case serviceSpec, configMap, secret, namespace, replicationController, limitRangeItem
    case deploymentSpec, replicaSetSpec, statefulSetSpec, daemonSetSpec, job, jobSpec, cronJob
    case autoscalerSpec, disruptionBudgetSpec, priorityClass
    case role, clusterRole, roleBinding, clusterRoleBinding
    case storageClass, volumeAttachmentSpec, driverSpec, nodeDrivers, storageCapacity
    case webhookConfiguration, validatingPolicy, mutatingPolicy, validatingPolicyBinding, mutatingPolicyBinding
    case flowSchema, priorityLevel
    case customResourceDefinition, apiService, event, resourceQuotaSpec, limitRangeSpec
    case persistentVolume, persistentVolumeSpec, persistentVolumeClaimSpec
    case networkPolicySpec, networkPolicyPeer, networkPolicyPort, addressBlock, serviceRangeSpec
    case ingress, ingressSpec, ingressClassSpec, endpointSubset, endpointSlice
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
        case "core.v1.PodTemplateSpec": self = .podTemplate
        case "core.v1.Probe": self = .probe
        case "core.v1.HTTPGetAction": self = .httpRequest
        case "core.v1.LifecycleHandler": self = .lifecycleHandler
        case "core.v1.EnvVar": self = .environmentVariable
        case "core.v1.Volume": self = .volume
        case "core.v1.ProjectedVolumeSource": self = .projectedVolume
        case "core.v1.Toleration": self = .toleration
        case "core.v1.ResourceRequirements": self = .resourceRequirements
        case "core.v1.NodeSelector": self = .nodeSelector
        case "core.v1.Node": self = .node
        case "core.v1.ReplicationControllerSpec": self = .replicationControllerSpec
        case "core.v1.Service": self = .service
        case "core.v1.ServiceSpec": self = .serviceSpec
        case "core.v1.ConfigMap": self = .configMap
        case "core.v1.Secret": self = .secret
        case "core.v1.Event": self = .event
        case "core.v1.Namespace": self = .namespace
        case "core.v1.ReplicationController": self = .replicationController
        case "core.v1.LimitRangeItem": self = .limitRangeItem
        case "core.v1.LimitRangeSpec": self = .limitRangeSpec
        case "core.v1.ResourceQuotaSpec": self = .resourceQuotaSpec
        case "core.v1.PersistentVolume": self = .persistentVolume
        case "core.v1.PersistentVolumeSpec": self = .persistentVolumeSpec
        case "core.v1.PersistentVolumeClaimSpec": self = .persistentVolumeClaimSpec
        case "apps.v1.DeploymentSpec": self = .deploymentSpec
        case "apps.v1.ReplicaSetSpec": self = .replicaSetSpec
        case "apps.v1.StatefulSetSpec": self = .statefulSetSpec
        case "apps.v1.DaemonSetSpec": self = .daemonSetSpec
        case "batch.v1.Job": self = .job
        case "batch.v1.JobSpec": self = .jobSpec
        case "batch.v1.CronJob": self = .cronJob
        case "autoscaling.v1.HorizontalPodAutoscalerSpec", "autoscaling.v2.HorizontalPodAutoscalerSpec":
            self = .autoscalerSpec
        case "policy.v1.PodDisruptionBudgetSpec": self = .disruptionBudgetSpec
        case "scheduling.v1.PriorityClass": self = .priorityClass
        case "networking.v1.NetworkPolicySpec": self = .networkPolicySpec
        case "networking.v1.ServiceCIDRSpec": self = .serviceRangeSpec
        case "networking.v1.Ingress": self = .ingress
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
        default:
            guard let other = Self.ofServer(typeName) else { return nil }
            self = other
        }
    }

    /// Of the groups about access, storage, admission and the turns of requests.
    private static func ofServer(_ typeName: String) -> SpecialType? {
        switch String(typeName.dropFirst("io.k8s.api.".count)) {
        case "rbac.v1.Role": .role
        case "rbac.v1.ClusterRole": .clusterRole
        case "rbac.v1.RoleBinding": .roleBinding
        case "rbac.v1.ClusterRoleBinding": .clusterRoleBinding
        case "storage.v1.StorageClass": .storageClass
        case "storage.v1.VolumeAttachmentSpec": .volumeAttachmentSpec
        case "storage.v1.CSIDriverSpec": .driverSpec
        case "storage.v1.CSINodeSpec": .nodeDrivers
        case "storage.v1.CSIStorageCapacity": .storageCapacity
        case "admissionregistration.v1.ValidatingWebhookConfiguration",
            "admissionregistration.v1.MutatingWebhookConfiguration":
            .webhookConfiguration
        case "admissionregistration.v1.ValidatingAdmissionPolicy": .validatingPolicy
        case "admissionregistration.v1.MutatingAdmissionPolicy": .mutatingPolicy
        case "admissionregistration.v1.ValidatingAdmissionPolicyBinding": .validatingPolicyBinding
        case "admissionregistration.v1.MutatingAdmissionPolicyBinding": .mutatingPolicyBinding
        case "flowcontrol.v1.FlowSchema": .flowSchema
        case "flowcontrol.v1.PriorityLevelConfiguration": .priorityLevel
        default: nil
        }
    }
}
