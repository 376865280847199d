import CStateStore
import Glibc
import PluginAPI

/// Writes a snapshot (see `LogFormat`) to an open file.
struct SnapshotWriter: ~Copyable {
    private static let frameSize = 128 << 10

    private let file: Int32
    private let path: String
    private let head: FileHead
    private let files: FileOperations
    private let time: UInt64
    private let sealer: RecordSealer?
    private let destination: RecordSealer.Destination
    private var buffer: [UInt8] = []
    private var times: [UInt64] = []
    private var inFrame: Int { times.count }
    private var sequence: UInt64 = 1
    private(set) var count: UInt64 = 0
    private(set) var bytes = 0
    private var unsynchronized = 0

    /// `file` stays the caller's. `time`: when the revision was written, milliseconds since 1970.
    init(
        file: Int32, path: String, revision: UInt64, time: UInt64, files: FileOperations, sealer: RecordSealer?,
        destination: RecordSealer.Destination = .elsewhere
    ) throws(StoreError) {
        self.time = time
        self.sealer = sealer
        self.destination = destination
        self.file = file
        self.path = path
        self.files = files
        head = FileHead(
            magic: LogFormat.snapshotMagic, number: planted(.snapshotAtWrongRevision) ? revision + 1 : revision)
        var page = [UInt8](repeating: 0, count: LogFormat.headSize)
        withUnsafeBytes(of: head) { page.replaceSubrange(0..<$0.count, with: $0) }
        try write(page)
    }

    mutating func add(_ record: Record) throws(StoreError) {
        if let sealer {
            let sealed = try sealer.seal(record, for: destination)
            defer { sealed.release() }
            buffer.append(contentsOf: sealed.raw)
        } else {
            buffer.append(contentsOf: record.raw)
        }
        times.append(record.time)
        count += 1
        if buffer.count >= Self.frameSize { try flush() }
    }

    private mutating func flush() throws(StoreError) {
        guard inFrame > 0 else { return }
        let times = try times.withUnsafeBufferPointer { times throws(StoreError) in
            try Record.make(
                kind: Record.Kind.times, key: UnsafeRawBufferPointer(start: nil, count: 0),
                value: UnsafeRawBufferPointer(times))
        }
        defer { times.release() }
        var frame = FrameHead(
            size: UInt32(times.size + buffer.count), count: UInt32(inFrame + 1), sequence: sequence,
            revision: head.number, batchDistance: 0, time: time)
        frame.checksum = store_crc32c(frame.headChecksum(salt: head.salt), times.bytes, times.size)
        frame.checksum = buffer.withUnsafeBytes { store_crc32c(frame.checksum, $0.baseAddress!, $0.count) }
        var whole: [UInt8] = []
        whole.reserveCapacity(FrameHead.size + times.size + buffer.count)
        withUnsafeBytes(of: frame) { whole.append(contentsOf: $0) }
        whole.append(contentsOf: times.raw)
        whole.append(contentsOf: buffer)
        try write(whole)
        buffer.removeAll(keepingCapacity: true)
        self.times.removeAll(keepingCapacity: true)
        sequence += 1
    }

    /// Writes one after the other, so that pipes work too.
    private mutating func write(_ data: [UInt8]) throws(StoreError) {
        var offset = 0
        while offset < data.count {
            let written = data.withUnsafeBytes { files.append(file, $0.baseAddress! + offset, $0.count - offset) }
            if written > 0 {
                offset += written
            } else if written == 0 || errno != EINTR {
                throw fileError("write", path, written == 0 ? EIO : errno)
            }
        }
        bytes += data.count
        unsynchronized += data.count
        // In pieces, so that a commit's fdatasync meanwhile does not wait for all of it. A pipe cannot be synchronized.
        if unsynchronized >= 4 << 20 {
            unsynchronized = 0
            try synchronize()
        }
    }

    private func synchronize() throws(StoreError) {
        if files.synchronize(file) != 0 && errno != EINVAL && errno != EROFS {
            throw fileError("fdatasync", path, errno)
        }
    }

    /// Writes the end record and makes the file durable (a pipe cannot be).
    consuming func finish() throws(StoreError) -> Int {
        let end = try Record.make(kind: Record.Kind.end, key: UnsafeRawBufferPointer(start: nil, count: 0))
        defer { end.release() }
        end.head.pointee.version = count
        end.head.pointee.revision = head.number
        try add(end)
        try flush()
        if !planted(.snapshotNotSynchronized) { try synchronize() }
        return bytes
    }
}

/// Reads a snapshot and checks all of it.
enum SnapshotReader {
    /// What a snapshot shows.
    struct Shown {
        var revision: UInt64
        /// When it was written, milliseconds since 1970; 0 = not known.
        var time: UInt64
    }

    /// Calls `body` with each record, dated; the reference is passed on.
    static func read(
        _ path: String, files: FileOperations, sealer: RecordSealer, _ body: (Record) throws(StoreError) -> Void
    ) throws(StoreError) -> Shown {
        let file = try MappedFile(path, files: files)
        let head = try FileHead(file.bytes, magic: LogFormat.snapshotMagic, path: path)
        var offset = LogFormat.headSize
        var sequence: UInt64 = 1
        var count: UInt64 = 0
        var lastKey: [UInt8] = []
        while let frame = FrameHead.read(file.bytes, at: offset, salt: head.salt, version: head.version),
            frame.sequence == sequence
        {
            let start = offset + FrameHead.size(version: head.version)
            let payload = UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + Int(frame.size)])
            var isComplete = false
            var times = FrameTimes()
            let fits = try FrameHead.records(payload) { bytes throws(StoreError) in
                if times.take(bytes) { return }
                let place = bytes.baseAddress.unsafelyUnwrapped - file.bytes.baseAddress.unsafelyUnwrapped
                let record = try sealer.open(bytes, path: path, offset: place)
                record.time = times.next()
                if record.kind == Record.Kind.end {
                    isComplete = record.head.pointee.version == count
                    record.release()
                } else {
                    count += 1
                    if record.isPut { try check(record, path, place, upTo: head.number, after: &lastKey) }
                    try body(record)
                }
            }
            if isComplete { return Shown(revision: head.number, time: frame.time) }
            guard fits else { break }
            offset = start + Int(frame.size)
            sequence += 1
        }
        throw StoreError(
            HOSTD_ERROR_DATA_LOSS,
            "\(path) is damaged at offset \(offset): a frame is incomplete or its checksum is wrong; \(StoreRemedy.restore(path))"
        )
    }
}

extension SnapshotReader {
    /// Keys come in order, none twice. A record that is refused is released.
    private static func check(
        _ record: Record, _ path: String, _ offset: Int, upTo revision: UInt64, after last: inout [UInt8]
    ) throws(StoreError) {
        do throws(StoreError) {
            try record.checkStored(in: path, at: offset, from: 0, upTo: revision)
            guard last.withUnsafeBytes({ compareKeys($0, record.key) }) < 0 else {
                throw .damage(path, at: offset, "the key \(record.key.text) is out of order")
            }
        } catch {
            record.release()
            throw error
        }
        last.removeAll(keepingCapacity: true)
        last.append(contentsOf: record.key)
    }
}

/// The times of the records of one frame of a snapshot. Files of version 1 have none.
struct FrameTimes {
    private var value = UnsafeRawBufferPointer(start: nil, count: 0)
    private var position = 0

    /// Whether this record is the list of times; it is borrowed.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let head = bytes.loadUnaligned(as: hostd_store_record.self)
        guard head.kind == Record.Kind.times else { return false }
        let start = Record.headSize + Int(head.key_size) + Int(head.index_size)
        value = UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(head.value_size)])
        position = 0
        return true
    }

    /// The time of the next record; 0 when it is not known.
    mutating func next() -> UInt64 {
        guard position + 8 <= value.count else { return 0 }
        defer { position += 8 }
        return value.loadUnaligned(fromByteOffset: position, as: UInt64.self)
    }
}
