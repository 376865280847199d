import PluginAPI

/// A record as an engine handed it out.
struct ContractRecord: Equatable, Sendable {
    let key: String
    let value: [UInt8]
    let index: [UInt8]
    let revision: UInt64
    let createRevision: UInt64
    let version: UInt64
    let lease: UInt64
    let kind: UInt32
    let flags: UInt32

    var isDelete: Bool { kind == UInt32(HOSTD_STORE_RECORD_DELETE) }
    var hasPrevious: Bool { flags & UInt32(HOSTD_STORE_RECORD_HAS_PREVIOUS) != 0 }
    var hasEntered: Bool { flags & UInt32(HOSTD_STORE_RECORD_ENTERED) != 0 }
    var hasLeft: Bool { flags & UInt32(HOSTD_STORE_RECORD_LEFT) != 0 }
    var text: String { String(decoding: value.prefix(64), as: UTF8.self) }

    /// Reads the records of `bytes` from `start` to the end, each checked against the layout in hostd/roles/store.h.
    static func sequence(_ bytes: [UInt8], from start: Int = 0) throws(Violation) -> [ContractRecord] {
        var records: [ContractRecord] = []
        var next = start
        while next < bytes.count {
            let (record, size) = try one(bytes, next)
            records.append(record)
            next += size
        }
        return records
    }

    private static func one(_ bytes: [UInt8], _ start: Int) throws(Violation) -> (ContractRecord, Int) {
        let headSize = MemoryLayout<hostd_store_record>.size
        let left = bytes.count - start
        try require(left >= headSize, "a record of \(left) bytes: its head alone takes \(headSize)")
        let head = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: hostd_store_record.self) }
        let (whole, keyStart) = (Int(head.record_size), start + Int(head.struct_size))
        let (keySize, indexSize, valueSize) = (Int(head.key_size), Int(head.index_size), Int(head.value_size))
        try require(
            Int(head.struct_size) >= headSize && whole.isMultiple(of: 8) && whole <= left
                && Int(head.struct_size) + keySize + indexSize + valueSize <= whole,
            """
            a record whose sizes do not fit: struct_size \(head.struct_size), record_size \(whole) of \(left) bytes, \
            key \(keySize), index \(indexSize), value \(valueSize)
            """)
        try require((1...2).contains(head.kind), "a record of the unknown kind \(head.kind)")
        let indexStart = keyStart + keySize
        let valueStart = indexStart + indexSize
        let record = ContractRecord(
            key: String(decoding: bytes[keyStart..<indexStart], as: UTF8.self),
            value: Array(bytes[valueStart..<valueStart + valueSize]), index: Array(bytes[indexStart..<valueStart]),
            revision: head.revision, createRevision: head.create_revision, version: head.version, lease: head.lease,
            kind: head.kind, flags: head.flags)
        return (record, whole)
    }
}

/// A page of a list.
struct ContractPage: Sendable {
    let records: [ContractRecord]
    let revision: UInt64
    let hasMore: Bool
    let remaining: UInt64

    var keys: [String] { records.map(\.key) }

    init(_ bytes: [UInt8]) throws(Violation) {
        let headSize = MemoryLayout<hostd_store_page>.size
        try require(bytes.count >= headSize, "a page of \(bytes.count) bytes: its head alone takes \(headSize)")
        let head = bytes.withUnsafeBytes { $0.loadUnaligned(as: hostd_store_page.self) }
        try require(
            Int(head.struct_size) >= headSize && Int(head.struct_size) <= bytes.count,
            "a page of \(bytes.count) bytes with a struct_size of \(head.struct_size)")
        records = try ContractRecord.sequence(bytes, from: Int(head.struct_size))
        try require(
            records.count == Int(head.count), "a page that counts \(head.count) records and has \(records.count)")
        revision = head.revision
        hasMore = head.more != 0
        remaining = head.remaining
    }
}
