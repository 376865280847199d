import Objects

/// Computes the whole status of a pod from a snapshot: a pure function, so that the same facts give the same bytes.
struct PodStatusBuilder {
    let snapshot: PodSnapshot
    var waiting: [String: WaitingReason] = [:]
    var terminationMessages: [String: String] = [:]
    /// Addresses of the pod, of the sandbox's link or of the host for hostNetwork.
    var podIPs: [String] = []
    var hostIPs: [String] = []
    /// When the node took the pod up, as metav1.Time.
    var startTime: String
    var now: String
    /// Set when the node refused the pod or ended it: reason and message of a failed pod.
    var failure: WaitingReason?

    func build() -> JSON {
        let pod = snapshot.pod
        let old = pod.status
        let hasFailed = failure != nil && snapshot.containers.allSatisfy { $0.state == .exited }
        let phase = hasFailed && pod.deletionTimestamp == nil ? .failed : PodPhase.compute(snapshot)
        let builder = ContainerStatusBuilder(
            snapshot: snapshot, waiting: waiting, terminationMessages: terminationMessages,
            isEnding: pod.deletionTimestamp != nil || phase == .succeeded || phase == .failed)
        let initStatuses = statuses(pod.initContainers, old["initContainerStatuses"], builder)
        let mainStatuses = statuses(pod.regularContainers, old["containerStatuses"], builder)
        let ephemeral = statuses(pod.ephemeralContainers, old["ephemeralContainerStatuses"], builder)
        var status = JSONObject()
        if let generation = pod.object["metadata"]["generation"].integerValue {
            status["observedGeneration"] = .integer(generation)
        }
        status["phase"] = .string(phase.rawValue)
        let sandboxReady = snapshot.sandbox?.isReady == true && (pod.hostNetwork || !podIPs.isEmpty)
        status["conditions"] = PodConditions(
            pod: pod, phase: phase, initStatuses: initStatuses, statuses: mainStatuses,
            sandboxReady: sandboxReady, now: now, resources: snapshot.resources,
            isResizing: !snapshot.outdatedInstances.isEmpty, isRestarting: isRestarting,
            eviction: phase == .failed && failure?.reason == PodMemory.eviction ? failure?.message : nil
        ).build()
        addFailure(phase, to: &status)
        addAddresses(old, to: &status)
        status["startTime"] = old["startTime"].exists ? old["startTime"] : .string(startTime)
        if !initStatuses.isEmpty { status["initContainerStatuses"] = .array(initStatuses) }
        status["containerStatuses"] = .array(mainStatuses)
        if !ephemeral.isEmpty { status["ephemeralContainerStatuses"] = .array(ephemeral) }
        if let granted = snapshot.resources.granted[PodResources.pod] {
            if granted["requests"].exists { status["allocatedResources"] = granted["requests"] }
            status["resources"] = snapshot.resources.podApplied
        }
        let quality = old["qosClass"].stringValue ?? QualityOfService.classify(pod.specification).rawValue
        status["qosClass"] = .string(quality)
        return .object(status)
    }

    private var isRestarting: Bool? {
        guard let sandbox = snapshot.sandbox, snapshot.trigger != nil else { return nil }
        return !snapshot.remainders(in: sandbox.id).isEmpty
    }

    private func statuses(_ containers: [PodContainer], _ old: JSON, _ builder: ContainerStatusBuilder) -> [JSON] {
        let known = old.arrayValue
        return containers.map { container in
            let previous = known.first { $0["name"].stringValue == container.name } ?? .null
            return lostContainer(container, previous) ?? builder.build(container, previous: previous)
        }
    }

    /// A container that the API shows as running or ended, of which the runtime knows nothing any more.
    private func lostContainer(_ container: PodContainer, _ previous: JSON) -> JSON? {
        guard snapshot.newest(container.name) == nil, previous.exists else { return nil }
        if snapshot.pod.isTerminal || snapshot.pod.deletionTimestamp != nil || snapshot.isReleased {
            guard previous["state"]["running"].exists || previous["state"]["terminated"].exists else { return nil }
            var status = previous
            status["ready"] = false
            if container.kind != .ephemeral { status["started"] = false }
            guard previous["state"]["running"].exists else { return status }
            status["state"] = [
                "terminated": [
                    "exitCode": 137, "reason": "ContainerStatusUnknown",
                    "message": "The container could not be located when the pod was terminated",
                    "startedAt": .null, "finishedAt": .null,
                ]
            ]
            return status
        }
        return nil
    }

    private func addFailure(_ phase: PodPhase, to status: inout JSONObject) {
        let old = snapshot.pod.status
        if let failure, phase == .failed {
            status["reason"] = .string(failure.reason)
            status["message"] = .string(failure.message)
        } else if phase == .failed, PodPlanner.deadlineExceeded(snapshot), snapshot.pod.deletionTimestamp == nil {
            status["reason"] = "DeadlineExceeded"
            status["message"] = "Pod was active on the node longer than the specified deadline"
        } else {
            for name in ["reason", "message"] where old[name].exists { status[name] = old[name] }
        }
    }

    private func addAddresses(_ old: JSON, to status: inout JSONObject) {
        if let first = hostIPs.first {
            status["hostIP"] = .string(first)
            status["hostIPs"] = .array(hostIPs.map { ["ip": .string($0)] })
        }
        if let first = podIPs.first {
            status["podIP"] = .string(first)
            status["podIPs"] = .array(podIPs.map { ["ip": .string($0)] })
        } else {
            for name in ["podIP", "podIPs"] where old[name].exists { status[name] = old[name] }
        }
    }
}
