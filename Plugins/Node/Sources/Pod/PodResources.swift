import Objects

/// The resources of a pod's containers, and of the pod as a whole, in their three stages: what the specification wants, what the node has granted, and
/// what each container runs with. They differ while a resize is pending or in progress.
/// See https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/.
struct PodResources: Sendable, Equatable {
    /// What stands for the pod as a whole among the names of its containers, where `spec.resources` says something of that.
    static let pod = ""

    /// By container name; ephemeral containers have none.
    private(set) var granted: [String: JSON] = [:]
    /// What a container was started with or has been brought to, by container ID.
    private(set) var applied: [String: JSON] = [:]
    /// Why what is wanted is not granted: the reason is Deferred or Infeasible.
    var pending: WaitingReason?
    /// Why what is granted could not be applied.
    var failure: String?
    /// What could not be applied is tried again from then on, wall-clock seconds.
    var retryAt = 0.0
    var podLimits = PodLimits.exact
    /// What the pod as a whole has been brought to; nil as long as that is what was granted first.
    private var appliedToPod: JSON?

    /// How the pod's own limits, which bound those of its containers, follow.
    enum PodLimits: Sendable {
        case exact
        /// Something was granted since they were set.
        case outdated
        /// They hold for the old amounts and for the new ones, until every container has the new.
        case wide
    }

    init() {}

    /// What the API shows of the containers was granted, by this process or one before it; a new pod's wishes are.
    init(_ pod: Pod) {
        var shown: [String: JSON] = [:]
        for member in ["initContainerStatuses", "containerStatuses"] {
            for status in pod.status[member].arrayValue where status["resources"].exists {
                if let name = status["name"].stringValue { shown[name] = status["resources"] }
            }
        }
        for container in pod.containers where container.kind != .ephemeral {
            granted[container.name] = shown[container.name] ?? container.object["resources"]
        }
        let own = pod.specification["resources"]
        if own.exists { granted[Self.pod] = pod.status["resources"].exists ? pod.status["resources"] : own }
    }

    /// Whether the specification wants something else than what is granted.
    func differ(from pod: Pod) -> Bool {
        let own = pod.specification["resources"]
        if own.exists, !Self.equal(granted[Self.pod] ?? .null, own) { return true }
        return pod.containers.contains { container in
            guard let known = granted[container.name] else { return false }
            return !Self.equal(known, container.object["resources"])
        }
    }

    /// Grants what the specification wants. `instances` are the containers that there are now.
    mutating func grant(_ pod: Pod, instances: some Sequence<ObservedContainer>) {
        for instance in instances where applied[instance.id] == nil { applied[instance.id] = granted[instance.name] }
        for container in pod.containers where container.kind != .ephemeral {
            granted[container.name] = container.object["resources"]
        }
        let own = pod.specification["resources"]
        if own.exists {
            appliedToPod = appliedToPod ?? granted[Self.pod] ?? .null
            granted[Self.pod] = own
        }
        pending = nil
        failure = nil
        retryAt = 0
        podLimits = .outdated
    }

    /// Notes that a container was started with, or brought to, what is granted to it now.
    mutating func apply(to id: String, named name: String) { applied[id] = granted[name] }

    /// What the pod as a whole has now.
    var podApplied: JSON { appliedToPod ?? granted[Self.pod] ?? .null }

    /// Notes that the pod as a whole, too, has what is granted to it.
    mutating func completed() {
        appliedToPod = granted[Self.pod]
        failure = nil
        podLimits = .exact
    }

    mutating func forget(_ id: String) { applied[id] = nil }

    /// What a container runs with. One that this process did not start runs with what was granted when it was found.
    func applied(to instance: ObservedContainer) -> JSON { applied[instance.id] ?? granted[instance.name] ?? .null }

    /// Whether a container runs with something else than what is granted.
    func isOutdated(_ instance: ObservedContainer) -> Bool {
        !Self.equal(applied(to: instance), granted[instance.name] ?? .null)
    }

    /// Whether the container's resizePolicy asks for a restart to apply what has changed.
    func needRestart(_ container: PodContainer, _ instance: ObservedContainer) -> Bool {
        let policies = container.object["resizePolicy"].arrayValue
        return policies.contains { policy in
            guard policy["restartPolicy"].stringValue == "RestartContainer",
                let resource = policy["resourceName"].stringValue
            else { return false }
            return !Self.equal(applied(to: instance), granted[instance.name] ?? .null, resource)
        }
    }

    /// Whether two resource requirements ask for the same amounts, of one resource or of all.
    static func equal(_ left: JSON, _ right: JSON, _ resource: String? = nil) -> Bool {
        if left == right { return true }
        return ["limits", "requests"].allSatisfy { list in
            let names = Set([left, right].flatMap { ($0[list].objectValue ?? [:]).map(\.key) })
            return names.allSatisfy { name in
                if let resource, resource != name { return true }
                let (one, other) = (left[list][name], right[list][name])
                return one == other || ResourceQuantity.milliValue(one) == ResourceQuantity.milliValue(other)
            }
        }
    }
}
