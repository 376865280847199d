import Glibc
import Objects
import PluginAPI
import PluginKit

extension PodWorker {
    /// Begins to stop a container beside the worker: preStop hook, then the stop signal. The state machine comes back
    /// when the grace period is over, and stops it without grace. A later call with less grace overtakes an earlier one.
    func stopContainer(_ entry: PodEntry, id: String, name: String, reason: StopReason, graceSeconds: Int64) {
        // Whoever routes to the pod still wants to know whether it is ready, until it has ended.
        probes.remove(containerID: id, keepsReadiness: reason == .podDeleted)
        let pod = entry.pod
        let container = pod.container(named: name)
        guard graceSeconds > 0 else {
            guard entry.update({ $0.killing.insert(id).inserted }) else { return }
            if reason == .podRestarts {
                services.events.normal(pod, "Killing", reason.message(container: name), container: container)
            }
            return kill(entry, id: id)
        }
        let deadline = WallClock.now() + Double(graceSeconds)
        let (isFirst, hook) = entry.update { memory -> (Bool, EarlyHook) in
            defer { memory.stopping[id] = deadline }
            if reason == .specificationChanged || reason == .resized { memory.replacing.insert(id) }
            let hook: EarlyHook =
                memory.preStopped.contains(id) ? .done : memory.preStops[id] != nil ? .running : .none
            return (memory.stopping[id] == nil, hook)
        }
        if isFirst, hook == .none {
            services.events.normal(pod, "Killing", reason.message(container: name), container: container)
        }
        // Whoever runs the hook goes on from there.
        if isFirst, hook == .running { return }
        services.operations.run { [weak self] in
            guard let self else { return }
            if isFirst, hook == .none, reason != .sandboxLost, let container {
                runPreStop(entry, container, id: id, until: deadline)
            }
            signal(entry, id: id)
        }
    }

    /// Where a preStop hook is that was begun before the container's turn to end.
    private enum EarlyHook { case none, running, done }

    /// Runs the preStop hook of a sidecar beside the worker, before its turn to end has come. When that comes meanwhile, the
    /// signal follows the hook.
    func beginPreStop(_ entry: PodEntry, id: String, name: String, reason: StopReason, graceSeconds: Int64) {
        let pod = entry.pod
        let deadline = WallClock.now() + Double(graceSeconds)
        guard let container = pod.container(named: name),
            entry.update({ $0.preStops.updateValue(deadline, forKey: id) == nil })
        else { return }
        services.events.normal(pod, "Killing", reason.message(container: name), container: container)
        services.operations.run { [weak self] in
            guard let self else { return }
            runPreStop(entry, container, id: id, until: deadline)
            let isDue = entry.update { memory -> Bool in
                memory.preStopped.insert(id)
                return memory.stopping[id] != nil
            }
            if isDue { signal(entry, id: id) } else { enqueue(entry.uid, 0) }
        }
    }

    private func runPreStop(_ entry: PodEntry, _ container: PodContainer, id: String, until deadline: Double) {
        let hook = container.object["lifecycle"]["preStop"]
        guard hook.exists, runtimeState.pod(entry.uid).containers[id]?.state == .running else { return }
        // The planner must not kill it under the hook; the hook has its own end.
        entry.update { _ = $0.killing.insert(id) }
        do {
            try hookRunner.run(
                hook, containerID: id, container: container, podIP: entry.read { $0.podIPs.first } ?? "",
                timeoutSeconds: max(deadline - WallClock.now(), 1),
                isCancelled: { [weak self] in
                    // An end of its own, or a shorter grace period.
                    guard let self, !hasEnded(entry, id) else { return true }
                    return entry.read { ($0.stopping[id] ?? $0.preStops[id] ?? 0) < WallClock.now() }
                })
        } catch {
            services.events.warning(
                entry.pod, "FailedPreStopHook", "PreStopHook failed: \(error)", container: container)
        }
        entry.update { memory in
            memory.killing.remove(id)
            // A hook that used the grace period up still leaves two seconds for the signal.
            if let until = memory.stopping[id] { memory.stopping[id] = max(until, WallClock.now() + 2) }
        }
    }

    /// Sends the stop signal and leaves: whoever waits for the end is not in the runtime meanwhile.
    private func signal(_ entry: PodEntry, id: String) {
        let until = entry.read { $0.stopping[id] } ?? 0
        let left = max(until - WallClock.now(), 1)
        do {
            _ = try services.runtime.stopContainer(
                ["id": .string(id), "timeoutSeconds": .integer(Int64(left.rounded(.up)))],
                deadline: WallClock.deadline(seconds: 0.02))
            try stopped(entry, id: id)
        } catch let error as PluginError where error.code == HOSTD_ERROR_DEADLINE_EXCEEDED {
            enqueue(entry.uid, UInt64(max(until - WallClock.now(), 0.01) * 1e9))
        } catch {
            stopFailed(entry, id: id, error)
        }
    }

    private func kill(_ entry: PodEntry, id: String) {
        services.operations.run { [weak self] in
            guard let self else { return }
            do {
                _ = try services.runtime.stopContainer(
                    ["id": .string(id), "timeoutSeconds": 0], deadline: WallClock.deadline(seconds: 30))
                try stopped(entry, id: id)
            } catch {
                entry.update { _ = $0.killing.remove(id) }
                stopFailed(entry, id: id, error)
            }
        }
    }

    private func stopped(_ entry: PodEntry, id: String) throws {
        try observe(id)
        entry.update { memory in
            memory.stopping[id] = nil
            memory.killing.remove(id)
        }
        enqueue(entry.uid, 0)
    }

    private func stopFailed(_ entry: PodEntry, id: String, _ error: any Error) {
        services.log.warning(
            "a container could not be stopped",
            NodeLog.fields(entry.pod, ["container": .string(id), "error": .string("\(error)")]))
        enqueue(entry.uid, 1_000_000_000)
    }

    private func hasEnded(_ entry: PodEntry, _ id: String) -> Bool {
        runtimeState.pod(entry.uid).containers[id].map { $0.state == .exited } ?? true
    }

    /// Reads the present state of one container from the runtime, without waiting for the event.
    private func observe(_ id: String) throws {
        let list = try services.runtime.listContainers(["id": .string(id)], deadline: WallClock.deadline(seconds: 30))
        for json in list["containers"].arrayValue {
            if let container = ObservedContainer(json) { runtimeState.apply(container) }
        }
    }

    // MARK: - postStart

    /// Runs the hook beside the worker; the container is neither started nor ready before it ends.
    func runPostStart(_ entry: PodEntry, _ container: PodContainer, id: String) {
        services.operations.run { [weak self] in
            guard let self else { return }
            var failure: String?
            do {
                try hookRunner.run(
                    container.object["lifecycle"]["postStart"], containerID: id, container: container,
                    podIP: entry.read { $0.podIPs.first } ?? "", timeoutSeconds: 3600,
                    isCancelled: { [weak self] in self?.hasEnded(entry, id) ?? true })
            } catch {
                failure = "\(error)"
            }
            entry.update { memory in
                memory.health[id]?.hookPending = false
                memory.health[id]?.started = !container.hasStartupProbe
                if let failure { memory.health[id]?.killReason = .postStartFailed(failure) }
            }
            if let failure {
                services.events.warning(
                    entry.pod, "FailedPostStartHook", "PostStartHook failed: \(failure)", container: container)
            }
            enqueue(entry.uid, 0)
        }
    }

    private var hookRunner: HookRunner { HookRunner(runtime: services.runtime) }
}
