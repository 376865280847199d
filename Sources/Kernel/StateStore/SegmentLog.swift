import PluginAPI

/// The write-ahead log: a row of segments, the last one being written. It gives the committer's frames their places; `LogBatch`
/// brings them to disk. All batches that are under way lie in the active segment. Used by the committer alone.
final class SegmentLog {
    struct Segment {
        let number: UInt64
        let size: Int
        /// The store's revision after its last frame.
        var lastRevision: UInt64
    }

    /// Where recovery ended and writing goes on.
    struct Tail {
        var sealed: [Segment]
        var active: Segment
        var file: LogFile
        var salt: UInt32
        var offset: Int
        var sequence: UInt64
    }

    enum Failure: Error {
        /// Nothing was written; the next try may succeed.
        case refused(StoreError)
        /// What is on disk is unknown: no write may be acknowledged any more.
        case fatal(StoreError)
    }

    private struct Frame {
        var firstRecord: Int
        var count: Int
        var size: Int
        var revision: UInt64
    }

    // One thread's; nothing uses them while they are used, which the compiler cannot see and need not check.
    @exclusivity(unchecked) private var tail: Tail
    private let options: StateStoreOptions
    private let preparer: SegmentPreparer
    private let sealer: RecordSealer
    private var lastSerial: UInt64 = 0
    /// Why what was added cannot be written, when a value could not be encrypted.
    private var sealFailure: StoreError?
    @exclusivity(unchecked) private var frames: [Frame] = []
    /// The one that is being filled.
    @exclusivity(unchecked) private var frame = Frame(firstRecord: 0, count: 0, size: 0, revision: 0)
    @exclusivity(unchecked) private var records: [Record] = []

    init(tail: Tail, options: StateStoreOptions, preparer: SegmentPreparer, sealer: RecordSealer) {
        self.sealer = sealer
        self.tail = tail
        self.options = options
        self.preparer = preparer
    }

    // MARK: Adding frames

    /// Begins a frame, to which records are added before it ends.
    func beginFrame() { frame = Frame(firstRecord: records.count, count: 0, size: 0, revision: 0) }

    /// Adds a record to the frame.
    func add(_ record: Record) {
        do throws(StoreError) {
            let stored = try sealer.seal(record, for: .batch)
            records.append(stored)
            frame.count += 1
            frame.size += stored.size
        } catch {
            sealFailure = error
        }
    }

    /// Ends the frame. `revision`: the store's after it.
    func endFrame(revision: UInt64) {
        frame.revision = revision
        frames.append(frame)
    }

    /// Adds a frame of one record.
    func add(_ record: Record, revision: UInt64) {
        beginFrame()
        add(record)
        endFrame(revision: revision)
    }

    /// Whether frames were added that have no place yet.
    var hasFrames: Bool { !frames.isEmpty }

    /// Forgets the frames that were added and have no place yet.
    func discard() {
        frames.removeAll(keepingCapacity: true)
        for record in records { record.release() }
        sealer.forgetBatch()
        sealFailure = nil
        records.removeAll(keepingCapacity: true)
    }

    // MARK: Giving them a place

    /// Makes sure that the active segment has room for the frames that were added, by beginning another one if need be; that
    /// only happens when `settle`, which waits until no batch is under way, says that none failed. False when one did.
    func makeRoom(_ settle: () -> Bool) throws(StoreError) -> Bool {
        if let sealFailure { throw sealFailure }
        let size = frames.reduce(0) { $0 + $1.size + FrameHead.size }
        guard tail.offset + size > tail.active.size else { return true }
        guard settle() else { return false }
        try rotate(for: size)
        return true
    }

    /// Adds the frames to `open`, which ends where the log does, or to a batch of its own. There is room.
    func place(in open: LogBatch?, time: UInt64, taken: UInt64) -> LogBatch {
        let batch = open ?? makeBatch(taken: taken)
        let before = batch.size
        for frame in frames {
            batch.add(
                records[frame.firstRecord..<frame.firstRecord + frame.count], size: frame.size,
                revision: frame.revision, time: time)
        }
        // Before a byte of it can be on disk: after a write that failed nobody knows.
        sealer.noteBatch(in: LogFormat.segmentName(tail.active.number))
        tail.offset += batch.size - before
        tail.sequence += UInt64(frames.count)
        tail.active.lastRevision = frames.last?.revision ?? tail.active.lastRevision
        frames.removeAll(keepingCapacity: true)
        records.removeAll(keepingCapacity: true)  // Their references are the batch's now.
        if tail.offset > tail.active.size / 2 {
            preparer.request(number: tail.active.number + 1, size: options.segmentSize)
        }
        return batch
    }

    private func makeBatch(taken: UInt64) -> LogBatch {
        lastSerial += 1
        return LogBatch(
            serial: lastSerial, file: tail.file, salt: tail.salt, start: tail.offset, firstSequence: tail.sequence,
            revisionBefore: tail.active.lastRevision, taken: taken)
    }

    /// The serial of the batch that was made last.
    var serial: UInt64 { lastSerial }

    // MARK: When a batch fails

    /// The log ends where this batch began: it failed, and nothing after it was written. Makes sure, when the disk was full, that no
    /// part of it is found by a later recovery. Returns what to tell its writers.
    func takeBack(_ batch: LogBatch, because failure: Failure) -> Failure {
        let end = min(batch.start + batch.size, tail.active.size)
        if !planted(.abandonedTailKept) {
            tail.offset = batch.start
            tail.sequence = batch.firstSequence
            tail.active.lastRevision = batch.revisionBefore
        }
        guard case .refused = failure else { return failure }
        do throws(StoreError) {
            if !planted(.refusedBatchStays) { try batch.file.erase(from: batch.start, to: end) }
            try batch.file.synchronize()
        } catch {
            return .fatal(error)
        }
        return .refused(preparer.spaceError(writing: batch.file.path))
    }

    // MARK: Segments

    /// Ends the active segment, whatever room it has, when no batch is under way. The sealed ones. An empty one stays: between others it would look as if
    /// its frames were lost.
    func seal() throws(StoreError) -> [Segment] {
        if tail.offset > LogFormat.headSize { try rotate(for: 0) }
        return tail.sealed
    }

    private func rotate(for size: Int) throws(StoreError) {
        let needed = max(options.segmentSize, (LogFormat.headSize + size + 4095) & ~4095)
        let next = try preparer.take(number: tail.active.number + 1, size: needed)
        tail.sealed.append(tail.active)
        tail.active = Segment(number: next.number, size: next.size, lastRevision: tail.active.lastRevision)
        tail.file = next.file
        tail.salt = next.salt
        tail.offset = LogFormat.headSize
    }

    /// Bytes of sealed segments that hold nothing after `revision`.
    func removableBytes(upTo revision: UInt64) -> Int {
        tail.sealed.prefix { $0.lastRevision <= revision }.reduce(0) { $0 + $1.size }
    }

    /// The number of the segment that is being written.
    var activeNumber: UInt64 { tail.active.number }

    /// Forgets the segments before number `end` that hold nothing after `revision` and hands them to the caller, oldest
    /// first.
    func removeSegments(upTo revision: UInt64, before end: UInt64) -> [Segment] {
        let count = tail.sealed.prefix { $0.number < end && $0.lastRevision <= revision }.count
        defer { tail.sealed.removeFirst(count) }
        return Array(tail.sealed.prefix(count))
    }

    /// Bytes of all segments.
    var size: Int { tail.sealed.reduce(tail.active.size) { $0 + $1.size } }
}
