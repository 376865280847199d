import CStateStore

/// Looks for valid frames among bytes that need not be any: behind the end of a log, or behind damage.
///
/// Whoever writes a value chooses such bytes, and can fill it with heads of frames that reach to the end of the file. To
/// compute a checksum over each would take quadratic time. So the checksum of a range is put together from those of the
/// ranges from the begin of the file to its two ends, of which every 512th is known: a candidate costs at most a kilobyte.
struct FrameSearch {
    private static let step = 512

    private let file: UnsafeRawBufferPointer
    private let head: FileHead
    /// Checksums of the first 0, `step`, 2 × `step` … bytes; made when first needed.
    private var running: [UInt32] = []
    /// Bytes whose checksum was computed so far.
    private(set) var work = 0

    /// `head`: what the file begins with.
    init(_ file: UnsafeRawBufferPointer, head: FileHead) {
        self.file = file
        self.head = head
    }

    /// Whether a valid frame lies at or behind `start`, in steps of 8, whose batch begins after `offset`.
    mutating func finds(from start: Int, ofBatchAfter offset: Int) -> Bool {
        guard let base = file.baseAddress else { return false }
        var position = start
        while true {
            position = store_find_word(base, file.count, position, LogFormat.frameMagic)
            if position >= file.count { return false }
            if let frame = FrameHead.candidate(file, at: position, version: head.version),
                position - Int(frame.batchDistance) > offset, isValid(frame, at: position)
            {
                return true
            }
            position += 8
        }
    }

    private mutating func isValid(_ frame: FrameHead, at position: Int) -> Bool {
        let start = position + FrameHead.size(version: head.version)
        let begun = frame.headChecksum(salt: head.salt, version: head.version)
        let checksum = checksum(begun, start, start + Int(frame.size))
        return checksum == frame.checksum || planted(.checksumIgnored)
    }

    /// `crc` continued over a range of the file.
    private mutating func checksum(_ crc: UInt32, _ start: Int, _ end: Int) -> UInt32 {
        if end - start <= 2 * Self.step { return direct(crc, start, end) }
        return store_crc32c_shift(crc ^ upTo(start), UInt64(end - start)) ^ upTo(end)
    }

    private mutating func upTo(_ end: Int) -> UInt32 {
        if running.isEmpty { prepare() }
        return direct(running[end / Self.step], end / Self.step * Self.step, end)
    }

    private mutating func prepare() {
        running.reserveCapacity(file.count / Self.step + 1)
        running.append(0)
        for end in stride(from: Self.step, through: file.count, by: Self.step) {
            running.append(direct(running[running.count - 1], end - Self.step, end))
        }
    }

    private mutating func direct(_ crc: UInt32, _ start: Int, _ end: Int) -> UInt32 {
        guard let base = file.baseAddress else { return crc }
        work += end - start
        return store_crc32c(crc, base + start, end - start)
    }
}
