import CStateStore
import Glibc
import PluginAPI

/// What one write and one fdatasync bring to disk: frames that stand behind each other in one segment. The committer fills it
/// until the disk takes it up, and gets it back afterwards.
final class LogBatch: @unchecked Sendable {  // Handed over from thread to thread, never shared.
    private static let countLimit = 512
    private static let sizeLimit = 4 << 20

    /// Counts the batches: they reach the disk in this order.
    let serial: UInt64
    let file: LogFile
    let salt: UInt32
    /// Where it begins in the file.
    let start: Int
    /// The number of its first frame.
    let firstSequence: UInt64
    /// The segment's last revision before it.
    let revisionBefore: UInt64
    /// When its first write was taken up, and when it was on disk, monotonic nanoseconds.
    let taken: UInt64
    private(set) var ended: UInt64 = 0
    /// Bytes in the file.
    private(set) var size = 0
    /// Writes that it has, those included that only looked.
    var writes = 0
    @exclusivity(unchecked) private var heads: [FrameHead] = []
    @exclusivity(unchecked) private var records: [Record] = []

    init(
        serial: UInt64, file: LogFile, salt: UInt32, start: Int, firstSequence: UInt64, revisionBefore: UInt64,
        taken: UInt64
    ) {
        self.serial = serial
        self.file = file
        self.salt = salt
        self.start = start
        self.firstSequence = firstSequence
        self.revisionBefore = revisionBefore
        self.taken = taken
        heads.reserveCapacity(64)
        records.reserveCapacity(64)
    }

    deinit { for record in records { record.release() } }

    /// Whether more writes are taken up while it waits for the disk.
    var hasRoom: Bool { heads.count < Self.countLimit && size < Self.sizeLimit }

    /// Adds a frame behind the others; takes over the references to its records. `time`: milliseconds since 1970.
    func add(_ frame: ArraySlice<Record>, size payload: Int, revision: UInt64, time: UInt64) {
        var head = FrameHead(
            size: UInt32(payload), count: UInt32(frame.count), sequence: firstSequence + UInt64(heads.count),
            revision: revision, batchDistance: UInt32(size), time: time)
        var checksum = head.headChecksum(salt: salt)
        for record in frame {
            checksum = store_crc32c(checksum, record.bytes, record.size)
            records.append(record)
        }
        head.checksum = checksum
        heads.append(head)
        size += FrameHead.size + payload
    }

    /// Writes it and waits until it is on disk. What went wrong, nil when nothing did. [blocking]
    func bringToDisk() -> SegmentLog.Failure? {
        let isDurable: Bool
        do throws(StoreError) {
            isDurable = try write(durably: !planted(.acknowledgesBeforeSync))
        } catch {
            return error.code == HOSTD_ERROR_NO_SPACE ? .refused(error) : .fatal(error)
        }
        do throws(StoreError) {
            if !isDurable && !planted(.acknowledgesBeforeSync) { try file.synchronize() }
        } catch {
            return .fatal(error)
        }
        ended = monotonicNow()
        return nil
    }

    /// Whether it is on disk afterwards.
    private func write(durably: Bool) throws(StoreError) -> Bool {
        var vectors: [iovec] = []
        vectors.reserveCapacity(heads.count + records.count)
        return try heads.withUnsafeBufferPointer { heads throws(StoreError) in
            var next = 0
            for position in heads.indices {
                let head = UnsafeMutableRawPointer(mutating: heads.baseAddress.unsafelyUnwrapped + position)
                vectors.append(iovec(iov_base: head, iov_len: FrameHead.size))
                for record in records[next..<next + Int(heads[position].count)] {
                    vectors.append(iovec(iov_base: record.bytes, iov_len: record.size))
                }
                next += Int(heads[position].count)
            }
            return try file.append(&vectors, at: start, durably: durably)
        }
    }
}
