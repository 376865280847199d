import Objects

/// Builds one entry of containerStatuses from what is observed and what the API showed before.
struct ContainerStatusBuilder {
    let snapshot: PodSnapshot
    /// Why containers wait, by container name; from failed starts and pulls.
    let waiting: [String: WaitingReason]
    /// Messages read from termination-message files, by container ID.
    let terminationMessages: [String: String]
    /// Whether the pod is ending: then nothing waits for a restart any more.
    let isEnding: Bool

    /// The status of one container; `previous` is its entry in the status that the API shows, or null.
    func build(_ container: PodContainer, previous: JSON) -> JSON {
        let instance = snapshot.newest(container.name)
        var status = JSONObject()
        status["name"] = .string(container.name)
        status["state"] = state(container, instance, previous: previous)
        status["lastState"] = lastState(container, instance, previous: previous)
        let running = instance?.state == .running
        let health = instance.map(snapshot.healthOf) ?? ContainerHealth()
        let started = running && health.started && !health.hookPending
        status["ready"] = .bool(isReady(container, instance, started: started, health: health))
        status["restartCount"] = .integer(
            instance?.attempt ?? snapshot.attemptFloor[container.name].map { max($0 - 1, 0) } ?? 0)
        status["image"] = .string(instance.map { $0.image.isEmpty ? container.image : $0.image } ?? container.image)
        status["imageID"] = .string(instance?.imageID ?? previous["imageID"].stringValue ?? "")
        if let instance {
            status["containerID"] = .string(instance.qualifiedID)
            addUser(instance, previous: previous, to: &status)
        }
        if container.kind != .ephemeral { status["started"] = .bool(started) }
        if let signal = container.object["lifecycle"]["stopSignal"].stringValue {
            status["stopSignal"] = .string(signal)
        }
        addResources(container, running ? instance : nil, to: &status)
        let mounts = container.object["volumeMounts"].arrayValue
        if mounts.contains(where: { $0["recursiveReadOnly"].exists }) {
            status["volumeMounts"] = .array(mounts.map(mountStatus))
        }
        return .object(status)
    }

    /// Not every runtime knows it of what it found after a restart: then it is what it was.
    private func addUser(_ instance: ObservedContainer, previous: JSON, to status: inout JSONObject) {
        if instance.user.exists {
            status["user"] = ["linux": instance.user]
        } else if previous["user"].exists, previous["containerID"].stringValue == instance.qualifiedID {
            status["user"] = previous["user"]
        }
    }

    private func isReady(
        _ container: PodContainer, _ instance: ObservedContainer?, started: Bool, health: ContainerHealth
    ) -> Bool {
        if container.kind == .initialization {
            guard let instance else { return false }
            return instance.state == .exited && instance.exitCode == 0 && !snapshot.isOfFormerRound(instance)
        }
        return started && health.ready
    }

    /// Shown where somebody asked how far "read only" reaches. All runtimes of hostd can make it reach everything.
    private func mountStatus(_ mount: JSON) -> JSON {
        var status: JSON = ["name": mount["name"], "mountPath": mount["mountPath"]]
        guard mount["readOnly"].boolValue == true else { return status }
        status["readOnly"] = true
        let isRecursive = ["Enabled", "IfPossible"].contains(mount["recursiveReadOnly"].stringValue)
        status["recursiveReadOnly"] = isRecursive ? "Enabled" : "Disabled"
        return status
    }

    /// What is granted, and what the container has now: while it does not run, what it will be started with.
    private func addResources(_ container: PodContainer, _ running: ObservedContainer?, to status: inout JSONObject) {
        guard container.kind != .ephemeral else { return }
        let granted = snapshot.resources.granted[container.name] ?? container.object["resources"]
        let present = running.map(snapshot.resources.applied(to:)) ?? granted
        if granted["requests"].exists { status["allocatedResources"] = granted["requests"] }
        var shown = JSONObject()
        for name in ["limits", "requests"] where present[name].exists { shown[name] = present[name] }
        status["resources"] = .object(shown)
    }

    private func state(_ container: PodContainer, _ instance: ObservedContainer?, previous: JSON) -> JSON {
        guard let instance else { return waitingState(waiting[container.name] ?? firstWaiting(container)) }
        switch instance.state {
        case .created: return waitingState(waiting[container.name] ?? firstWaiting(container))
        case .running:
            return ["running": ["startedAt": .string(WallClock.withoutFraction(instance.startedAt))]]
        case .exited:
            if let reason = restartWait(container, instance) { return waitingState(reason) }
            if beginsAnew(instance) { return waitingState(firstWaiting(container)) }
            return ["terminated": terminated(container, instance)]
        }
    }

    /// Why a container that ended has not been started again; nil when it will not be.
    private func restartWait(_ container: PodContainer, _ instance: ObservedContainer) -> WaitingReason? {
        guard !isEnding, snapshot.restarts(container, instance) else { return nil }
        if let known = waiting[container.name] { return known }
        guard PodPlanner.crashDelay(container, instance, snapshot) != nil else { return nil }
        let delay = snapshot.backOff[container.name]?.description ?? ""
        return WaitingReason(
            reason: "CrashLoopBackOff",
            message: "back-off \(delay) restarting failed container=\(container.name) pod=\(snapshot.pod.fullName)")
    }

    /// It has ended, and will start in its turn because the whole pod begins anew.
    private func beginsAnew(_ instance: ObservedContainer) -> Bool {
        instance.state == .exited && !isEnding && snapshot.isOfFormerRound(instance)
    }

    private func firstWaiting(_ container: PodContainer) -> WaitingReason {
        let isMain = container.kind == .regular || container.kind == .ephemeral
        let hasInit = !snapshot.pod.initContainers.isEmpty
        let initializing =
            container.kind == .regular && hasInit
            || !isMain && snapshot.pod.initContainers.first?.name != container.name
        return WaitingReason(reason: initializing ? "PodInitializing" : "ContainerCreating", message: "")
    }

    private func waitingState(_ reason: WaitingReason) -> JSON {
        var waiting: JSONObject = ["reason": .string(reason.reason)]
        if !reason.message.isEmpty { waiting["message"] = .string(reason.message) }
        return ["waiting": .object(waiting)]
    }

    private func lastState(_ container: PodContainer, _ instance: ObservedContainer?, previous: JSON) -> JSON {
        if let instance, instance.state == .exited, restartWait(container, instance) != nil || beginsAnew(instance) {
            return ["terminated": terminated(container, instance)]
        }
        if let earlier = snapshot.previous(container.name) {
            return ["terminated": terminated(container, earlier)]
        }
        if let instance, instance.attempt == 0 { return [:] }
        // Its record is gone: what the API showed about it is all that is known.
        let shown = previous["lastState"]
        if shown["terminated"].exists { return shown }
        if previous["state"]["terminated"].exists,
            instance == nil || previous["containerID"].stringValue != instance?.qualifiedID
        {
            return ["terminated": previous["state"]["terminated"]]
        }
        return [:]
    }

    func terminated(_ container: PodContainer, _ instance: ObservedContainer) -> JSON {
        var state: JSONObject = ["exitCode": .integer(instance.exitCode)]
        let reason = instance.reason.isEmpty ? (instance.exitCode == 0 ? "Completed" : "Error") : instance.reason
        state["reason"] = .string(reason)
        let message = terminationMessages[instance.id] ?? instance.message
        if !message.isEmpty { state["message"] = .string(message) }
        if !instance.startedAt.isEmpty {
            state["startedAt"] = .string(WallClock.withoutFraction(instance.startedAt))
        } else {
            state["startedAt"] = .null
        }
        state["finishedAt"] =
            instance.finishedAt.isEmpty ? .null : .string(WallClock.withoutFraction(instance.finishedAt))
        state["containerID"] = .string(instance.qualifiedID)
        return .object(state)
    }
}
