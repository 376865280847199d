import Glibc
import Objects
import PluginKit

extension PodWorker {
    /// Begins to stop a container beside the worker: preStop hook, stop signal, grace period, SIGKILL. A later call with
    /// less grace overtakes an earlier one.
    func stopContainer(_ entry: PodEntry, id: String, name: String, reason: StopReason, graceSeconds: Int64) {
        let pod = entry.pod
        let deadline = WallClock.now() + Double(graceSeconds)
        let isFirst = entry.update { memory -> Bool in
            defer { memory.stopping[id] = deadline }
            return memory.stopping[id] == nil
        }
        probes.remove(containerID: id)
        let container = pod.container(named: name)
        if isFirst {
            services.events.normal(pod, "Killing", reason.message(container: name), container: container)
        }
        services.operations.run { [weak self] in
            self?.stop(entry, container, id: id, deadline: deadline, runsHook: isFirst && reason != .sandboxLost)
        }
    }

    private func stop(_ entry: PodEntry, _ container: PodContainer?, id: String, deadline: Double, runsHook: Bool) {
        let pod = entry.pod
        if runsHook, let container, container.object["lifecycle"]["preStop"].exists,
            runtimeState.pod(entry.uid).containers[id]?.state == .running
        {
            do {
                let left = max(deadline - WallClock.now(), 1)
                try hookRunner.run(
                    container.object["lifecycle"]["preStop"], containerID: id, container: container,
                    podIP: entry.read { $0.podIPs.first } ?? "", timeoutSeconds: left,
                    isCancelled: { [weak self] in self?.hasEnded(entry, id) ?? true })
            } catch {
                services.events.warning(pod, "FailedPreStopHook", "PreStopHook failed: \(error)", container: container)
            }
        }
        // A hook that used the grace period up still leaves two seconds for the signal.
        let left = max(deadline - WallClock.now(), runsHook ? 2 : 0)
        do {
            _ = try services.runtime.stopContainer(
                ["id": .string(id), "timeoutSeconds": .integer(Int64(left.rounded(.up)))],
                deadline: WallClock.deadline(seconds: left + 30))
            try observe(id)
        } catch {
            services.log.warning(
                "a container could not be stopped",
                NodeLog.fields(pod, ["container": .string(id), "error": .string("\(error)")]))
        }
        entry.update { memory in
            // A stop that was overtaken leaves the note to the one that overtook it.
            if memory.stopping[id] == deadline { memory.stopping[id] = nil }
        }
        enqueue(entry.uid, hasEnded(entry, id) ? 0 : 1_000_000_000)
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
