import Objects
import PluginKit

/// What the server adds to objects, or refuses, beyond their own content: the admission plugins in their order, and what
/// is given out with objects, addresses and ports.
final class Admission: Sendable {
    private let services: ServiceAllocator
    private let plugins: [any AdmissionPlugin]
    private let policies = [PolicyIndex(.mutating), PolicyIndex(.validating)]
    private let webhooks = [WebhookIndex(.mutating), WebhookIndex(.validating)]

    init(
        store: StoreClient, services: ServiceAllocator, authorizer: Authorizer, resources: ResourceTable,
        rules: any ObjectRules
    ) {
        self.services = services
        let tools = PolicyTools(store: store, resources: resources, authorizer: authorizer)
        // The order of Kubernetes: who changes objects comes before who looks at what became of them.
        plugins = [
            NamespaceLifecycle(),
            ServiceAccountAdmission(store: store),
            PriorityAdmission(store: store),
            DefaultTolerationSeconds(),
            DefaultStorageClass(store: store),
            RoleEscalation(store: store, authorizer: authorizer),
            ExpressionChecks(),
            MutatingPolicies(index: policies[0], tools: tools, rules: rules),
            MutatingWebhooks(index: webhooks[0], tools: tools, rules: rules),
            ValidatingPolicies(index: policies[1], tools: tools),
            ValidatingWebhooks(index: webhooks[1], tools: tools),
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

    /// Changes what is to be written, or refuses it.
    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        for plugin in plugins { try plugin.admit(&request) }
        if request.isWrite(of: "pods", .create) {
            request.object["status"]["qosClass"] = .string(QualityOfService.of(request.object["spec"]))
        }
        guard request.resource.qualified == "services" else { return }
        switch request.operation {
        case .create: request.steps += try services.allocate(&request.object, request.resource)
        case .update where request.subresource.isEmpty:
            request.steps += try services.reallocate(&request.object, request.old, request.resource)
        case .update, .delete: break
        }
    }

    /// Looks at what is about to be written, or deleted, and refuses it or warns of it.
    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        for plugin in plugins { try plugin.validate(&request) }
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
