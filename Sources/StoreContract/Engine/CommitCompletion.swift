import PluginAPI
import PluginKit

/// What one transaction completes with. Kept for the life of the process, so that a second completion finds it.
final class CommitCompletion: @unchecked Sendable {
    // SAFETY: everything is behind `monitor`.
    private let monitor = Monitor()
    private var runs = 0
    private var outcome: Result<ContractCommit, Violation>?

    static let function: hostd_completion = { context, status, data, size, _ in
        // SAFETY: the context is a completion that `commit` retained for ever.
        guard let context else { return }
        let bytes = Array(UnsafeBufferPointer(start: data, count: data == nil ? 0 : Int(size)))
        Unmanaged<CommitCompletion>.fromOpaque(context).takeUnretainedValue().take(status, bytes)
    }

    private func take(_ status: Int32, _ bytes: [UInt8]) {
        monitor.locked {
            runs += 1
            if outcome == nil { outcome = Self.read(status, bytes) }
            monitor.broadcast()
        }
    }

    private static func read(_ status: Int32, _ bytes: [UInt8]) -> Result<ContractCommit, Violation> {
        guard bytes.count >= MemoryLayout<hostd_store_commit>.size else {
            // What failed for another reason than a precondition has nothing to tell.
            guard status == HOSTD_OK else {
                return .success(ContractCommit(status: status, failedStep: nil, revision: 0))
            }
            return .failure(
                Violation("a transaction completed with \(bytes.count) bytes instead of a hostd_store_commit"))
        }
        let commit = bytes.withUnsafeBytes { $0.loadUnaligned(as: hostd_store_commit.self) }
        let step = commit.failed_operation == UInt32.max ? nil : commit.failed_operation
        return .success(ContractCommit(status: status, failedStep: step, revision: commit.revision))
    }

    var hasRun: Bool { monitor.locked { runs > 0 } }

    func wait(_ patience: UInt64) throws(Violation) -> ContractCommit {
        let deadline = monotonicNanoseconds() + patience
        let (outcome, runs) = monitor.locked {
            while self.outcome == nil, monitor.wait(until: deadline) {}
            return (self.outcome, self.runs)
        }
        guard let outcome else { throw Violation("a transaction that was accepted did not complete", rule: 12) }
        try require(runs == 1, "a transaction completed \(runs) times", rule: 12)
        return try outcome.get()
    }
}
