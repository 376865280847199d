import PluginAPI

/// Lays out the steps of a transaction (hostd_store_operation).
struct OperationList {
    private(set) var bytes: [UInt8] = []
    private(set) var count = 0

    mutating func add(
        _ kind: Int32, key: UnsafeRawBufferPointer, index: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer,
        lease: UInt64 = 0, expected: UInt64 = 0
    ) {
        let head = MemoryLayout<hostd_store_operation>.size
        let used = head + key.count + index.count + value.count
        let size = (used + 7) & ~7
        let operation = hostd_store_operation(
            struct_size: UInt32(head), operation_size: UInt32(size), kind: UInt32(kind), flags: 0,
            expected_revision: expected, lease: lease, key_size: UInt32(key.count), index_size: UInt32(index.count),
            value_size: UInt32(value.count), reserved: 0)
        withUnsafeBytes(of: operation) { bytes.append(contentsOf: $0) }
        for part in [key, index, value] { bytes.append(contentsOf: part) }
        bytes.append(contentsOf: repeatElement(0, count: size - used))
        count += 1
    }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }
}
