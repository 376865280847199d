/// The phase of a pod, computed from its containers alone, so that it is the same whoever asks and whenever.
enum PodPhase: String, Sendable {
    case pending = "Pending"
    case running = "Running"
    case succeeded = "Succeeded"
    case failed = "Failed"

    /// The phase for a snapshot. An end state that the API already shows is kept.
    static func compute(_ snapshot: PodSnapshot) -> PodPhase {
        let pod = snapshot.pod
        if let shown = PodPhase(rawValue: pod.phase), shown == .succeeded || shown == .failed { return shown }
        let live = snapshot.containers.contains { $0.state != .exited }
        // Whoever keeps the object with a finalizer learns that nothing of it will run any more.
        if pod.deletionTimestamp != nil, snapshot.isReleased, !live, !hasSucceeded(snapshot) { return .failed }
        if PodPlanner.deadlineExceeded(snapshot) && pod.deletionTimestamp == nil && !live { return .failed }
        if let failed = initializationVerdict(snapshot) { return failed ? (live ? .running : .failed) : .pending }
        return mainVerdict(snapshot, live: live)
    }

    private static func hasSucceeded(_ snapshot: PodSnapshot) -> Bool {
        snapshot.pod.regularContainers.allSatisfy { container in
            snapshot.newest(container.name).map { $0.state == .exited && $0.exitCode == 0 } ?? false
        }
    }

    /// Nil when initialization is over; true when it failed for good; false while it goes on.
    private static func initializationVerdict(_ snapshot: PodSnapshot) -> Bool? {
        let pod = snapshot.pod
        if pod.regularContainers.contains(where: { snapshot.newest($0.name) != nil }) { return nil }
        var pending = false
        for container in pod.initContainers {
            guard let last = snapshot.newest(container.name) else {
                pending = true
                continue
            }
            if container.kind == .sidecar {
                if last.state != .running || !snapshot.healthOf(last).started { pending = true }
            } else if last.state != .exited {
                pending = true
            } else if last.exitCode != 0 {
                if !snapshot.restarts(container, last) { return true }
                pending = true
            }
        }
        return pending ? false : nil
    }

    private static func mainVerdict(_ snapshot: PodSnapshot, live: Bool) -> PodPhase {
        var running = 0
        var waiting = 0
        var stopped = 0
        var succeeded = 0
        var restarting = 0
        let ending = snapshot.pod.deletionTimestamp != nil || snapshot.isOrphan
        for container in snapshot.pod.regularContainers {
            guard let last = snapshot.newest(container.name) else {
                waiting += 1
                continue
            }
            switch last.state {
            case .running: running += 1
            case .created: waiting += 1
            case .exited:
                stopped += 1
                if last.exitCode == 0 { succeeded += 1 }
                if snapshot.restarts(container, last) { restarting += 1 }
            }
        }
        if waiting > 0 { return running + stopped > 0 && !ending ? .running : (stopped > 0 ? .running : .pending) }
        if running > 0 { return .running }
        if stopped > 0 {
            if restarting > 0 && !ending { return .running }
            // The last sidecar may still be on its way out; the pod has ended when nothing runs.
            if live { return .running }
            return succeeded == stopped ? .succeeded : .failed
        }
        return .pending
    }
}
