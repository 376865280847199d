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
    private var buffer: [UInt8] = []
    private var inFrame = 0
    private var sequence: UInt64 = 1
    private(set) var count: UInt64 = 0
    private(set) var bytes = 0
    private var unsynchronized = 0

    /// `file` stays the caller's.
    init(file: Int32, path: String, revision: UInt64, files: FileOperations) throws(StoreError) {
        self.file = file
        self.path = path
        self.files = files
        head = FileHead(magic: LogFormat.snapshotMagic, number: revision)
        var page = [UInt8](repeating: 0, count: LogFormat.headSize)
        withUnsafeBytes(of: head) { page.replaceSubrange(0..<$0.count, with: $0) }
        try write(page)
    }

    mutating func add(_ record: Record) throws(StoreError) {
        if buffer.isEmpty { buffer.append(contentsOf: repeatElement(0, count: FrameHead.size)) }
        buffer.append(contentsOf: record.raw)
        inFrame += 1
        count += 1
        if buffer.count >= Self.frameSize { try flush() }
    }

    private mutating func flush() throws(StoreError) {
        guard inFrame > 0 else { return }
        var frame = FrameHead(
            size: UInt32(buffer.count - FrameHead.size), count: UInt32(inFrame), sequence: sequence,
            revision: head.number,
            batchDistance: 0)
        buffer.withUnsafeMutableBytes { buffer in
            frame.checksum = store_crc32c(
                frame.headChecksum(salt: head.salt), buffer.baseAddress! + FrameHead.size, buffer.count - FrameHead.size
            )
            buffer.storeBytes(of: frame, as: FrameHead.self)
        }
        try write(buffer)
        buffer.removeAll(keepingCapacity: true)
        inFrame = 0
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
        try synchronize()
        return bytes
    }
}

/// Reads a snapshot and checks all of it.
enum SnapshotReader {
    /// Calls `body` with each record. Returns the revision that the snapshot shows.
    static func read(
        _ path: String, files: FileOperations, _ body: (Record) throws(StoreError) -> Void
    ) throws(StoreError) -> UInt64 {
        let file = try MappedFile(path, files: files)
        let head = try FileHead(file.bytes, magic: LogFormat.snapshotMagic, path: path)
        var offset = LogFormat.headSize
        var sequence: UInt64 = 1
        var count: UInt64 = 0
        while let frame = FrameHead.read(file.bytes, at: offset, salt: head.salt), frame.sequence == sequence {
            let start = offset + FrameHead.size
            let payload = UnsafeRawBufferPointer(rebasing: file.bytes[start..<start + Int(frame.size)])
            var isComplete = false
            let fits = try FrameHead.records(payload) { bytes throws(StoreError) in
                let record = try Record.copy(bytes)
                if record.kind == Record.Kind.end {
                    isComplete = record.head.pointee.version == count
                    record.release()
                } else {
                    count += 1
                    try body(record)
                }
            }
            if isComplete { return head.number }
            guard fits else { break }
            offset = start + Int(frame.size)
            sequence += 1
        }
        throw StoreError(
            HOSTD_ERROR_DATA_LOSS,
            "\(path) is damaged at offset \(offset): a frame is incomplete or its checksum is wrong; restore it from a backup"
        )
    }
}
