import Objects

/// The rules that relate several fields and so cannot be rows of validation.txt, by type.
enum ComputedValidation {
    static func check(_ object: JSON, _ type: SpecialType, at place: String, _ errors: inout [FieldError]) {
        switch type {
        case .pod:
            PodValidation.imageVolumes(object["spec"], "spec", &errors)
            GatedPodValidation.place(object["spec"], &errors)
        case .podSpec: PodValidation.podSpec(object, place, &errors)
        case .container: PodValidation.container(object, place, &errors)
        case .probe: PodValidation.handler(object, place, ["exec", "httpGet", "tcpSocket", "grpc"], &errors)
        case .lifecycleHandler:
            PodValidation.handler(object, place, ["exec", "httpGet", "tcpSocket", "sleep"], &errors)
        case .environmentVariable: PodValidation.environment(object, place, &errors)
        case .volume: PodValidation.volume(object, place, &errors)
        case .projectedVolume: ProjectionValidation.sources(object, place, &errors)
        case .toleration: PodValidation.toleration(object, place, &errors)
        case .resourceRequirements: ResourceValidation.requirements(object, place, &errors)
        case .serviceSpec: ServiceValidation.service(object, place, &errors)
        case .configMap: DataValidation.configMap(object, &errors)
        case .secret: DataValidation.secret(object, &errors)
        case .event: EventValidation.check(object, &errors)
        case .deploymentSpec: WorkloadValidation.deployment(object, place, &errors)
        case .replicaSetSpec: WorkloadValidation.template(object, place, "ReplicaSet", &errors)
        case .statefulSetSpec: WorkloadValidation.statefulSet(object, place, &errors)
        case .daemonSetSpec: WorkloadValidation.template(object, place, "DaemonSet", &errors)
        case .jobSpec: JobValidation.job(object, place, &errors)
        case .cronJob: JobValidation.cronJob(object, &errors)
        case .customResourceDefinition: CustomResourceDefinitionValidation.check(object, &errors)
        case .apiService: APIServiceValidation.check(object, &errors)
        case .resourceQuotaSpec: QuotaValidation.check(object, place, &errors)
        case .limitRangeSpec: LimitRangeValidation.check(object, place, &errors)
        case .persistentVolumeSpec: VolumeValidation.volume(object, place, &errors)
        case .persistentVolumeClaimSpec: VolumeValidation.accessModes(object, place, &errors)
        case .networkPolicyPeer: NetworkPolicyValidation.peer(object, place, &errors)
        case .networkPolicyPort: NetworkPolicyValidation.port(object, place, &errors)
        case .addressBlock: NetworkPolicyValidation.block(object, place, &errors)
        case .ingressSpec: IngressValidation.ingress(object, place, &errors)
        case .ingressClassSpec: IngressValidation.ingressClass(object, place, &errors)
        case .endpointSubset: EndpointValidation.subset(object, place, &errors)
        case .endpointSlice: EndpointValidation.slice(object, place, &errors)
        case .deviceClaim: DeviceClaimValidation.claim(object, &errors)
        case .deviceClassSpec: DeviceClaimValidation.deviceClass(object, &errors)
        case .resourceSliceSpec: ResourceSliceValidation.slice(object, &errors)
        case .namespace, .replicationController, .limitRangeItem, .deviceTaint: break
        }
    }

    /// Takes back what was found inside an object and is right in its context.
    static func review(_ object: JSON, _ type: SpecialType, at path: FieldPath, _ errors: inout [FieldError]) {
        if case .statefulSetSpec = type, !errors.isEmpty {
            WorkloadValidation.allowClaimMounts(object, path.text, &errors)
        }
    }
}
