import Objects
import PluginKit

/// What the server adds to objects, or refuses, beyond their own content: service accounts and their tokens, tolerations,
/// priorities, addresses, classes. Webhooks will come in here.
final class Admission: Sendable {
    private let store: StoreClient
    private let services: ServiceAllocator
    private let escalation: EscalationCheck

    init(store: StoreClient, services: ServiceAllocator, authorizer: Authorizer) {
        self.store = store
        self.services = services
        escalation = EscalationCheck(store: store, authorizer: authorizer)
    }

    /// Changes a new object, or refuses it.
    /// - Returns: further steps of the write.
    func admitCreation(
        _ object: inout JSON, _ resource: Resource, _ context: RequestContext
    ) throws(APIStatus) -> [AllocationStep] {
        switch resource.qualified {
        case "pods":
            let serviceAccounts = ServiceAccountAdmission(store: store)
            try serviceAccounts.admit(&object)
            Tolerations.addDefaults(&object["spec"])
            try Priorities(store: store).resolve(&object, resource)
            object["status"]["qosClass"] = .string(QualityOfService.of(object["spec"]))
        case "namespaces":
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = .string(object.name)
            return [.put(Self.defaultServiceAccount(of: object))]
        case "services": return try services.allocate(&object, resource)
        case "persistentvolumeclaims": try setDefaultClass(&object)
        case let other where other.hasSuffix(".rbac.authorization.k8s.io"):
            try escalation.check(object, resource, context)
        case "priorityclasses.scheduling.k8s.io": try checkPriorityClass(object, resource, context)
        default: break
        }
        return []
    }

    /// Changes an object that replaces another, or refuses it.
    func admitUpdate(
        _ object: inout JSON, _ present: JSON, _ resource: Resource, _ scope: Strategy.Scope, _ context: RequestContext
    ) throws(APIStatus) -> [AllocationStep] {
        guard scope == .main || scope == .whole else { return [] }
        switch resource.qualified {
        case "namespaces":
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = .string(object.name)
        case "services": return try services.reallocate(&object, present, resource)
        case let other where other.hasSuffix(".rbac.authorization.k8s.io"):
            try escalation.check(object, resource, context)
        default: break
        }
        return []
    }

    private static let keptNamespaces: Set = ["default", "kube-system", "kube-public"]

    func admitDeletion(_ object: JSON, _ resource: Resource, _ context: RequestContext) throws(APIStatus) {
        if resource.qualified == "namespaces", Self.keptNamespaces.contains(object.name) {
            throw .forbidden(resource, object.name, "this namespace may not be deleted")
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

    /// A namespace and its default service account come into being together, so that pods can follow at once.
    private static func defaultServiceAccount(of namespace: JSON) -> JSON {
        [
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": [
                "name": "default", "namespace": .string(namespace.name), "uid": .string(makeUID()),
                "creationTimestamp": .string(namespace.creationTimestamp ?? ""),
            ],
        ]
    }

    /// Claims that name no class get the default one.
    /// See https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass.
    private func setDefaultClass(_ object: inout JSON) throws(APIStatus) {
        guard object["spec"]["storageClassName"].isNull else { return }
        let classes = try all("storageclasses.storage.k8s.io")
        let defaults = classes.filter {
            $0.annotations["storageclass.kubernetes.io/is-default-class"].stringValue == "true"
        }
        let newest = defaults.max {
            ($0.creationTimestamp ?? "", $1.name) < ($1.creationTimestamp ?? "", $0.name)
        }
        if let newest { object["spec"]["storageClassName"] = .string(newest.name) }
    }

    private func all(_ qualified: String) throws(APIStatus) -> [JSON] {
        do {
            return try store.list(prefix: qualified + "/").records.map { try $0.object() }
        } catch {
            throw .unavailable("\(error)")
        }
    }

    private func checkPriorityClass(
        _ object: JSON, _ resource: Resource, _ context: RequestContext
    ) throws(APIStatus) {
        let value = object["value"].integerValue ?? 0
        if object.name.hasPrefix("system-"), !context.request.isInternal {
            throw .forbidden(
                resource, object.name, "priority class names with prefix 'system-' are reserved for system use only")
        }
        if value > 1_000_000_000, !object.name.hasPrefix("system-") {
            throw .forbidden(
                resource, object.name, "maximum allowed value of a user defined priority is 1000000000")
        }
    }
}

/// Tolerations that every pod gets, so that it leaves a failed node after five minutes.
enum Tolerations {
    static func addDefaults(_ spec: inout JSON) {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let isTolerated = spec["tolerations"].arrayValue.contains { toleration in
                let own = toleration["key"].stringValue ?? ""
                let effect = toleration["effect"].stringValue ?? ""
                return (own == key || own.isEmpty) && (effect == "NoExecute" || effect.isEmpty)
            }
            guard !isTolerated else { continue }
            spec["tolerations"].append([
                "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            ])
        }
    }
}

/// Turns the name of a priority class into a pod's priority.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
struct Priorities {
    let store: StoreClient
    private static let prefix = "priorityclasses.scheduling.k8s.io/"

    func resolve(_ pod: inout JSON, _ resource: Resource) throws(APIStatus) {
        let name = pod["spec"]["priorityClassName"].stringValue ?? ""
        var priorityClass = JSON.null
        do {
            if !name.isEmpty {
                priorityClass = try store.object(Self.prefix + "/" + name) ?? .null
            } else {
                let page = try store.list(prefix: Self.prefix)
                for record in page.records {
                    let candidate = try record.object()
                    if candidate["globalDefault"].boolValue == true { priorityClass = candidate }
                }
            }
        } catch {
            throw .unavailable("\(error)")
        }
        if priorityClass.isNull, !name.isEmpty {
            throw .forbidden(resource, pod.name, "no PriorityClass with name \(name) was found")
        }
        let value = priorityClass["value"].integerValue ?? 0
        if let given = pod["spec"]["priority"].integerValue, given != value {
            throw .forbidden(
                resource, pod.name,
                "the integer value of priority (\(given)) must not be provided in pod spec; priority admission controller "
                    + "computed \(value) from the given PriorityClass name")
        }
        if priorityClass.exists { pod["spec"]["priorityClassName"] = .string(priorityClass.name) }
        pod["spec"]["priority"] = .integer(value)
        if pod["spec"]["preemptionPolicy"].isNull {
            let policy = priorityClass["preemptionPolicy"].stringValue ?? "PreemptLowerPriority"
            pod["spec"]["preemptionPolicy"] = .string(policy)
        }
    }
}
