import Synchronization

/// The status of an answer that another server gives, for those who want to know it. Any thread.
final class StatusReport: Sendable {
    private let action: @Sendable (Int) -> Void
    private let known = Atomic<Int>(0)

    /// - Parameter action: Runs once, when the status is known.
    init(_ action: @escaping @Sendable (Int) -> Void) { self.action = action }

    /// 0 while it is not known.
    var status: Int { known.load(ordering: .acquiring) }

    func tell(_ status: Int) {
        known.store(status, ordering: .releasing)
        action(status)
    }
}
