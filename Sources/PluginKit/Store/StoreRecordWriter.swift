import Glibc
import PluginAPI

/// Lays out records and pages as they cross hostd.store/1.
public struct StoreRecordWriter {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// A writer whose first bytes are kept for the head of a page; see `page`.
    public static var forPage: StoreRecordWriter {
        var writer = StoreRecordWriter()
        writer.bytes = [UInt8](repeating: 0, count: MemoryLayout<hostd_store_page>.size)
        return writer
    }

    /// The numbers of a record.
    public struct Head: Sendable {
        public var revision: UInt64
        public var createRevision: UInt64 = 0
        public var version: UInt64 = 0
        public var lease: UInt64 = 0
        public var isDelete = false
        public var flags: UInt32 = 0

        public init(
            revision: UInt64, createRevision: UInt64 = 0, version: UInt64 = 0, lease: UInt64 = 0,
            isDelete: Bool = false,
            flags: UInt32 = 0
        ) {
            self.revision = revision
            self.createRevision = createRevision
            self.version = version
            self.lease = lease
            self.isDelete = isDelete
            self.flags = flags
        }
    }

    public mutating func add(
        _ head: Head, key: some Collection<UInt8>, index: some Collection<UInt8>, value: some Collection<UInt8>
    ) {
        let size = MemoryLayout<hostd_store_record>.size
        let used = size + key.count + index.count + value.count
        let padded = (used + 7) & ~7
        let record = hostd_store_record(
            struct_size: UInt32(size), record_size: UInt32(padded), revision: head.revision,
            create_revision: head.createRevision, version: head.version, lease: head.lease,
            kind: UInt32(head.isDelete ? HOSTD_STORE_RECORD_DELETE : HOSTD_STORE_RECORD_PUT), flags: head.flags,
            key_size: UInt32(key.count), index_size: UInt32(index.count), value_size: UInt32(value.count), reserved: 0)
        bytes.reserveCapacity(bytes.count + padded)
        withUnsafeBytes(of: record) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: key)
        bytes.append(contentsOf: index)
        bytes.append(contentsOf: value)
        for _ in used..<padded { bytes.append(0) }
    }

    /// Appends a record that was laid out before, with other flags.
    public mutating func add(laidOut record: [UInt8], flags: UInt32 = 0) {
        let start = bytes.count
        bytes.append(contentsOf: record)
        guard flags != 0, let offset = MemoryLayout<hostd_store_record>.offset(of: \.flags) else { return }
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: flags, toByteOffset: start + offset, as: UInt32.self) }
    }

    /// The one record as a buffer of its own.
    public consuming func record() -> hostd_buffer { bytes.withUnsafeBytes { hostd_buffer(copying: $0) } }

    /// Finishes a page that was begun by `forPage`.
    public consuming func page(revision: UInt64, count: Int, hasMore: Bool, remaining: UInt64) -> hostd_buffer {
        let head = hostd_store_page(
            struct_size: UInt32(MemoryLayout<hostd_store_page>.size), more: hasMore ? 1 : 0, revision: revision,
            count: UInt64(count), remaining: remaining)
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: head, as: hostd_store_page.self) }
        return bytes.withUnsafeBytes { hostd_buffer(copying: $0) }
    }
}
