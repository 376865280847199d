import Synchronization

/// Since when pods name nodes that do not exist. A node that is made anew under its old name, as when a machine registers again,
/// finds its pods as they were: they are given up only after a while.
final class VanishedNodes: Sendable {
    /// Seconds that pods of a vanished node are left alone, as in Kubernetes.
    static let quarantine: Int64 = 40
    /// Seconds after which nobody asks for a node any more.
    private static let memory: Int64 = 600

    private let since = Mutex<[String: Int64]>([:])

    /// In how many seconds the pods of a node that does not exist are given up; 0 when it is time.
    /// - Parameter now: monotonic seconds.
    func secondsLeft(_ node: String, now: Int64) -> Int64 {
        since.withLock { since in
            if let first = since[node] { return max(0, first + Self.quarantine - now) }
            since = since.filter { now < $0.value + Self.memory }
            since[node] = now
            return Self.quarantine
        }
    }

    func appeared(_ node: String) { since.withLock { _ = $0.removeValue(forKey: node) } }
}
