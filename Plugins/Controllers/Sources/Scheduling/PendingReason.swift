import Objects
import PluginKit

/// Why a pod has no node, as its condition PodScheduled tells it.
enum PendingReason: Equatable {
    /// No node can take it.
    case unschedulable(String)
    /// Whoever should choose a node does not answer.
    case schedulerError(String)
    /// It carries scheduling gates.
    case gated

    private var words: (reason: String, message: String) {
        switch self {
        case .unschedulable(let message): ("Unschedulable", message)
        case .schedulerError(let message): ("SchedulerError", message)
        case .gated: ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
        }
    }

    /// The status patch that marks a pod so; nil when it is marked so already.
    func patch(of pod: JSON, now: Timestamp) -> JSON? {
        let (reason, message) = words
        let current = PodState(pod).condition("PodScheduled")
        let isMarked = current["status"].stringValue == "False"
        if isMarked, current["message"].stringValue == message, current["reason"].stringValue == reason { return nil }
        let since = isMarked ? current["lastTransitionTime"] : .null
        let condition: JSON = [
            "type": "PodScheduled", "status": "False", "reason": .string(reason), "message": .string(message),
            "lastTransitionTime": since.exists ? since : .string(now.formatted(fraction: .none)),
        ]
        return ["status": ["conditions": .array([condition])]]
    }
}

/// A time in which the scheduler does not answer. A swap or a restart is over before anybody needs to know of it.
struct SchedulerOutage {
    /// Nanoseconds between attempts to feed a scheduler.
    static let retryDelay: UInt64 = 100_000_000
    /// Nanoseconds after which waiting pods are told.
    static let patience: UInt64 = 2_000_000_000

    private var since: (time: UInt64, error: PluginError)?
    /// Uids of the pods that were told.
    private var told: Set<String> = []

    /// - Returns: whether this is its beginning.
    mutating func began(now: UInt64, _ error: PluginError) -> Bool {
        defer { since = (since?.time ?? now, error) }
        return since == nil
    }
    mutating func ended() {
        since = nil
        if !told.isEmpty { told = [] }
    }

    /// Whether a pod has yet to be told; it counts as told from now on.
    mutating func mustTell(_ uid: String) -> Bool { told.insert(uid).inserted }

    /// What to tell, nil while it is too early to.
    func reason(now: UInt64) -> String? {
        guard let since, now >= since.time + Self.patience else { return nil }
        return "the scheduler does not answer: \(since.error)"
    }
}
