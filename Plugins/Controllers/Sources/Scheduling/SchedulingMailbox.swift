import Objects

/// What has changed and the scheduling worker has not seen yet.
///
/// While no pod waits, that others got their node or went concerns nobody: it is taken in together with what comes next,
/// which saves the worker two of three turns for each pod. So the scheduler may learn late what is free, never too late for
/// a decision: the worker empties the mailbox before each.
///
/// A value without locks.
struct SchedulingMailbox {
    typealias Change = SchedulingController.Change

    /// Most changes that wait for others to come.
    static let patientLimit = 64

    private var changes: [Change] = []
    private var isStarted = false
    /// The worker has ended its turn, and left nobody waiting.
    private var isAtRest = false

    /// From now on changes are taken, these first.
    mutating func start(with changes: [Change]) {
        self.changes = changes
        isStarted = true
    }

    /// Takes a change in; before the start it is none.
    /// - Returns: whether the worker is to have a turn.
    mutating func put(_ change: Change) -> Bool {
        guard isStarted else { return false }
        changes.append(change)
        return !(isAtRest && Self.isPatient(change) && changes.count < Self.patientLimit)
    }

    /// The changes so far, for the worker; it has to look again before it rests.
    mutating func take() -> [Change] {
        isAtRest = false
        defer { changes.removeAll(keepingCapacity: changes.count < 256) }
        return changes
    }

    /// The worker has nothing to do, and nobody waits. What has come since it looked has given it another turn.
    mutating func rest() { isAtRest = changes.isEmpty }

    /// Whether a change matters to those alone who wait.
    private static func isPatient(_ change: Change) -> Bool {
        switch change {
        case .podGone: true
        case .pod(let pod): !PodState(pod).nodeName.isEmpty
        case .node, .nodeGone, .storage, .devices, .devicesReserved, .namespaces, .started, .providerChanged,
            .bindingFailed, .preemptionFailed:
            false
        }
    }
}
