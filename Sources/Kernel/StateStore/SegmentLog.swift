import CStateStore
import Glibc
import PluginAPI

/// The write-ahead log: a row of segments, the last one being written. Used by the committer alone.
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
        var file: StoreFile
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
    /// Why the batch cannot be written, when a value could not be encrypted.
    private var sealFailure: StoreError?
    @exclusivity(unchecked) private var frames: [Frame] = []
    /// The one that is being filled.
    @exclusivity(unchecked) private var frame = Frame(firstRecord: 0, count: 0, size: 0, revision: 0)
    @exclusivity(unchecked) private var records: [Record] = []
    @exclusivity(unchecked) private var heads: [FrameHead] = []
    @exclusivity(unchecked) private var vectors: [iovec] = []

    init(tail: Tail, options: StateStoreOptions, preparer: SegmentPreparer, sealer: RecordSealer) {
        self.sealer = sealer
        self.tail = tail
        self.options = options
        self.preparer = preparer
    }

    /// Begins a frame of the batch, to which records are added before it ends.
    func beginFrame() { frame = Frame(firstRecord: records.count, count: 0, size: 0, revision: 0) }

    /// Adds a record to the frame. It stays the caller's and must live until `commit`.
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

    /// Writes the batch and waits until it is on disk. `time`: milliseconds since 1970.
    func commit(time: UInt64) throws(Failure) {
        defer { discard() }
        guard let last = frames.last else { return }
        if let sealFailure { throw .refused(sealFailure) }
        let size = frames.reduce(0) { $0 + $1.size + FrameHead.size }
        if tail.offset + size > tail.active.size {
            do throws(StoreError) { try rotate(for: size) } catch { throw .refused(error) }
        }
        layOut(time: time)
        // Before a byte of it can be on disk: after a write that failed nobody knows.
        sealer.noteBatch(in: LogFormat.segmentName(tail.active.number))
        do throws(StoreError) {
            try tail.file.write(&vectors, at: tail.offset)
        } catch {
            try undo(size, because: error)
        }
        do throws(StoreError) {
            if !planted(.acknowledgesBeforeSync) { try tail.file.synchronize() }
        } catch {
            throw .fatal(error)
        }
        tail.offset += size
        tail.sequence += UInt64(frames.count)
        tail.active.lastRevision = last.revision
        if tail.offset > tail.active.size / 2 {
            preparer.request(number: tail.active.number + 1, size: options.segmentSize)
        }
    }

    /// Forgets the frames that were added.
    func discard() {
        frames.removeAll(keepingCapacity: true)
        for record in records { record.release() }
        sealer.forgetBatch()
        sealFailure = nil
        records.removeAll(keepingCapacity: true)
    }

    /// Fills the heads and the list of memory to write.
    private func layOut(time: UInt64) {
        heads.removeAll(keepingCapacity: true)
        vectors.removeAll(keepingCapacity: true)
        var distance = 0
        for (position, frame) in frames.enumerated() {
            var head = FrameHead(
                size: UInt32(frame.size), count: UInt32(frame.count), sequence: tail.sequence + UInt64(position),
                revision: frame.revision, batchDistance: UInt32(distance), time: time)
            var checksum = head.headChecksum(salt: tail.salt)
            for record in records[frame.firstRecord..<frame.firstRecord + frame.count] {
                checksum = store_crc32c(checksum, record.bytes, record.size)
            }
            head.checksum = checksum
            heads.append(head)
            distance += frame.size + FrameHead.size
        }
        heads.withUnsafeMutableBytes { bytes in
            for (position, frame) in frames.enumerated() {
                vectors.append(iovec(iov_base: bytes.baseAddress! + position * FrameHead.size, iov_len: FrameHead.size))
                for record in records[frame.firstRecord..<frame.firstRecord + frame.count] {
                    vectors.append(iovec(iov_base: record.bytes, iov_len: record.size))
                }
            }
        }
    }

    /// After a failed write: makes sure that no part of the batch is found by a later recovery.
    private func undo(_ size: Int, because error: StoreError) throws(Failure) -> Never {
        guard error.code == HOSTD_ERROR_NO_SPACE else { throw .fatal(error) }
        do throws(StoreError) {
            if !planted(.refusedBatchStays) {
                try tail.file.erase(from: tail.offset, to: min(tail.offset + size, tail.active.size))
            }
            try tail.file.synchronize()
        } catch {
            throw .fatal(error)
        }
        throw .refused(preparer.spaceError(writing: tail.file.path))
    }

    /// Ends the active segment, whatever room it has. The sealed ones. An empty one stays: between others it would look as if
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
