import Objects
import PluginKit
import Synchronization

/// What the server adds to objects, or refuses, beyond their own content: the admission plugins in their order, and what
/// is given out with objects, addresses and ports.
final class Admission: Sendable {
    let services: ServiceAllocator
    let quotas: QuotaAdmission
    let limits: LimitRanger
    let podSecurity: PodSecurityAdmission
    private let priorities: PriorityAdmission
    private let runtimes: RuntimeClassAdmission
    private let plugins: [any AdmissionPlugin]
    /// Those that look at a resource, by its name, once it has been written.
    private let concerned = Mutex<[String: [any AdmissionPlugin]]>([:])
    /// Names of custom resources come and go.
    private static let concernedLimit = 1024
    /// Those that look at connections, too.
    private let connecting: [any AdmissionPlugin]
    private let metrics: AdmissionMetrics
    private let webhookPool = WorkerPool(limit: RequestPipeline.mostAsking)
    private let policies = [PolicyIndex(.mutating), PolicyIndex(.validating)]
    private let webhooks = [WebhookIndex(.mutating), WebhookIndex(.validating)]

    init(
        host: Host, store: StoreClient, services: ServiceAllocator, authorizer: Authorizer, resources: ResourceTable,
        rules: any ObjectRules
    ) {
        self.services = services
        metrics = AdmissionMetrics(host)
        let tools = PolicyTools(store: store, resources: resources, authorizer: authorizer, metrics: metrics)
        quotas = QuotaAdmission(host: host, store: store)
        limits = LimitRanger(host: host)
        podSecurity = PodSecurityAdmission(host: host, store: store)
        priorities = PriorityAdmission(host: host, store: store)
        runtimes = RuntimeClassAdmission(host: host, store: store)
        let signers = SignerPermissions(authorizer: authorizer)
        let mutatingWebhooks = MutatingWebhooks(index: webhooks[0], tools: tools, rules: rules)
        let validatingPolicies = ValidatingPolicies(index: policies[1], tools: tools)
        let validatingWebhooks = ValidatingWebhooks(index: webhooks[1], tools: tools, pool: webhookPool)
        let mutatingPolicies = MutatingPolicies(index: policies[0], tools: tools, rules: rules)
        connecting = [mutatingPolicies, mutatingWebhooks, validatingPolicies, validatingWebhooks]
        // The order of Kubernetes: who changes objects comes before who looks at what became of them.
        plugins = [
            NamespaceLifecycle(),
            DeviceAccess(store: store, authorizer: authorizer),
            limits,
            ServiceAccountAdmission(store: store),
            NodeRestriction(store: store),
            TaintNodesByCondition(),
            podSecurity,
            priorities,
            DefaultTolerationSeconds(),
            DefaultStorageClass(store: store),
            StorageObjectInUseProtection(),
            PersistentVolumeClaimResize(store: store),
            runtimes,
            CertificateApproval(permissions: signers),
            CertificateSigning(permissions: signers),
            CertificateSubjectRestriction(),
            DefaultIngressClass(store: store),
            PodTopologyLabels(store: store),
            RoleEscalation(store: store, authorizer: authorizer),
            mutatingPolicies,
            mutatingWebhooks,
            validatingPolicies,
            validatingWebhooks,
            // The last: what is refused is not charged.
            quotas,
        ]
    }

    /// What keeps the caches of stored rules; to be started before requests are served.
    func informers(_ host: Host) throws(PluginError) -> [Informer] {
        var informers: [Informer] = []
        for index in policies { informers += try index.informers(host) }
        for index in webhooks { informers.append(try index.informer(host)) }
        return informers
    }

    /// Whether a write of a resource may have to wait for webhooks, so that it does not run on an event loop.
    func mayWait(_ resource: Resource) -> Bool { webhooks.contains { $0.concerns(resource) } }

    /// Whether stored policies or webhooks may look at objects of a resource.
    func isLookedAt(_ resource: Resource) -> Bool {
        mayWait(resource) || policies.contains { !$0.entries.isEmpty }
    }

    /// Fills the caches that the plugins decide by, and follows.
    func start() throws {
        try limits.ranges.start()
        try quotas.quotas.start()
        try podSecurity.policies.start()
        try priorities.classes.start()
        try runtimes.classes.start()
        try services.ranges.objects.start()
    }

    func stop() {
        limits.ranges.stop()
        quotas.quotas.stop()
        podSecurity.policies.stop()
        priorities.classes.stop()
        runtimes.classes.stop()
        services.ranges.objects.stop()
        webhookPool.stop()
    }

    /// A pod with scheduling gates says from the beginning why it has no node.
    private static func explainGates(_ pod: inout JSON) {
        guard !pod["spec"]["schedulingGates"].isEmpty else { return }
        let condition: JSON = [
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastTransitionTime": .string(Timestamp.now().formatted(fraction: .none)),
        ]
        pod["status"]["conditions"] = [condition]
    }

    /// Changes what is to be written, or refuses it.
    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        try metrics.step(.admit, &request) { (request) throws(APIStatus) in try runAdmit(&request) }
    }

    private func runAdmit(_ request: inout AdmissionRequest) throws(APIStatus) {
        try admit(plugins(of: request.resource), &request)
        if request.isWrite(of: "pods", .create) {
            request.object["status"]["qosClass"] = .string(QualityOfService.of(request.object["spec"]))
            Self.explainGates(&request.object)
        }
        guard request.resource.qualified == "services" else { return }
        switch request.operation {
        case .create: request.steps += try services.allocate(&request.object, request.resource)
        case .update where request.subresource.isEmpty:
            request.steps += try services.reallocate(&request.object, request.old, request.resource)
        case .update, .delete, .connect: break
        }
    }

    /// Asks all, and all again once a policy or a webhook has changed the object.
    private func admit(_ plugins: [any AdmissionPlugin], _ request: inout AdmissionRequest) throws(APIStatus) {
        do throws(APIStatus) {
            for plugin in plugins { try ask(plugin, .admit, &request) }
            guard request.rounds?.startSecond() == true else { return }
            for plugin in plugins { try ask(plugin, .admit, &request) }
        } catch {
            throw error.warning(request.warnings)
        }
    }

    private func validate(_ plugins: [any AdmissionPlugin], _ request: inout AdmissionRequest) throws(APIStatus) {
        do throws(APIStatus) {
            for plugin in plugins { try ask(plugin, .validate, &request) }
        } catch {
            throw error.warning(request.warnings)
        }
    }

    private func ask(
        _ plugin: any AdmissionPlugin, _ step: AdmissionMetrics.Step, _ request: inout AdmissionRequest
    ) throws(APIStatus) {
        guard plugin.isTimed else { return try Self.run(plugin, step, &request) }
        try metrics.controller(plugin.name, step, &request) { (request) throws(APIStatus) in
            try Self.run(plugin, step, &request)
        }
    }

    private static func run(
        _ plugin: any AdmissionPlugin, _ step: AdmissionMetrics.Step, _ request: inout AdmissionRequest
    ) throws(APIStatus) {
        switch step {
        case .admit: try plugin.admit(&request)
        case .validate: try plugin.validate(&request)
        }
    }

    /// Whether anybody may have something to say of connections.
    var looksAtConnections: Bool {
        webhooks.contains { !$0.webhooks.isEmpty } || policies.contains { !$0.entries.isEmpty }
    }

    /// Asks whether a client may be connected, and how. [blocking]
    func connect(_ request: inout AdmissionRequest) throws(APIStatus) {
        try admit(connecting, &request)
        try validate(connecting, &request)
    }

    /// Looks at what is about to be written, or deleted, and refuses it or warns of it.
    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        try metrics.step(.validate, &request) { (request) throws(APIStatus) in
            try validate(plugins(of: request.resource), &request)
        }
    }

    /// Those of the plugins that look at a resource, in their order.
    private func plugins(of resource: Resource) -> [any AdmissionPlugin] {
        let name = resource.qualified
        return concerned.withLock { concerned in
            if let known = concerned[name] { return known }
            let found = plugins.filter { type(of: $0).resources?.contains(name) ?? true }
            if concerned.count >= Self.concernedLimit { concerned.removeAll() }
            concerned[name] = found
            return found
        }
    }

    /// What a removed object gives back.
    func releases(_ object: JSON, _ resource: Resource) -> [AllocationStep] {
        resource.qualified == "services" ? services.releases(object) : []
    }

    /// New choices for what was taken by another meanwhile.
    func chooseAgain(
        _ object: inout JSON, _ resource: Resource, _ steps: [AllocationStep]
    ) throws(APIStatus) -> [AllocationStep] {
        guard resource.qualified == "services" else { return steps }
        return try services.chooseAgain(&object, resource, steps)
    }
}
