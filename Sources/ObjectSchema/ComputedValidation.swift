import Objects

/// The rules that relate several fields and so cannot be rows of validation.txt, by type.
enum ComputedValidation {
    static func check(_ object: JSON, _ type: SpecialType, at place: String, _ errors: inout [FieldError]) {
        switch type {
        case .pod: PodValidation.pod(object, &errors)
        case .podSpec: PodValidation.podSpec(object, &errors)
        case .podTemplate: PodValidation.template(object, &errors)
        case .probe: ContainerValidation.handler(object, ["exec", "httpGet", "tcpSocket", "grpc"], &errors)
        case .lifecycleHandler:
            ContainerValidation.handler(object, ["exec", "httpGet", "tcpSocket", "sleep"], &errors)
        case .httpRequest: ContainerValidation.request(object, &errors)
        case .environmentVariable: EnvironmentValidation.variable(object, &errors)
        case .volume: PodVolumeValidation.volume(object, &errors)
        case .projectedVolume: ProjectionValidation.sources(object, &errors)
        case .toleration: PlacementValidation.toleration(object, &errors)
        case .serviceSpec: ServiceValidation.service(object, place, &errors)
        case .configMap: DataValidation.configMap(object, &errors)
        case .secret: DataValidation.secret(object, &errors)
        case .event: EventValidation.check(object, &errors)
        case .deploymentSpec: WorkloadValidation.deployment(object, place, &errors)
        case .replicaSetSpec:
            WorkloadValidation.template(object, place, "ReplicaSet", owner: "deployment", &errors)
        case .statefulSetSpec: WorkloadValidation.statefulSet(object, place, &errors)
        case .daemonSetSpec: WorkloadValidation.daemonSet(object, place, &errors)
        case .jobSpec: JobValidation.specification(object, place, &errors)
        case .job: JobValidation.job(object, &errors)
        case .cronJob: CronJobValidation.check(object, &errors)
        case .autoscalerSpec: AutoscalerValidation.check(object, place, &errors)
        case .disruptionBudgetSpec: DisruptionBudgetValidation.check(object, place, &errors)
        case .role: RoleValidation.role(object, isNamespaced: true, &errors)
        case .clusterRole: RoleValidation.role(object, isNamespaced: false, &errors)
        case .roleBinding: RoleValidation.binding(object, isNamespaced: true, &errors)
        case .clusterRoleBinding: RoleValidation.binding(object, isNamespaced: false, &errors)
        case .priorityClass: PriorityClassValidation.check(object, &errors)
        case .storageClass: StorageKindsValidation.storageClass(object, &errors)
        case .volumeAttachmentSpec: StorageKindsValidation.attachment(object, place, &errors)
        case .driverSpec: StorageKindsValidation.driver(object, place, &errors)
        case .nodeDrivers: StorageKindsValidation.nodeDrivers(object, place, &errors)
        case .storageCapacity: StorageKindsValidation.capacity(object, &errors)
        case .networkPolicySpec: NetworkPolicyValidation.types(object, place, &errors)
        case .serviceRangeSpec: ServiceRangeValidation.check(object, place, &errors)
        case .ingress: IngressValidation.annotation(object, &errors)
        case .webhookConfiguration: WebhookValidation.check(object, &errors)
        case .validatingPolicy: AdmissionPolicyValidation.validating(object, &errors)
        case .mutatingPolicy: AdmissionPolicyValidation.mutating(object, &errors)
        case .validatingPolicyBinding: AdmissionPolicyValidation.binding(object, isMutation: false, &errors)
        case .mutatingPolicyBinding: AdmissionPolicyValidation.binding(object, isMutation: true, &errors)
        case .flowSchema: FlowValidation.schema(object, &errors)
        case .priorityLevel: FlowValidation.level(object, &errors)
        case .customResourceDefinition: CustomResourceDefinitionValidation.check(object, &errors)
        case .apiService: APIServiceValidation.check(object, &errors)
        case .resourceQuotaSpec: QuotaValidation.check(object, place, &errors)
        case .limitRangeSpec: LimitRangeValidation.check(object, place, &errors)
        case .persistentVolume: VolumeValidation.volume(object, &errors)
        case .persistentVolumeSpec: VolumeValidation.volumeSpec(object, &errors)
        case .persistentVolumeClaimSpec: VolumeValidation.claimSpec(object, &errors)
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
        case .service: ServiceValidation.annotations(object, &errors)
        case .replicationControllerSpec: ReplicationControllerValidation.check(object, &errors)
        case .node: NodeValidation.node(object, &errors)
        case .namespace:
            for finalizer in object["spec"]["finalizers"].arrayValue {
                NamespaceValidation.finalizer(finalizer, at: "spec.finalizers", &errors)
            }
        case .resourceRequirements: ResourceValidation.requirements(object, &errors)
        case .nodeSelector: PlacementValidation.nodeSelector(object, &errors)
        case .container, .replicationController, .limitRangeItem, .deviceTaint: break
        }
    }

    /// Takes back what was found inside an object and is right in its context.
    static func review(_ object: JSON, _ type: SpecialType, at path: FieldPath, _ errors: inout [FieldError]) {
        if errors.isEmpty { return }
        switch type {
        case .podSpec: PodVolumeValidation.unusable(object, at: path.appending("x").dropLast().description, &errors)
        case .statefulSetSpec: WorkloadValidation.allowClaimMounts(object, path.text, &errors)
        default: break
        }
    }
}
