import Objects
import PluginAPI

/// One stored value as read from the store. The bytes are shared with the store, not copied, and valid as long as the
/// record lives.
public struct StoreRecord: Sendable {
    private let owner: OwnedBuffer
    private let offset: Int

    init(owner: OwnedBuffer, offset: Int) {
        self.owner = owner
        self.offset = offset
    }

    private func number<T: FixedWidthInteger & BitwiseCopyable>(_ field: Int, as type: T.Type) -> T {
        owner.bytes.loadUnaligned(fromByteOffset: offset + field, as: T.self)
    }
    private var head: Int { Int(number(0, as: UInt32.self)) }
    private var keySize: Int { Int(number(48, as: UInt32.self)) }
    private var indexSize: Int { Int(number(52, as: UInt32.self)) }
    private var valueSize: Int { Int(number(56, as: UInt32.self)) }

    public var revision: UInt64 { number(8, as: UInt64.self) }
    public var createRevision: UInt64 { number(16, as: UInt64.self) }
    public var version: UInt64 { number(24, as: UInt64.self) }
    public var lease: UInt64 { number(32, as: UInt64.self) }
    public var isDelete: Bool { number(40, as: UInt32.self) == UInt32(HOSTD_STORE_RECORD_DELETE) }
    private var flags: UInt32 { number(44, as: UInt32.self) }
    /// In a watch with a selector: the previous value did not match, so to the watch the key is new.
    public var hasEntered: Bool { flags & HOSTD_STORE_RECORD_ENTERED != 0 }
    /// In a watch with a selector: the previous value matched and this one does not, so to the watch the key is gone.
    public var hasLeft: Bool { flags & HOSTD_STORE_RECORD_LEFT != 0 }
    var hasPrevious: Bool { flags & HOSTD_STORE_RECORD_HAS_PREVIOUS != 0 }
    var size: Int { Int(number(4, as: UInt32.self)) }

    public var keyBytes: UnsafeRawBufferPointer { slice(head, keySize) }
    public var key: String { String(decoding: keyBytes, as: UTF8.self) }
    public var indexBytes: UnsafeRawBufferPointer { slice(head + keySize, indexSize) }
    public var valueBytes: UnsafeRawBufferPointer { slice(head + keySize + indexSize, valueSize) }

    private func slice(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: owner.bytes[(offset + start)..<(offset + start + count)])
    }

    /// The bytes keep their owner alive while `body` runs.
    public func withValue<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(owner) { try body(valueBytes) }
    }

    /// The value of an index entry, nil when absent. Complexity: linear in the index.
    public func index(_ name: String) -> String? {
        withExtendedLifetime(owner) {
            let parts = indexBytes.split(separator: 0, omittingEmptySubsequences: false)
            var position = 0
            while position + 1 < parts.count {
                if parts[position].elementsEqual(name.utf8) {
                    return String(decoding: parts[position + 1], as: UTF8.self)
                }
                position += 2
            }
            return nil
        }
    }

    /// The stored object, with its resource version filled in.
    public func object() throws -> JSON {
        var object = try withValue { try JSON(parsing: $0) }
        object["metadata"]["resourceVersion"] = .string(String(revision))
        return object
    }

    /// The same without `metadata.managedFields`, which costs as much to parse as the rest of many objects.
    public func objectWithoutManagedFields() throws -> JSON {
        var object = try withValue { try JSON(parsingWithoutManagedFields: $0) }
        object["metadata"]["resourceVersion"] = .string(String(revision))
        return object
    }

    /// The same, and the list as it is stored, for whoever writes it back unread; empty when there is none.
    public func objectAndManagedFields() throws -> (object: JSON, managedFields: [UInt8]) {
        var (object, managedFields) = try withValue { bytes in
            var place: Range<Int>?
            let object = try JSON(parsing: bytes, without: &place)
            return (object, place.map { Array(bytes[$0]) } ?? [])
        }
        object["metadata"]["resourceVersion"] = .string(String(revision))
        return (object, managedFields)
    }

    /// Splits a key into resource, namespace and name.
    public static func split(key: String) -> (resource: Substring, namespace: Substring, name: Substring) {
        let parts = key.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        return (parts.first ?? "", parts.count > 1 ? parts[1] : "", parts.count > 2 ? parts[2] : "")
    }

    /// All records that lie in `owner` from `start` on.
    /// - Throws: DATA_LOSS when sizes do not add up.
    static func all(in owner: OwnedBuffer, from start: Int) throws(PluginError) -> [StoreRecord] {
        var records: [StoreRecord] = []
        var offset = start
        let end = owner.bytes.count
        while offset < end {
            let record = StoreRecord(owner: owner, offset: offset)
            guard end - offset >= MemoryLayout<hostd_store_record>.size, record.size >= record.head,
                record.size % 8 == 0,
                record.head + record.keySize + record.indexSize + record.valueSize <= record.size,
                offset + record.size <= end
            else { throw PluginError(code: HOSTD_ERROR_DATA_LOSS, message: "a store record at \(offset) is malformed") }
            records.append(record)
            offset += record.size
        }
        return records
    }
}

/// A page of a list.
public struct StorePage: Sendable {
    public let records: [StoreRecord]
    /// The state that the page shows; go on listing at it.
    public let revision: UInt64
    public let hasMore: Bool
    public let remaining: UInt64
}

/// A change seen by a watch.
public struct StoreEvent: Sendable {
    /// The new record; for a delete, the record of the delete with an empty value.
    public let record: StoreRecord
    public let previous: StoreRecord?
    public var isDelete: Bool { record.isDelete }
}
