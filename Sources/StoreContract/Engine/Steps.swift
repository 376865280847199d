import PluginAPI

/// The steps of a transaction as they cross.
struct Steps {
    private(set) var bytes: [UInt8] = []

    private mutating func add(
        _ kind: Int32, _ key: String, _ value: [UInt8], _ index: [UInt8], _ lease: UInt64, _ expected: UInt64
    ) {
        let headSize = MemoryLayout<hostd_store_operation>.size
        let key = Array(key.utf8)
        let size = (headSize + key.count + index.count + value.count + 7) / 8 * 8
        let head = hostd_store_operation(
            struct_size: UInt32(headSize), operation_size: UInt32(size), kind: UInt32(kind), flags: 0,
            expected_revision: expected, lease: lease, key_size: UInt32(key.count), index_size: UInt32(index.count),
            value_size: UInt32(value.count), reserved: 0)
        let end = bytes.count + size
        withUnsafeBytes(of: head) { bytes += $0 }
        bytes += key + index + value
        bytes += [UInt8](repeating: 0, count: end - bytes.count)
    }

    mutating func create(_ key: String, _ value: String, index: [UInt8] = [], lease: UInt64 = 0) {
        add(HOSTD_STORE_CREATE, key, Array(value.utf8), index, lease, 0)
    }
    mutating func update(_ key: String, _ value: String, expected: UInt64 = 0) {
        add(HOSTD_STORE_UPDATE, key, Array(value.utf8), [], 0, expected)
    }
    mutating func put(_ key: String, _ value: String) { add(HOSTD_STORE_PUT, key, Array(value.utf8), [], 0, 0) }
    mutating func delete(_ key: String, expected: UInt64 = 0) { add(HOSTD_STORE_DELETE, key, [], [], 0, expected) }
    mutating func check(_ key: String, expected: UInt64) { add(HOSTD_STORE_CHECK, key, [], [], 0, expected) }
}

/// What a transaction completed with.
struct ContractCommit: Sendable {
    let status: Int32
    /// nil when no step failed.
    let failedStep: UInt32?
    let revision: UInt64
}
