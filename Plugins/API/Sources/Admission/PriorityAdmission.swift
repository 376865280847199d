import Objects
import PluginKit

/// Turns the name of a pod's priority class into its priority, and lets there be one default class.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
struct PriorityAdmission: AdmissionPlugin {
    /// What pods get of a class.
    struct PriorityClass: Sendable {
        var name: String
        var value: Int64
        var isDefault: Bool
        var preemptionPolicy: String

        init(_ object: JSON) {
            name = object.name
            value = object["value"].integerValue ?? 0
            isDefault = object["globalDefault"].boolValue ?? false
            preemptionPolicy = object["preemptionPolicy"].stringValue ?? "PreemptLowerPriority"
        }
    }

    let name = "Priority"
    static let resources: Set<String>? = ["pods", resource]
    let classes: AdmissionCache<PriorityClass>
    private let store: StoreClient

    init(host: Host, store: StoreClient) {
        self.store = store
        classes = AdmissionCache(host, resource: Self.resource, read: PriorityClass.init)
    }

    private static let resource = "priorityclasses.scheduling.k8s.io"
    /// The classes of the system, which every cluster has.
    private static let systemClasses: [String: Int64] = [
        "system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000,
    ]
    private static let highestUserValue: Int64 = 1_000_000_000

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        if request.isWrite(of: "pods", .update) { return Self.keep(request.old["spec"], in: &request.object["spec"]) }
        guard request.isWrite(of: "pods", .create) else { return }
        let name = request.object["spec"]["priorityClassName"].stringValue ?? ""
        let chosen = name.isEmpty ? Self.defaultClass(of: classes.values()) : try find(name)
        guard chosen != nil || name.isEmpty else {
            throw request.forbidden("no PriorityClass with name \(name) was found")
        }
        if let problem = Self.fill(&request.object["spec"], chosen) { throw request.forbidden(problem) }
    }

    /// Who writes a pod without its priority does not mean to change it.
    static func keep(_ old: JSON, in spec: inout JSON) {
        for field in ["priority", "preemptionPolicy"] where spec[field].isNull && old[field].exists {
            spec[field] = old[field]
        }
    }

    /// One that the cache does not show yet is read.
    private func find(_ name: String) throws(APIStatus) -> PriorityClass? {
        if let known = classes.value(named: name) { return known }
        do {
            return try store.object("\(Self.resource)//\(name)").map(PriorityClass.init)
        } catch {
            throw .unavailable("\(error)")
        }
    }

    /// The class for pods that name none: of several defaults the lowest.
    static func defaultClass(of classes: [PriorityClass]) -> PriorityClass? {
        classes.filter(\.isDefault).min { ($0.value, $0.name) < ($1.value, $1.name) }
    }

    /// Fills in a pod's priority. The result is what is wrong with the one that it says itself.
    static func fill(_ spec: inout JSON, _ chosen: PriorityClass?) -> String? {
        let value = chosen?.value ?? 0
        if let given = spec["priority"].integerValue, given != value {
            return "the integer value of priority (\(given)) must not be provided in pod spec; priority admission "
                + "controller computed \(value) from the given PriorityClass name"
        }
        let policy = chosen?.preemptionPolicy ?? "PreemptLowerPriority"
        if let given = spec["preemptionPolicy"].stringValue, given != policy {
            return
                "the string value of PreemptionPolicy (\(given)) must not be provided in pod spec; priority admission "
                + "controller computed \(policy) from the given PriorityClass name"
        }
        if let chosen { spec["priorityClassName"] = .string(chosen.name) }
        spec["priority"] = .integer(value)
        spec["preemptionPolicy"] = .string(policy)
        return nil
    }

    // MARK: - Classes

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.resource.qualified == Self.resource, request.operation != .delete, request.subresource.isEmpty
        else { return }
        let wanted = PriorityClass(request.object)
        if request.operation == .create, let cause = Self.mistake(wanted) {
            throw .invalid(request.resource, request.name, [cause])
        }
        guard wanted.isDefault, request.old["globalDefault"].boolValue != true else { return }
        if let other = classes.values().first(where: { $0.isDefault && $0.name != wanted.name }) {
            throw request.forbidden(
                "PriorityClass \(other.name) is already marked as default. Only one default can exist")
        }
    }

    static func mistake(_ wanted: PriorityClass) -> APIStatus.Cause? {
        guard wanted.name.hasPrefix("system-") else {
            guard wanted.value > highestUserValue else { return nil }
            return .forbidden("value", "maximum allowed value of a user defined priority is \(highestUserValue)")
        }
        let problem: String
        if let value = systemClasses[wanted.name] {
            if wanted.value != value {
                problem = "value of \(wanted.name) PriorityClass must be \(value)"
            } else if wanted.isDefault {
                problem = "globalDefault of \(wanted.name) PriorityClass must be false"
            } else {
                return nil
            }
        } else {
            problem = "\(wanted.name) is not a known system priority class"
        }
        return .forbidden(
            "metadata.name",
            "priority class names with 'system-' prefix are reserved for system use only. error: \(problem)")
    }
}
