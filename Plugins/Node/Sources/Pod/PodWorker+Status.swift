import Glibc
import Objects
import PluginKit

extension PodWorker {
    /// After the plan: probes for what runs, notes about what ended, removal of records that nobody needs.
    func supervise(_ entry: PodEntry) {
        showImageBackOff(entry)
        let record = runtimeState.pod(entry.uid)
        let now = WallClock.now()
        let snapshot = entry.snapshot(record, now: now)
        let pod = snapshot.pod
        guard pod.deletionTimestamp == nil, !snapshot.isOrphan else {
            for instance in snapshot.containers where instance.state == .exited {
                if pod.container(named: instance.name)?.hasReadinessProbe == true {
                    probes.remove(containerID: instance.id)
                }
            }
            return
        }
        if let sandbox = snapshot.sandbox, sandbox.isReady, !entry.read({ $0.isAttached }) {
            _ = ensureAttached(entry, sandbox)
        }
        // An adopted pod's volumes are known, and followed, from here on.
        if snapshot.sandbox?.isReady == true, !snapshot.isReleased { _ = ensureVolumes(entry) }
        for container in pod.containers {
            guard let instance = snapshot.newest(container.name) else { continue }
            switch instance.state {
            case .created: break
            case .running: watchOver(entry, container, instance)
            case .exited:
                probes.remove(containerID: instance.id)
                entry.update { memory in
                    memory.supervised.remove(instance.id)
                    memory.stopping[instance.id] = nil
                    memory.killing.remove(instance.id)
                }
                reportBackOff(entry, container, instance, snapshot)
            }
        }
        do {
            try readTerminationMessages(entry)
            try collectDead(entry, snapshot)
        } catch {
            services.log.warning("old containers remain", NodeLog.fields(pod, ["error": .string("\(error)")]))
        }
    }

    /// Starts the probes of a container that runs, once.
    private func watchOver(_ entry: PodEntry, _ container: PodContainer, _ instance: ObservedContainer) {
        let (isNew, isStopping) = entry.update { memory in
            (memory.supervised.insert(instance.id).inserted, memory.stopping[instance.id] != nil)
        }
        guard isNew, !isStopping else { return }
        let pod = entry.pod
        let shown = (pod.status["containerStatuses"].arrayValue + pod.status["initContainerStatuses"].arrayValue)
            .first { $0["containerID"].stringValue == instance.qualifiedID }
        let wasStarted = shown?["started"].boolValue == true
        let wasReady = shown?["ready"].boolValue == true
        entry.update { memory in
            if memory.health[instance.id] != nil { return }
            // Adopted: what the API shows of this very container stays true until a probe says otherwise.
            memory.health[instance.id] = ContainerHealth(
                started: !container.hasStartupProbe || wasStarted, ready: !container.hasReadinessProbe || wasReady)
        }
        guard container.kind != .initialization, container.kind != .ephemeral else { return }
        probes.add(
            container, instance: instance, podUID: entry.uid, startupPassed: wasStarted,
            target: ProbeTarget(
                podIP: pod.hostNetwork ? "127.0.0.1" : entry.read { $0.podIPs.first } ?? "",
                startedAt: WallClock.seconds(rfc3339: instance.startedAt) ?? WallClock.now(),
                namespace: pod.namespace, pod: pod.name))
    }

    private func reportBackOff(
        _ entry: PodEntry, _ container: PodContainer, _ instance: ObservedContainer, _ snapshot: PodSnapshot
    ) {
        guard snapshot.restarts(container, instance), PodPlanner.crashDelay(container, instance, snapshot) != nil,
            entry.update({ $0.reportedBackOff.insert(instance.id).inserted })
        else { return }
        services.events.warning(
            snapshot.pod, "BackOff",
            "Back-off restarting failed container \(container.name) in pod \(snapshot.pod.fullName)",
            container: container)
    }

    /// Reads what containers that ended left in their termination-message file, or the end of their log.
    func readTerminationMessages(_ entry: PodEntry) throws {
        let pod = entry.pod
        for instance in runtimeState.pod(entry.uid).containers.values where instance.state == .exited {
            guard let container = pod.container(named: instance.name),
                entry.read({ $0.terminationMessages[instance.id] }) == nil
            else { continue }
            let file = paths.terminationMessage(pod.uid, instance.name, attempt: instance.attempt)
            var bytes = try Files.read(file, limit: 4096) ?? []
            if bytes.isEmpty, instance.exitCode != 0,
                container.object["terminationMessagePolicy"].stringValue == "FallbackToLogsOnError"
            {
                bytes = try LogTail.lastLines(instance.logPath, lines: 80, limitBytes: 2048)
            }
            let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
            let message = text.isEmpty ? instance.message : text
            entry.update { $0.terminationMessages[instance.id] = message }
        }
    }

    /// Keeps the newest instance of each container and the one before it; removes older records, logs and sandboxes.
    private func collectDead(_ entry: PodEntry, _ snapshot: PodSnapshot) throws {
        for container in snapshot.pod.containers {
            let instances = snapshot.containers.filter { $0.name == container.name }.sorted { $0.attempt > $1.attempt }
            for old in instances.dropFirst(2) where old.state == .exited && !snapshot.isNeeded(old) {
                _ = try removeContainer(entry, id: old.id)
                for file in [
                    paths.logFile(snapshot.pod, container: old.name, attempt: old.attempt),
                    paths.terminationMessage(snapshot.pod.uid, old.name, attempt: old.attempt),
                ] { try FileTree.remove(file) }
                entry.update { memory in
                    memory.terminationMessages[old.id] = nil
                    memory.health[old.id] = nil
                    memory.reportedBackOff.remove(old.id)
                    memory.replacing.remove(old.id)
                    memory.resources.forget(old.id)
                }
            }
        }
        for stale in snapshot.sandboxes.dropLast(2) where !stale.isReady {
            if snapshot.containers.contains(where: { $0.sandboxID == stale.id && $0.state != .exited }) { continue }
            _ = try services.runtime.removeSandbox(
                ["id": .string(stale.id)], deadline: WallClock.deadline(seconds: Self.resourceTimeout))
            runtimeState.removeSandbox(stale.id)
        }
    }

    // MARK: - Status

    /// Writes the pod's status when it differs from what was last written.
    func writeStatus(_ entry: PodEntry) throws {
        if entry.read({ $0.isOrphan }) { return }
        let snapshot = entry.snapshot(runtimeState.pod(entry.uid), now: WallClock.now())
        let pod = snapshot.pod
        let facts = services.facts()
        let (status, last) = entry.read { memory -> (JSON, JSON) in
            let built = PodStatusBuilder(
                snapshot: snapshot, waiting: memory.waiting, terminationMessages: memory.terminationMessages,
                podIPs: pod.hostNetwork ? (memory.isAttached ? facts.addresses : []) : memory.podIPs,
                hostIPs: facts.addresses, startTime: memory.startTime, now: WallClock.timestamp(),
                failure: memory.failure
            ).build()
            return (built, memory.lastStatus ?? pod.status)
        }
        if status == last {
            entry.update { $0.lastStatus = status }
            return
        }
        var metadata: JSONObject = ["uid": .string(pod.uid)]
        if !pod.specification["readinessGates"].isEmpty {
            // Others write conditions too: ours must not undo what this version does not show yet.
            metadata["resourceVersion"] = pod.object["metadata"]["resourceVersion"]
        }
        do {
            let stored = try services.api.patch(
                "v1", "pods", namespace: pod.namespace, name: pod.name, subresource: "status", type: .merge,
                ["metadata": .object(metadata), "status": status])
            if pod.phase == "Pending", status["phase"].stringValue == "Running" {
                services.metrics?.started(seconds: WallClock.now() - entry.seenAt)
            }
            entry.update { memory in
                memory.lastStatus = status
                if let newer = Pod(object: stored), newer.uid == pod.uid, newer.revision >= memory.pod.revision {
                    memory.pod = newer
                }
            }
        } catch let error as APIError where error.isNotFound || (error.code == 409 && metadata.count == 1) {
            // The object is gone, or a new pod has its name: the informer tells.
        }
    }
}
