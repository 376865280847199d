/// A container's rule may let the whole pod begin anew (RestartAllContainers). What was made before that end belongs to a former
/// round: it is ended without grace, and counts neither as a finished init container nor as one that runs. The containers'
/// records tell it all, so that a restart of the node in between changes nothing.
extension PodSnapshot {
    /// The end that lets the pod begin anew, the latest if there are several; nil when there is none.
    var trigger: ObservedContainer? {
        guard pod.mayBeginAnew, let sandbox = sandbox?.id else { return nil }
        return containers.filter { instance in
            instance.state == .exited && instance.sandboxID == sandbox
                && pod.container(named: instance.name)?.rule(forExitCode: instance.exitCode) == .allContainers
        }.max { $0.finishedSeconds < $1.finishedSeconds }
    }

    func isOfFormerRound(_ instance: ObservedContainer) -> Bool {
        guard pod.mayBeginAnew, instance.sandboxID == sandbox?.id, let trigger else { return false }
        return instance.createdSeconds <= trigger.finishedSeconds
    }

    /// The newest instance of a container in the present round.
    func current(_ name: String, in sandboxID: String) -> ObservedContainer? {
        newest(name, in: sandboxID).flatMap { isOfFormerRound($0) ? nil : $0 }
    }

    /// What must end before the new round begins.
    func remainders(in sandboxID: String) -> [ObservedContainer] {
        guard pod.mayBeginAnew else { return [] }
        return containers.filter { $0.sandboxID == sandboxID && $0.state != .exited && isOfFormerRound($0) }
    }

    /// Whether a record must stay because some container has not begun its new round yet.
    func isNeeded(_ record: ObservedContainer) -> Bool {
        guard pod.mayBeginAnew, let trigger, trigger.id == record.id else { return false }
        return pod.containers.contains { newest($0.name).map(isOfFormerRound) ?? false }
    }
}

extension ObservedContainer {
    /// Wall-clock seconds; 0 when it is not known.
    fileprivate var createdSeconds: Double { WallClock.seconds(rfc3339: createdAt) ?? 0 }
    fileprivate var finishedSeconds: Double { WallClock.seconds(rfc3339: finishedAt) ?? 0 }
}
