import Objects
import PluginKit

extension PodWorker {
    /// What could not be applied is tried again after so many seconds: a container's use of memory may have gone down.
    private static let resizeRetry = 10.0

    /// Grants the resources that the specification has come to want, when the node has them.
    func considerResize(_ entry: PodEntry) {
        let (pod, differs, pending) = entry.read { memory in
            (memory.pod, memory.resources.differ(from: memory.pod), memory.resources.pending)
        }
        guard pod.deletionTimestamp == nil, !pod.isTerminal, differs else {
            if pending != nil { note(pending: nil, of: entry) }
            return
        }
        let request = ResourceTranslation.request(pod)
        let instances = Array(runtimeState.pod(entry.uid).containers.values)
        // One pod at a time, so that two are not given the same.
        let refusal = grants.withLock { _ -> WaitingReason? in
            let refusal = PodRequest.judgeResize(
                request, others: requests(beside: entry), allocatable: services.facts().allocatable)
            note(pending: refusal, of: entry)
            if refusal == nil {
                entry.update { memory in
                    memory.resources.grant(pod, instances: instances)
                    memory.request = request
                    memory.volumesAreStale = true
                }
            }
            return refusal
        }
        if let refusal {
            guard refusal != pending else { return }
            services.events.warning(
                pod, "Resize\(refusal.reason)", "Pod resize \(refusal.reason): \(refusal.message)")
        } else {
            services.events.normal(pod, "ResizeStarted", "Pod resize started")
            // What this pod gives back may be what another waits for.
            retryDeferredResizes(except: entry)
        }
    }

    private func note(pending: WaitingReason?, of entry: PodEntry) {
        entry.update { $0.resources.pending = pending }
        deferredResizes.withLock { deferred in
            if pending?.reason == "Deferred" { deferred.insert(entry.uid) } else { deferred.remove(entry.uid) }
        }
    }

    /// What the pods that hold something of this node keep, but for one.
    func requests(beside entry: PodEntry) -> PodRequest {
        holders(beside: entry).reduce(PodRequest()) { $0 + $1.read(\.request) }
    }

    /// Brings the containers that run, and the pod's own limits, to what is granted. False when that failed.
    func applyResources(_ entry: PodEntry) -> Bool {
        let (pod, resources) = entry.read { ($0.pod, $0.resources) }
        let record = runtimeState.pod(entry.uid)
        let snapshot = entry.snapshot(record, now: WallClock.now())
        guard let sandbox = snapshot.sandbox else { return false }
        let outdated = snapshot.outdatedInstances.filter { !snapshot.needsRestart($0) }
        var before: [String: JSON] = [:]
        for instance in snapshot.containers where instance.state == .running {
            before[instance.name] = resources.applied(to: instance)
        }
        if resources.granted[PodResources.pod] != nil { before[PodResources.pod] = resources.podApplied }
        let after = pod.with(resources: resources.granted)
        do {
            for instance in outdated { try checkMemory(instance, resources) }
            // The pod's limits bound those of its containers: wide while they change, exact afterwards.
            let exact = ResourceTranslation.pod(after)
            if resources.podLimits != .wide {
                try update(
                    sandbox.id, ResourceTranslation.widest(ResourceTranslation.pod(pod.with(resources: before)), exact))
                entry.update { $0.resources.podLimits = .wide }
            }
            for instance in outdated {
                guard let container = after.container(named: instance.name) else { continue }
                let quality = QualityOfService.classify(after.specification)
                try update(
                    instance.id,
                    ResourceTranslation.container(
                        container, quality: quality, nodeMemoryBytes: services.facts().memoryBytes))
                entry.update { $0.resources.apply(to: instance.id, named: instance.name) }
            }
            // A container that has to be restarted is brought to the new amounts by its start.
            guard outdated.count == snapshot.outdatedInstances.count else { return true }
            try update(sandbox.id, exact)
        } catch {
            resizeFailed(entry, "\(error)")
            return false
        }
        entry.update { $0.resources.completed() }
        services.events.normal(pod, "ResizeCompleted", "Pod resize completed")
        return true
    }

    private func update(_ id: String, _ resources: JSON) throws {
        _ = try services.runtime.updateContainer(
            ["id": .string(id), "resources": resources], deadline: WallClock.deadline(seconds: 30))
    }

    /// A memory limit below what is in use would kill the container.
    private func checkMemory(_ instance: ObservedContainer, _ resources: PodResources) throws {
        let wanted = ResourceQuantity.value(resources.granted[instance.name]?["limits"]["memory"] ?? .null)
        let present = ResourceQuantity.value(resources.applied(to: instance)["limits"]["memory"])
        guard let wanted, wanted < present ?? Int64.max else { return }
        let stats = try services.runtime.containerStats(
            ["id": .string(instance.id)], deadline: WallClock.deadline(seconds: 10))["stats"]
        let used = stats[0]["memoryWorkingSetBytes"].integerValue ?? 0
        guard used >= wanted else { return }
        throw PluginError.invalid(
            "container \(instance.name): memory limit (\(wanted)) below current usage (\(used)); it is applied once the "
                + "container uses less")
    }

    private func resizeFailed(_ entry: PodEntry, _ message: String) {
        let isNew = entry.update { memory -> Bool in
            memory.resources.retryAt = WallClock.now() + Self.resizeRetry
            defer { memory.resources.failure = message }
            return memory.resources.failure != message
        }
        if isNew { services.events.warning(entry.pod, "ResizeError", "Pod resize error: \(message)") }
    }

    /// Something of the node has become free: looks again at pods whose resize waits for that.
    func retryDeferredResizes(except entry: PodEntry? = nil) {
        for uid in deferredResizes.withLock({ $0 }) where uid != entry?.uid { enqueue(uid, 0) }
    }
}
