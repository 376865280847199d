import CStateStore
import Glibc
import PluginAPI

/// The layout of log segments and snapshots. All numbers little-endian.
///
///     segment:  head (one page) │ frame │ frame │ … │ zeros or bytes of an older use
///     snapshot: head (one page) │ frame │ frame │ … │ frame with the end record
///     frame:    FrameHead │ hostd_store_record │ hostd_store_record │ …
///
/// A frame is valid when its checksum, begun with the file's salt, is right; so bytes of an older use are never valid.
///
/// Versions: 1 had frames without a time and records without a writer. 2 has both. Every version up to this one is read;
/// only this one is written, so a log that goes on after an update begins a new segment.
enum LogFormat {
    static let version: UInt32 = 2
    /// Where frames begin: the head has a page of its own.
    static let headSize = 4096
    static let frameMagic: UInt32 = 0x3146_5348  // "HSF1"
    static let segmentMagic: UInt64 = 0x474F_4C44_5453_4F48  // "HOSTDLOG"
    static let snapshotMagic: UInt64 = 0x504E_5344_5453_4F48  // "HOSTDSNP"

    static func segmentName(_ number: UInt64) -> String { "log-" + padded(number) }
    static func snapshotName(_ revision: UInt64) -> String { "snapshot-" + padded(revision) }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.count) + digits
    }

    /// The number in a file name with this prefix, nil for other names.
    static func number(of name: String, prefix: String) -> UInt64? {
        guard name.hasPrefix(prefix), name.utf8.count == prefix.utf8.count + 20 else { return nil }
        return UInt64(name.dropFirst(prefix.count))
    }
}

/// What a segment or snapshot begins with.
struct FileHead {
    var magic: UInt64
    var version: UInt32
    /// Begins every checksum of the file; random.
    var salt: UInt32
    /// The segment's number, the snapshot's revision.
    var number: UInt64
    var checksum: UInt32 = 0
    /// 1 when the file had an older use, whose bytes follow the last frame instead of zeros.
    var reserved: UInt32 = 0

    static let checkedSize = 24

    init(magic: UInt64, number: UInt64) {
        self.magic = magic
        version = LogFormat.version
        salt = planted(.saltReused) ? 1 : KernelRandom.number(in: 1 ... .max)
        self.number = number
        checksum = withUnsafeBytes(of: self) { store_crc32c(0, $0.baseAddress!, Self.checkedSize) }
    }

    /// Reads and checks the head of `path`.
    init(_ bytes: UnsafeRawBufferPointer, magic: UInt64, path: String) throws(StoreError) {
        guard bytes.count >= LogFormat.headSize, let base = bytes.baseAddress else {
            throw StoreError(HOSTD_ERROR_DATA_LOSS, "\(path) is shorter than its head; \(StoreRemedy.restore(path))")
        }
        self = base.loadUnaligned(as: FileHead.self)
        guard self.magic == magic else {
            throw StoreError(
                HOSTD_ERROR_DATA_LOSS,
                "\(path) is not a file of this kind: damaged at offset 0; \(StoreRemedy.restore(path))")
        }
        guard version <= LogFormat.version else {
            throw StoreError(
                HOSTD_ERROR_VERSION,
                "\(path) has format version \(version), this hostd reads up to \(LogFormat.version); run the newer hostd"
            )
        }
        guard version > 0, checksum == store_crc32c(0, base, Self.checkedSize) else {
            throw StoreError(
                HOSTD_ERROR_DATA_LOSS, "\(path) is damaged at offset 0 (its head); \(StoreRemedy.restore(path))")
        }
    }
}

/// What a frame begins with; 48 bytes, 40 in files of version 1.
struct FrameHead {
    var magic = LogFormat.frameMagic
    /// CRC-32C of the rest of this head and the payload, begun with the file's salt.
    var checksum: UInt32 = 0
    /// Of the payload, in bytes.
    var size: UInt32
    var count: UInt32
    /// Counts the frames of the whole log, across segments.
    var sequence: UInt64
    /// The store's revision after this frame.
    var revision: UInt64
    /// How far behind the first frame of its batch it begins. A batch is on disk as a whole before the next begins.
    var batchDistance: UInt32
    var reserved: UInt32 = 0
    /// When its batch was written, milliseconds since 1970 (UTC); in a snapshot when the revision that it shows was. 0 = not
    /// known, as in files of version 1.
    var time: UInt64 = 0

    static let size = 48

    /// How many bytes a head takes in a file of this version.
    static func size(version: UInt32) -> Int { version < 2 ? 40 : size }

    init(size: UInt32, count: UInt32, sequence: UInt64, revision: UInt64, batchDistance: UInt32, time: UInt64) {
        self.size = size
        self.count = count
        self.sequence = sequence
        self.revision = revision
        self.batchDistance = batchDistance
        self.time = time
    }

    /// Reads what stands at `bytes`, in a file of this version.
    private init(_ bytes: UnsafeRawPointer, version: UInt32) {
        self.init(size: 0, count: 0, sequence: 0, revision: 0, batchDistance: 0, time: 0)
        withUnsafeMutableBytes(of: &self) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: bytes, count: Self.size(version: version)))
        }
    }

    /// The checksum of this head, to be continued over the payload.
    func headChecksum(salt: UInt32, version: UInt32 = LogFormat.version) -> UInt32 {
        withUnsafeBytes(of: self) { store_crc32c(salt, $0.baseAddress! + 8, Self.size(version: version) - 8) }
    }

    /// What stands at `offset` of a file of this version and looks like the head of a frame that fits into the file, its
    /// checksum unread.
    static func candidate(_ file: UnsafeRawBufferPointer, at offset: Int, version: UInt32) -> FrameHead? {
        let size = size(version: version)
        guard offset + size <= file.count, let base = file.baseAddress else { return nil }
        let head = FrameHead(base + offset, version: version)
        guard head.magic == LogFormat.frameMagic, head.size % 8 == 0, Int(head.size) <= file.count - offset - size
        else {
            return nil
        }
        return head
    }

    /// The frame at `offset` of a file of this version, or nil when there is no valid one.
    static func read(
        _ file: UnsafeRawBufferPointer, at offset: Int, salt: UInt32, version: UInt32 = LogFormat.version
    ) -> FrameHead? {
        guard let head = candidate(file, at: offset, version: version), let base = file.baseAddress else { return nil }
        let checksum = store_crc32c(
            head.headChecksum(salt: salt, version: version), base + offset + size(version: version), Int(head.size))
        return checksum == head.checksum || planted(.checksumIgnored) ? head : nil
    }

    /// Calls `body` with each record of a valid frame. False when they do not fill it exactly.
    static func records(
        _ payload: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Void
    ) throws(StoreError) -> Bool {
        var offset = 0
        while offset < payload.count {
            guard let base = payload.baseAddress,
                let size = Record.wellFormedSize(at: base + offset, available: payload.count - offset)
            else { return false }
            try body(UnsafeRawBufferPointer(start: base + offset, count: size))
            offset += size
        }
        return true
    }
}
