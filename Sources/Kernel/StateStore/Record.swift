import CStateStore
import Glibc
import PluginAPI

/// One stored value: a counted block of memory that holds exactly one `hostd_store_record`, in the layout in which it is
/// written to the log and handed to plugins. A plain pointer: who keeps one calls `retain` and `release`.
struct Record: @unchecked Sendable {  // The bytes do not change after the commit; the count is atomic.
    let block: UnsafeMutablePointer<store_block>

    /// Kinds beside `HOSTD_STORE_RECORD_PUT` and `_DELETE` that only the log and snapshots contain.
    enum Kind {
        static let put = UInt32(HOSTD_STORE_RECORD_PUT)
        static let delete = UInt32(HOSTD_STORE_RECORD_DELETE)
        /// `lease` was granted; the value is its time to live, milliseconds, little-endian uint64.
        static let leaseGrant: UInt32 = 16
        static let leaseRevoke: UInt32 = 17
        /// History up to `revision` was given up.
        static let compact: UInt32 = 18
        /// The log was closed in order.
        static let close: UInt32 = 19
        /// The last record of a snapshot: `version` is the count of records before it.
        static let end: UInt32 = 20
        /// `lease` is the number by which records name the writer that is the value (see `Writer`).
        static let writer: UInt32 = 21
        /// The first record of a snapshot's frame: when each record after it was written, uint64 milliseconds since 1970.
        static let times: UInt32 = 22
        /// A put whose index and value are encrypted (see `SealedValue`).
        static let sealed: UInt32 = 23
    }

    static let headSize = MemoryLayout<hostd_store_record>.size

    var bytes: UnsafeMutableRawPointer { UnsafeMutableRawPointer(block + 1) }
    var head: UnsafeMutablePointer<hostd_store_record> { bytes.assumingMemoryBound(to: hostd_store_record.self) }
    var size: Int { Int(block.pointee.size) }
    var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: bytes, count: size) }

    var revision: UInt64 { head.pointee.revision }
    var kind: UInt32 { head.pointee.kind }
    var isPut: Bool { kind == Kind.put }
    var lease: UInt64 { head.pointee.lease }

    var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: bytes + Self.headSize, count: Int(head.pointee.key_size))
    }
    var index: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: bytes + Self.headSize + Int(head.pointee.key_size), count: Int(head.pointee.index_size))
    }
    var value: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: bytes + Self.headSize + Int(head.pointee.key_size) + Int(head.pointee.index_size),
            count: Int(head.pointee.value_size))
    }

    /// When it was written, milliseconds since 1970; 0 = not known. Set before the record can be seen.
    var time: UInt64 {
        get { block.pointee.time }
        nonmutating set { block.pointee.time = newValue }
    }
    /// Who wrote it, a number of the `WriterTable`; 0 = not known. It lies in the record's reserved field.
    var writer: UInt32 {
        get { head.pointee.reserved }
        nonmutating set { head.pointee.reserved = newValue }
    }

    /// The key's version before this one, while the history keeps it. Changes only under the tree's write lock.
    var previous: Record? {
        get { block.pointee.previous.map(Record.init(block:)) }
        nonmutating set { block.pointee.previous = newValue?.block }
    }

    @inline(__always) func retain() { store_block_retain(block) }
    @inline(__always) func release() { store_block_release(block) }

    /// Makes a record with one reference. Revision, version and lease are filled in by the committer.
    static func make(
        kind: UInt32, key: UnsafeRawBufferPointer, index: UnsafeRawBufferPointer = .init(start: nil, count: 0),
        value: UnsafeRawBufferPointer = .init(start: nil, count: 0), lease: UInt64 = 0
    ) throws(StoreError) -> Record {
        let record = try make(kind: kind, key: key, valueSize: index.count + value.count, lease: lease)
        record.head.pointee.index_size = UInt32(index.count)
        record.head.pointee.value_size = UInt32(value.count)
        var end = record.bytes + headSize + key.count
        for part in [index, value] where !part.isEmpty {
            end.copyMemory(from: part.baseAddress.unsafelyUnwrapped, byteCount: part.count)
            end += part.count
        }
        return record
    }

    /// Makes a record with one reference whose value is for the caller to fill in.
    static func make(
        kind: UInt32, key: UnsafeRawBufferPointer, valueSize: Int, lease: UInt64
    ) throws(StoreError) -> Record {
        let used = headSize + key.count + valueSize
        let size = (used + 7) & ~7
        let record = try allocate(size)
        record.head.initialize(
            to: hostd_store_record(
                struct_size: UInt32(headSize), record_size: UInt32(size), revision: 0, create_revision: 0, version: 0,
                lease: lease, kind: kind, flags: 0, key_size: UInt32(key.count), index_size: 0,
                value_size: UInt32(valueSize), reserved: 0))
        if let start = key.baseAddress { (record.bytes + headSize).copyMemory(from: start, byteCount: key.count) }
        if size > used { memset(record.bytes + used, 0, size - used) }
        return record
    }

    /// Copies a record out of a log or snapshot, after `isWellFormed` has said that it is one.
    static func copy(_ bytes: UnsafeRawBufferPointer) throws(StoreError) -> Record {
        let record = try allocate(bytes.count)
        if let base = bytes.baseAddress { memcpy(record.bytes, base, bytes.count) }
        return record
    }

    private static func allocate(_ size: Int) throws(StoreError) -> Record {
        guard let size = UInt32(exactly: size), let block = store_block_make(size) else {
            throw StoreError(
                HOSTD_ERROR_RESOURCE_EXHAUSTED, "no memory for a record of \(size) bytes", retryable: true,
                retryDelay: 100)
        }
        return Record(block: block)
    }

    /// The size of the record that begins at `bytes`, or nil when its head contradicts itself or the space.
    static func wellFormedSize(at bytes: UnsafeRawPointer, available: Int) -> Int? {
        guard available >= headSize else { return nil }
        let head = bytes.loadUnaligned(as: hostd_store_record.self)
        let used = headSize + Int(head.key_size) + Int(head.index_size) + Int(head.value_size)
        guard head.struct_size == UInt32(headSize), Int(head.record_size) == (used + 7) & ~7,
            Int(head.record_size) <= available
        else { return nil }
        return Int(head.record_size)
    }
}

extension Record {
    /// Checks what was read from a file: bytes that their checksum fits and that this store never wrote are damage too.
    func checkStored(in path: String, at offset: Int, from least: UInt64, upTo most: UInt64) throws(StoreError) {
        guard revision >= least, revision <= most else {
            throw .damage(path, at: offset, "the revision \(revision) does not lie between \(least) and \(most)")
        }
        do throws(StoreError) {
            try StoreKey.check(key)
            try StoreKey.checkIndex(index)
        } catch {
            throw .damage(path, at: offset, error.message)
        }
    }
}

/// Order of keys: byte by byte, the shorter first.
@inline(__always)
func compareKeys(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    if common > 0 {
        let order = memcmp(left.baseAddress.unsafelyUnwrapped, right.baseAddress.unsafelyUnwrapped, common)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes begin with `prefix`.
    @inline(__always)
    func begins(with prefix: UnsafeRawBufferPointer) -> Bool {
        count >= prefix.count
            && (prefix.isEmpty
                || memcmp(baseAddress.unsafelyUnwrapped, prefix.baseAddress.unsafelyUnwrapped, prefix.count) == 0)
    }

    var text: String { String(decoding: self, as: UTF8.self) }
}
