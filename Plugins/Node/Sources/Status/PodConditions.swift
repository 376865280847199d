import Objects

/// The conditions of a pod that the node owns; those of others are left as they are.
struct PodConditions {
    /// Types that the node writes.
    static let owned: Set<String> = [
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "PodResizePending",
        "PodResizeInProgress", "AllContainersRestarting",
    ]

    let pod: Pod
    let phase: PodPhase
    /// Built statuses of init and of regular containers.
    let initStatuses: [JSON]
    let statuses: [JSON]
    /// The sandbox stands and has its address.
    let sandboxReady: Bool
    let now: String
    var resources = PodResources()
    /// Some container runs with other resources than it is granted.
    var isResizing = false
    /// Whether containers are being ended so that all can begin anew; nil as long as none has asked for that.
    var isRestarting: Bool?
    /// Why the node has ended the pod.
    var eviction: String?

    /// The full list: transition times are kept where the status did not change.
    func build() -> JSON {
        let existing = pod.status["conditions"].arrayValue
        var result: [JSON] = []
        let containersReady = containersReadyCondition()
        let wanted =
            [
                condition("PodReadyToStartContainers", sandboxReady, nil, ""),
                initializedCondition(), readyCondition(containersReady), containersReady,
                condition("PodScheduled", true, nil, ""),
            ] + resizeConditions() + (isRestarting.map { [condition("AllContainersRestarting", $0, nil, "")] } ?? [])
            + (eviction.map { [condition("DisruptionTarget", true, "TerminationByKubelet", $0)] } ?? [])
        for var entry in wanted {
            let old = existing.first { $0["type"] == entry["type"] } ?? .null
            entry["lastTransitionTime"] =
                old["status"] == entry["status"] && old["lastTransitionTime"].exists
                ? old["lastTransitionTime"] : .string(now)
            entry["lastProbeTime"] = .null
            if let generation = pod.object["metadata"]["generation"].integerValue {
                entry["observedGeneration"] = .integer(generation)
            }
            result.append(entry)
        }
        for foreign in existing
        where !Self.owned.contains(foreign["type"].stringValue ?? "")
            && !result.contains(where: { $0["type"] == foreign["type"] })
        { result.append(foreign) }
        return .array(result)
    }

    private func condition(_ type: String, _ status: Bool, _ reason: String?, _ message: String) -> JSON {
        var object: JSONObject = ["type": .string(type), "status": .string(status ? "True" : "False")]
        if let reason { object["reason"] = .string(reason) }
        if !message.isEmpty { object["message"] = .string(message) }
        return .object(object)
    }

    /// Present only while a resize waits or goes on.
    private func resizeConditions() -> [JSON] {
        var result: [JSON] = []
        if let pending = resources.pending {
            result.append(condition("PodResizePending", true, pending.reason, pending.message))
        }
        if let failure = resources.failure {
            result.append(condition("PodResizeInProgress", true, "Error", failure))
        } else if isResizing {
            result.append(condition("PodResizeInProgress", true, nil, ""))
        }
        return result
    }

    private func initializedCondition() -> JSON {
        let kinds = pod.initContainers
        let incomplete = zip(kinds, initStatuses).filter { container, status in
            container.kind == .sidecar
                ? status["started"].boolValue != true : status["ready"].boolValue != true
        }.map(\.0.name)
        if phase == .succeeded { return condition("Initialized", true, "PodCompleted", "") }
        // Once a main container has run, initialization is over, whatever became of the records since.
        let begun = statuses.contains { $0["containerID"].exists }
        if incomplete.isEmpty || begun { return condition("Initialized", true, nil, "") }
        return condition(
            "Initialized", false, "ContainersNotInitialized",
            "containers with incomplete status: [\(incomplete.joined(separator: " "))]")
    }

    private func containersReadyCondition() -> JSON {
        if phase == .succeeded { return condition("ContainersReady", false, "PodCompleted", "") }
        if phase == .failed { return condition("ContainersReady", false, "PodFailed", "") }
        let sidecars = zip(pod.initContainers, initStatuses).filter { $0.0.kind == .sidecar }
        let all = sidecars + zip(pod.regularContainers, statuses)
        let unready = all.filter { $0.1["ready"].boolValue != true }.map(\.0.name)
        if unready.isEmpty { return condition("ContainersReady", true, nil, "") }
        return condition(
            "ContainersReady", false, "ContainersNotReady",
            "containers with unready status: [\(unready.joined(separator: " "))]")
    }

    private func readyCondition(_ containersReady: JSON) -> JSON {
        if containersReady["status"].stringValue != "True" {
            return condition(
                "Ready", false, containersReady["reason"].stringValue, containersReady["message"].stringValue ?? "")
        }
        let conditions = pod.status["conditions"].arrayValue
        let closed = pod.specification["readinessGates"].arrayValue.compactMap { $0["conditionType"].stringValue }
            .compactMap { gate -> String? in
                guard let found = conditions.first(where: { $0["type"].stringValue == gate }) else {
                    return "corresponding condition of pod readiness gate \"\(gate)\" does not exist."
                }
                let status = found["status"].stringValue ?? ""
                if status == "True" { return nil }
                return "the status of pod readiness gate \"\(gate)\" is not \"True\", but \(status)"
            }
        guard !closed.isEmpty else { return condition("Ready", true, nil, "") }
        return condition("Ready", false, "ReadinessGatesNotReady", closed.joined(separator: ", "))
    }
}
