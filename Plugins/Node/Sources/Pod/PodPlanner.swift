/// The pod state machine: a pure function from what is wanted and what is observed to the next steps.
///
///     deleted or past its deadline → stop containers → stop sandbox → release → finalize (deleted only)
///     otherwise                    → sandbox → init containers in order → regular containers → restarts → finished
enum PodPlanner {
    /// The next steps; empty when the pod is as it should be or waits for an event.
    static func plan(_ snapshot: PodSnapshot) -> PodPlan {
        let pod = snapshot.pod
        if snapshot.isOrphan || pod.deletionTimestamp != nil {
            let grace = snapshot.isOrphan ? min(pod.deletionGraceSeconds, 1) : pod.deletionGraceSeconds
            return terminate(snapshot, reason: .podDeleted, graceSeconds: max(grace, 1), finalize: true)
        }
        if deadlineExceeded(snapshot) {
            return terminate(
                snapshot, reason: .deadlineExceeded, graceSeconds: pod.terminationGraceSeconds, finalize: false)
        }
        if snapshot.isEvicted {
            return terminate(snapshot, reason: .podFinished, graceSeconds: 1, finalize: false)
        }
        if pod.isTerminal || snapshot.isRefused || isFinished(snapshot) {
            return terminate(snapshot, reason: .podFinished, graceSeconds: pod.terminationGraceSeconds, finalize: false)
        }
        var plan = run(snapshot)
        if let deadline = pod.activeDeadlineSeconds {
            plan.wake(after: snapshot.startedAt + Double(deadline) - snapshot.now)
        }
        return plan
    }

    static func deadlineExceeded(_ snapshot: PodSnapshot) -> Bool {
        guard let deadline = snapshot.pod.activeDeadlineSeconds else { return false }
        return snapshot.now >= snapshot.startedAt + Double(deadline)
    }

    /// Whether nothing will run in the pod again: its work is done, or an init container failed for good.
    static func isFinished(_ snapshot: PodSnapshot) -> Bool {
        let pod = snapshot.pod
        for container in pod.initContainers where container.kind == .initialization {
            if let last = snapshot.newest(container.name), last.state == .exited, last.exitCode != 0,
                !snapshot.restarts(container, last)
            {
                return true
            }
        }
        return pod.regularContainers.allSatisfy { container in
            guard let last = snapshot.newest(container.name), last.state == .exited else { return false }
            return !snapshot.restarts(container, last)
        }
    }

    // MARK: - Ending

    private static func terminate(
        _ snapshot: PodSnapshot, reason: StopReason, graceSeconds: Int64, finalize: Bool
    ) -> PodPlan {
        var plan = PodPlan()
        let live = snapshot.containers.filter { $0.state != .exited }
        let deadline = graceDeadline(snapshot, graceSeconds: graceSeconds)
        let kinds = Dictionary(
            snapshot.pod.containers.map { ($0.name, $0.kind) }, uniquingKeysWith: { first, _ in first })
        let ordinary = live.filter { kinds[$0.name] != .sidecar }
        // Sidecars outlive the containers that they serve, and end one by one in reverse order.
        let sidecarOrder = snapshot.pod.initContainers.filter { $0.kind == .sidecar }.map(\.name)
        let lastSidecar = sidecarOrder.last { name in live.contains { $0.name == name } }
        let turn = ordinary.isEmpty ? live.filter { $0.name == lastSidecar } : ordinary
        for container in turn {
            if container.state == .created, snapshot.stopping[container.id] == nil {
                plan.actions.append(.removeContainer(id: container.id))
                continue
            }
            if pursueStop(container, reason, snapshot, until: deadline, plan: &plan) { continue }
            let left = max(1, Int64((deadline - snapshot.now).rounded(.up)))
            plan.actions.append(
                .stopContainer(id: container.id, name: container.name, reason: reason, graceSeconds: left))
        }
        for container in live where container.state == .running && !turn.contains(where: { $0.id == container.id }) {
            beginPreStop(container, reason, snapshot, until: deadline, plan: &plan)
        }
        guard live.isEmpty else { return plan }
        let open = finalize ? snapshot.sandboxes : snapshot.sandboxes.filter(\.isReady)
        plan.actions += open.map { finalize ? .removeSandbox(id: $0.id) : .stopSandbox(id: $0.id) }
        // Volumes are given back when nothing can use them any more.
        guard open.isEmpty else { return plan }
        if !snapshot.isReleased { plan.actions.append(.releaseResources) }
        if finalize { plan.actions.append(.finalize) }
        return plan
    }

    /// The hooks of sidecars run at once, beside the ends of those that go before them: only the signal waits for its turn.
    private static func beginPreStop(
        _ container: ObservedContainer, _ reason: StopReason, _ snapshot: PodSnapshot, until deadline: Double,
        plan: inout PodPlan
    ) {
        guard snapshot.preStops[container.id] == nil, snapshot.stopping[container.id] == nil,
            snapshot.pod.container(named: container.name)?.hasPreStop == true
        else { return }
        let left = max(1, Int64((deadline - snapshot.now).rounded(.up)))
        plan.actions.append(
            .beginPreStop(id: container.id, name: container.name, reason: reason, graceSeconds: left))
    }

    /// Looks after a stop in progress: it is killed when its time is up. False when there is none, or when it has more
    /// time than `deadline` leaves it now.
    private static func pursueStop(
        _ container: ObservedContainer, _ reason: StopReason, _ snapshot: PodSnapshot, until deadline: Double? = nil,
        plan: inout PodPlan
    ) -> Bool {
        guard let until = snapshot.stopping[container.id] else { return false }
        if until <= snapshot.now {
            if !snapshot.killing.contains(container.id) {
                plan.actions.append(
                    .stopContainer(id: container.id, name: container.name, reason: reason, graceSeconds: 0))
            }
            return true
        }
        // The stop was given whole seconds, rounded up, counted from a little later than the plan.
        if let deadline, until > deadline + 1.5 { return false }
        plan.wake(after: until - snapshot.now)
        return true
    }

    /// When the grace period ends: it is shared by all containers and begins with the deletion.
    private static func graceDeadline(_ snapshot: PodSnapshot, graceSeconds: Int64) -> Double {
        if let deletion = snapshot.pod.deletionTimestamp.flatMap(WallClock.seconds(rfc3339:)) {
            // The API sets deletionTimestamp to the time when the grace period ends.
            return min(max(deletion, snapshot.now + 1), snapshot.now + Double(graceSeconds))
        }
        let begun = (Array(snapshot.stopping.values) + Array(snapshot.preStops.values)).min()
        return begun ?? snapshot.now + Double(graceSeconds)
    }

    // MARK: - Running

    private static func run(_ snapshot: PodSnapshot) -> PodPlan {
        var plan = PodPlan()
        guard let sandbox = snapshot.sandbox, sandbox.isReady else {
            return replaceSandbox(snapshot)
        }
        for stale in snapshot.sandboxes where stale.id != sandbox.id { endSandbox(stale, snapshot, plan: &plan) }
        let remainders = snapshot.remainders(in: sandbox.id)
        if !remainders.isEmpty {
            for container in remainders { plan.actions.append(endOfRound(container)) }
            return plan
        }
        applyResources(snapshot, plan: &plan)
        let begun = snapshot.pod.regularContainers.contains { snapshot.current($0.name, in: sandbox.id) != nil }
        guard initialize(snapshot, sandbox, begun: begun, plan: &plan) else { return plan }
        for container in snapshot.pod.regularContainers {
            keepRunning(container, snapshot, sandbox, plan: &plan)
        }
        for container in snapshot.pod.ephemeralContainers where snapshot.newest(container.name) == nil {
            start(container, snapshot, plan: &plan)
        }
        return plan
    }

    /// Neither hooks nor grace: the pod begins anew, quickly.
    private static func endOfRound(_ container: ObservedContainer) -> PodAction {
        container.state == .created
            ? .removeContainer(id: container.id)
            : .stopContainer(id: container.id, name: container.name, reason: .podRestarts, graceSeconds: 0)
    }

    /// The pod's own limits come first when there is more; they become exact again once nothing is left to be applied.
    private static func applyResources(_ snapshot: PodSnapshot, plan: inout PodPlan) {
        let outdated = snapshot.outdatedInstances
        let isDue =
            switch snapshot.resources.podLimits {
            case .outdated: true
            case .wide: outdated.isEmpty || outdated.contains { !snapshot.needsRestart($0) }
            case .exact: outdated.contains { !snapshot.needsRestart($0) }
            }
        guard isDue else { return }
        if snapshot.resources.retryAt > snapshot.now {
            plan.wake(after: snapshot.resources.retryAt - snapshot.now)
        } else {
            plan.actions.append(.applyResources)
        }
    }

    private static func replaceSandbox(_ snapshot: PodSnapshot) -> PodPlan {
        var plan = PodPlan()
        for stale in snapshot.sandboxes { endSandbox(stale, snapshot, plan: &plan) }
        if snapshot.containers.contains(where: { $0.state != .exited }) { return plan }
        if snapshot.sandboxRetryAt > snapshot.now {
            plan.wake(after: snapshot.sandboxRetryAt - snapshot.now)
            return plan
        }
        plan.actions.append(.createSandbox(attempt: snapshot.sandbox.map { $0.attempt + 1 } ?? 0))
        return plan
    }

    private static func endSandbox(_ sandbox: ObservedSandbox, _ snapshot: PodSnapshot, plan: inout PodPlan) {
        let live = snapshot.containers.filter { $0.sandboxID == sandbox.id && $0.state != .exited }
        if live.isEmpty, sandbox.isReady { plan.actions.append(.stopSandbox(id: sandbox.id)) }
        for container in live where !pursueStop(container, .sandboxLost, snapshot, plan: &plan) {
            plan.actions.append(
                .stopContainer(id: container.id, name: container.name, reason: .sandboxLost, graceSeconds: 1))
        }
    }

    /// Brings the init sequence forward; false while regular containers must wait.
    private static func initialize(
        _ snapshot: PodSnapshot, _ sandbox: ObservedSandbox, begun: Bool, plan: inout PodPlan
    ) -> Bool {
        for container in snapshot.pod.initContainers {
            if container.kind == .sidecar {
                keepRunning(container, snapshot, sandbox, plan: &plan)
                if begun { continue }
                guard let instance = snapshot.current(container.name, in: sandbox.id), instance.state == .running else {
                    return false
                }
                let health = snapshot.healthOf(instance)
                if !health.started || health.hookPending { return false }
                continue
            }
            if begun { continue }
            guard let instance = snapshot.current(container.name, in: sandbox.id) else {
                start(container, snapshot, after: snapshot.newest(container.name, in: sandbox.id), plan: &plan)
                return false
            }
            if instance.state == .exited, instance.exitCode == 0 { continue }
            keepRunning(container, snapshot, sandbox, plan: &plan)
            return false
        }
        return true
    }

    /// Starts a container that should run and does not; stops one that is unhealthy or outdated.
    private static func keepRunning(
        _ container: PodContainer, _ snapshot: PodSnapshot, _ sandbox: ObservedSandbox, plan: inout PodPlan
    ) {
        guard let instance = snapshot.current(container.name, in: sandbox.id) else {
            start(container, snapshot, after: snapshot.newest(container.name, in: sandbox.id), plan: &plan)
            return
        }
        switch instance.state {
        case .created:
            plan.actions.append(.removeContainer(id: instance.id))
            start(container, snapshot, plan: &plan)
        case .running:
            stopIfUnfit(container, instance, snapshot, plan: &plan)
        case .exited:
            guard snapshot.restarts(container, instance) else { return }
            start(container, snapshot, after: instance, plan: &plan)
        }
    }

    private static func stopIfUnfit(
        _ container: PodContainer, _ instance: ObservedContainer, _ snapshot: PodSnapshot, plan: inout PodPlan
    ) {
        if pursueStop(instance, .specificationChanged, snapshot, plan: &plan) { return }
        let health = snapshot.healthOf(instance)
        let changed = instance.isOfAnotherImage(than: container)
        let resized = snapshot.resources.isOutdated(instance) && snapshot.needsRestart(instance)
        let wanted = changed ? StopReason.specificationChanged : resized ? .resized : nil
        guard let reason = health.killReason ?? wanted else { return }
        plan.actions.append(
            .stopContainer(
                id: instance.id, name: container.name, reason: reason,
                graceSeconds: health.killGraceSeconds ?? snapshot.pod.terminationGraceSeconds))
    }

    private static func start(
        _ container: PodContainer, _ snapshot: PodSnapshot, after exited: ObservedContainer? = nil,
        plan: inout PodPlan
    ) {
        if let retry = snapshot.retryAt[container.name], retry > snapshot.now {
            plan.wake(after: retry - snapshot.now)
            return
        }
        if let exited, let left = crashDelay(container, exited, snapshot) {
            plan.wake(after: left)
            return
        }
        plan.actions.append(
            .startContainer(name: container.name, attempt: snapshot.nextAttempt(container.name)))
    }

    /// Seconds until a container that ended may be started again. What was ended to be started anew, and what is another
    /// program now, does not wait.
    static func crashDelay(_ container: PodContainer, _ exited: ObservedContainer, _ snapshot: PodSnapshot) -> Double? {
        if snapshot.replacing.contains(exited.id) || exited.isOfAnotherImage(than: container) { return nil }
        // Who ended for another's sake does not wait either; who let all begin anew does.
        if snapshot.isOfFormerRound(exited), container.rule(forExitCode: exited.exitCode) == nil { return nil }
        let failedAt = WallClock.seconds(rfc3339: exited.finishedAt) ?? 0
        return snapshot.backOff[container.name]?.remaining(failedAt: failedAt, now: snapshot.now)
    }
}
