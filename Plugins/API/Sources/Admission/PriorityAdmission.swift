import Objects
import PluginKit

/// Turns the name of a pod's priority class into its priority, and keeps the names and values of the system.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
struct PriorityAdmission: AdmissionPlugin {
    let name = "Priority"
    let store: StoreClient
    private static let prefix = "priorityclasses.scheduling.k8s.io/"

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        if request.isWrite(of: "pods", .create) { try resolve(&request) }
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "priorityclasses.scheduling.k8s.io", .create) else { return }
        let isSystem = request.name.hasPrefix("system-")
        if isSystem, !request.context.request.isInternal {
            throw request.forbidden("priority class names with prefix 'system-' are reserved for system use only")
        }
        if !isSystem, request.object["value"].integerValue ?? 0 > 1_000_000_000 {
            throw request.forbidden("maximum allowed value of a user defined priority is 1000000000")
        }
    }

    private func resolve(_ request: inout AdmissionRequest) throws(APIStatus) {
        let name = request.object["spec"]["priorityClassName"].stringValue ?? ""
        let priorityClass = try priorityClass(name)
        if priorityClass.isNull, !name.isEmpty {
            throw request.forbidden("no PriorityClass with name \(name) was found")
        }
        let value = priorityClass["value"].integerValue ?? 0
        if let given = request.object["spec"]["priority"].integerValue, given != value {
            throw request.forbidden(
                "the integer value of priority (\(given)) must not be provided in pod spec; priority admission controller "
                    + "computed \(value) from the given PriorityClass name")
        }
        if priorityClass.exists { request.object["spec"]["priorityClassName"] = .string(priorityClass.name) }
        request.object["spec"]["priority"] = .integer(value)
        if request.object["spec"]["preemptionPolicy"].isNull {
            let policy = priorityClass["preemptionPolicy"].stringValue ?? "PreemptLowerPriority"
            request.object["spec"]["preemptionPolicy"] = .string(policy)
        }
    }

    /// The class of that name, or without one the default; null when there is none.
    private func priorityClass(_ name: String) throws(APIStatus) -> JSON {
        do {
            guard name.isEmpty else { return try store.object(Self.prefix + "/" + name) ?? .null }
            var found = JSON.null
            for record in try store.list(prefix: Self.prefix).records {
                let candidate = try record.object()
                if candidate["globalDefault"].boolValue == true { found = candidate }
            }
            return found
        } catch {
            throw .unavailable("\(error)")
        }
    }
}
