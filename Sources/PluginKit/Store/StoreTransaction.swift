import PluginAPI

/// Steps that happen all or not at all, in the encoding that the store takes.
public struct StoreTransaction: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// How many steps it has.
    public private(set) var count = 0

    /// Whether the completion returns promptly: it hands on what it gets, waits for nothing, writes nothing itself, and holds no
    /// lock for long. Then the thread that commits may run it, which saves a change of threads. To be said before the first step.
    public let completesPromptly: Bool

    public init(completesPromptly: Bool = false) { self.completesPromptly = completesPromptly }

    public mutating func create(_ key: String, value: [UInt8], index: [UInt8] = [], lease: UInt64 = 0) {
        append(HOSTD_STORE_CREATE, key, value, index, expected: 0, lease: lease)
    }
    /// - Parameter expected: the revision that the key must be at; 0 = any.
    public mutating func update(
        _ key: String, value: [UInt8], index: [UInt8] = [], expected: UInt64 = 0, lease: UInt64 = 0
    ) {
        append(HOSTD_STORE_UPDATE, key, value, index, expected: expected, lease: lease)
    }
    public mutating func put(_ key: String, value: [UInt8], index: [UInt8] = [], lease: UInt64 = 0) {
        append(HOSTD_STORE_PUT, key, value, index, expected: 0, lease: lease)
    }
    public mutating func delete(_ key: String, expected: UInt64 = 0) {
        append(HOSTD_STORE_DELETE, key, [], [], expected: expected, lease: 0)
    }
    /// The key must be at `expected`; 0 = must not exist.
    public mutating func check(_ key: String, expected: UInt64) {
        append(HOSTD_STORE_CHECK, key, [], [], expected: expected, lease: 0)
    }

    private mutating func append(
        _ kind: Int32, _ key: String, _ value: [UInt8], _ index: [UInt8], expected: UInt64, lease: UInt64
    ) {
        count += 1
        let flags = count == 1 && completesPromptly ? HOSTD_STORE_OPERATION_PROMPT : 0
        let head = MemoryLayout<hostd_store_operation>.size
        let used = head + key.utf8.count + index.count + value.count
        let size = (used + 7) & ~7
        bytes.reserveCapacity(bytes.count + size)
        let operation = hostd_store_operation(
            struct_size: UInt32(head), operation_size: UInt32(size), kind: UInt32(kind), flags: flags,
            expected_revision: expected, lease: lease, key_size: UInt32(key.utf8.count),
            index_size: UInt32(index.count), value_size: UInt32(value.count), reserved: 0)
        withUnsafeBytes(of: operation) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: key.utf8)
        bytes.append(contentsOf: index)
        bytes.append(contentsOf: value)
        for _ in used..<size { bytes.append(0) }
    }
}

/// How a transaction ended.
public struct StoreCommit: Sendable {
    /// Of the commit; after a failed precondition the present revision of the failed step's key, 0 = absent.
    public let revision: UInt64
    /// Position of the step whose precondition failed.
    public let failedOperation: Int?
    public let error: PluginError?

    public init(revision: UInt64, failedOperation: Int?, error: PluginError?) {
        self.revision = revision
        self.failedOperation = failedOperation
        self.error = error
    }
}
