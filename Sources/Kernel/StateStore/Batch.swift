import CStateStore

/// The writes that the committer takes up together. Callers fill it, behind the committer's monitor, until it does so; from
/// then on it is the committer's.
final class Batch: @unchecked Sendable {  // See above; `end` is for any thread.
    /// Stands where there is none.
    static let none = Batch()

    private static let countLimit = 512
    private static let sizeLimit = 4 << 20

    private(set) var writes: [Write] = []
    /// The first record of each, where there is one.
    private var records: [UnsafeRawPointer?] = []
    /// Bytes of their records.
    private(set) var size = 0
    /// Fires when all of them have ended: one word for all callers that sleep, so that one call wakes them.
    let end = SharedWakeWord()

    var hasRoom: Bool { writes.count < Self.countLimit && size < Self.sizeLimit }

    func add(_ write: Write) {
        if writes.isEmpty { writes.reserveCapacity(64) }
        writes.append(write)
        records.append(write.steps.first.map { UnsafeRawPointer($0.record.block) })
        size += write.size
    }

    /// Adds a write of the store's own, before those of callers.
    func addFirst(_ write: Write) {
        writes.insert(write, at: 0)
        records.insert(nil, at: 0)
    }

    /// Has the processor fetch the record of a write that will be looked at soon: another processor made it.
    func prefetch(_ position: Int) {
        if position < records.count, let record = records[position] { store_prefetch(record) }
    }

    /// Lets the writes go, which may be large, when their callers have them.
    func clear() { writes = [] }
}
