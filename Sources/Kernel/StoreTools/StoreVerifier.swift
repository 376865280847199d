import CStateStore
import Objects
import PluginAPI

/// Checks the files of a store, or a copy of one, without changing anything: every checksum, every record, the order of keys
/// and revisions, and the count at the end.
public struct StoreVerifier {
    public struct Problem: Sendable {
        public var file: String
        public var offset: Int
        public var message: String
    }

    public struct Report: Sendable {
        public var files = 0
        public var records = 0
        public var revision: UInt64 = 0
        public var problems: [Problem] = []
        /// What is no damage, such as a batch that a crash cut off.
        public var notes: [String] = []
    }

    public private(set) var report = Report()
    private let sealer: RecordSealer?
    private let files: FileOperations
    private var unchecked = 0

    /// - Parameter encryption: where the keys are; nil = the tags of encrypted values are not checked.
    public init(encryption: EncryptionSettings?) throws(StoreError) {
        try self.init(encryption: encryption, files: .system)
    }

    init(encryption: EncryptionSettings?, files: FileOperations) throws(StoreError) {
        self.files = files
        sealer = try encryption.map { settings throws(StoreError) in try RecordSealer(settings) }
    }

    /// Checks the store of a data directory that no hostd uses.
    public mutating func check(dataDirectory: String) throws(StoreError) {
        let directory = try StoreDirectory("\(dataDirectory)/store", files: files)
        defer { directory.unlock() }
        let names = try directory.names()
        let segments = names.compactMap { LogFormat.number(of: $0, prefix: "log-") }
        let snapshot = names.last { LogFormat.number(of: $0, prefix: "snapshot-") != nil }
        guard snapshot != nil || !segments.isEmpty else {
            throw StoreError(HOSTD_ERROR_NOT_FOUND, "\(directory.path) has no store: neither a snapshot nor a log")
        }
        if let snapshot { checkSnapshot(directory.file(snapshot)) }
        var log = LogScan(revision: report.revision)
        for (index, number) in segments.enumerated() {
            let path = directory.file(LogFormat.segmentName(number))
            if index > 0, segments[index - 1] + 1 != number {
                note(directory.file(LogFormat.segmentName(segments[index - 1] + 1)), 0, "the segment is missing")
            }
            checkSegment(path, number: number, isLast: index == segments.count - 1, &log)
        }
        report.revision = max(report.revision, log.revision)
        finish()
    }

    /// Checks a copy that `hostd store backup` wrote.
    public mutating func check(backup path: String) {
        checkSnapshot(path)
        finish()
    }

    private mutating func finish() {
        if unchecked > 0 {
            report.notes.append(
                "\(unchecked) encrypted values were checked by checksum only; --config names their keys")
        }
    }

    private mutating func note(_ file: String, _ offset: Int, _ message: String) {
        report.problems.append(Problem(file: file, offset: offset, message: message))
    }

    private mutating func open(_ path: String, magic: UInt64) -> (MappedFile, FileHead)? {
        report.files += 1
        do throws(StoreError) {
            let file = try MappedFile(path, files: files)
            return (file, try FileHead(file.bytes, magic: magic, path: path))
        } catch {
            note(path, 0, error.message)
            return nil
        }
    }

    // MARK: Snapshots

    private mutating func checkSnapshot(_ path: String) {
        guard let (file, head) = open(path, magic: LogFormat.snapshotMagic) else { return }
        report.revision = head.number
        var (offset, sequence, count, last) = (LogFormat.headSize, UInt64(1), UInt64(0), [UInt8]())
        var end: UInt64?
        while end == nil {
            guard let frame = FrameHead.read(file.bytes, at: offset, salt: head.salt, version: head.version),
                frame.sequence == sequence
            else { return note(path, offset, "a frame is incomplete or its checksum is wrong") }
            let start = offset + FrameHead.size(version: head.version)
            let isWhole = forEachRecord(file, start, Int(frame.size)) { place, record in
                if record.head.kind == Record.Kind.times { return nil }
                if record.head.kind == Record.Kind.end {
                    end = record.head.version
                    return nil
                }
                count += 1
                guard record.head.kind == Record.Kind.put || record.head.kind == Record.Kind.sealed else { return nil }
                let isInOrder = last.withUnsafeBytes { compareKeys($0, record.key) } < 0 || last.isEmpty
                last = Array(record.key)
                if !isInOrder { return "the key \(record.key.text) is out of order" }
                return record.head.revision <= head.number
                    ? nil : "revision \(record.head.revision) is after the snapshot's"
            }
            if !isWhole { return note(path, offset, "the records do not fill their frame") }
            offset = start + Int(frame.size)
            sequence += 1
        }
        if end != count { note(path, offset, "\(count) records are there, the end says \(end ?? 0)") }
    }

    // MARK: Log

    private struct LogScan {
        var revision: UInt64
        var sequence: UInt64?
        var isEnded = false
    }

    private mutating func checkSegment(_ path: String, number: UInt64, isLast: Bool, _ log: inout LogScan) {
        guard let (file, head) = open(path, magic: LogFormat.segmentMagic) else { return }
        if head.number != number { note(path, 0, "the head says segment \(head.number)") }
        var offset = LogFormat.headSize
        while let frame = FrameHead.read(file.bytes, at: offset, salt: head.salt, version: head.version),
            log.sequence == nil || frame.sequence == log.sequence
        {
            if log.isEnded { return note(path, offset, "the segment before it is damaged behind its last frame") }
            let start = offset + FrameHead.size(version: head.version)
            if frame.revision > log.revision + 1 {
                note(path, offset, "it goes on at revision \(frame.revision) after \(log.revision)")
            }
            let isWhole = forEachRecord(file, start, Int(frame.size)) { place, record in
                record.head.revision <= frame.revision ? nil : "revision \(record.head.revision) is after its frame's"
            }
            if !isWhole { note(path, offset, "the records do not fill their frame") }
            log.revision = max(log.revision, frame.revision)
            offset = start + Int(frame.size)
            log.sequence = frame.sequence + 1
        }
        checkRest(of: file, head, from: offset, &log)
    }

    /// A valid frame of a later batch behind a broken one is damage; anything else behind the last frame a crash may leave.
    private mutating func checkRest(of file: MappedFile, _ head: FileHead, from end: Int, _ log: inout LogScan) {
        var search = FrameSearch(file.bytes, head: head)
        if search.finds(from: end + 8, ofBatchAfter: end) {
            return note(file.path, end, "acknowledged writes after it cannot be read")
        }
        let rest = UnsafeRawBufferPointer(rebasing: file.bytes[end...])
        guard head.reserved == 0, let start = rest.baseAddress, store_size_without_zeros(start, rest.count) > 0 else {
            return
        }
        report.notes.append(
            "\(file.path) ends at offset \(end) in a batch that was never acknowledged; a start drops it")
        log.isEnded = true
    }

    // MARK: Records

    /// False when the records do not fill the frame. `body` says what is wrong with one.
    private mutating func forEachRecord(
        _ file: MappedFile, _ start: Int, _ size: Int, _ body: (Int, StoredParts) -> String?
    ) -> Bool {
        var offset = start
        guard let base = file.bytes.baseAddress else { return false }
        while offset < start + size {
            guard let length = Record.wellFormedSize(at: base + offset, available: start + size - offset) else {
                return false
            }
            let bytes = UnsafeRawBufferPointer(start: base + offset, count: length)
            report.records += 1
            if let message = body(offset, StoredParts(bytes)) ?? mistake(in: bytes, file, offset) {
                note(file.path, offset, message)
            }
            offset += length
        }
        return true
    }

    private mutating func mistake(in bytes: UnsafeRawBufferPointer, _ file: MappedFile, _ offset: Int) -> String? {
        let parts = StoredParts(bytes)
        let kind = parts.head.kind
        guard kind == Record.Kind.put || kind == Record.Kind.delete || kind == Record.Kind.sealed else { return nil }
        do throws(StoreError) {
            try StoreKey.check(parts.key)
            if kind == Record.Kind.put { try StoreKey.checkIndex(parts.index) }
            guard kind == Record.Kind.sealed else { return nil }
            guard let sealer else {
                unchecked += 1
                return SealedValue(parts.value) == nil ? "the encrypted value of \(parts.key.text) is malformed" : nil
            }
            let record = try sealer.open(bytes, path: file.path, offset: offset)
            defer { record.release() }
            try StoreKey.checkIndex(record.index)
            return nil
        } catch {
            return error.message
        }
    }
}
