import PluginAPI

/// hostd.store/1 as the kernel itself calls it, whichever engine is behind the table.
struct StoreCaller: @unchecked Sendable {
    // SAFETY: a table of the host is constant, stays where it is, and its slots may be called from any thread.
    let table: UnsafePointer<hostd_store_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    init(_ interface: UnsafePointer<hostd_interface>) {
        table = UnsafeRawPointer(interface).assumingMemoryBound(to: hostd_store_1.self)
    }

    private func call(_ body: (UnsafeMutablePointer<hostd_error>) -> Int32) throws(StoreError) {
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        let status = body(&error)
        if status >= 0 { return }
        defer { error.message.release?(error.message.context) }
        throw StoreError(
            status, text(error.message.data, error.message.size), retryable: error.retryable != 0,
            retryDelay: error.retry_delay_ms)
    }

    /// Revision and lease of a key; nil when it does not exist.
    func head(_ key: [UInt8]) throws(StoreError) -> (revision: UInt64, lease: UInt64)? {
        var buffer = hostd_buffer()
        do throws(StoreError) {
            try call { table.pointee.get(this, key, UInt64(key.count), 0, &buffer, $0) }
        } catch {
            if error.code == HOSTD_ERROR_NOT_FOUND { return nil }
            throw error
        }
        defer { buffer.release?(buffer.context) }
        guard let data = buffer.data, buffer.size >= UInt64(MemoryLayout<hostd_store_record>.size) else {
            throw StoreError(HOSTD_ERROR_DATA_LOSS, "the store's record of \(text(key)) is malformed")
        }
        let record = UnsafeRawPointer(data).loadUnaligned(as: hostd_store_record.self)
        return (record.revision, record.lease)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    private func text(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> String {
        String(decoding: borrowed(data, size), as: UTF8.self)
    }

    /// - Returns: the revision of the write.
    func create(_ key: [UInt8], value: [UInt8], index: [UInt8], lease: UInt64) throws(StoreError) -> UInt64 {
        var revision: UInt64 = 0
        try call {
            table.pointee.create(
                this, key, UInt64(key.count), value, UInt64(value.count), index, UInt64(index.count), lease, &revision,
                $0)
        }
        return revision
    }

    func update(
        _ key: [UInt8], value: [UInt8], index: [UInt8], lease: UInt64, expected: UInt64
    ) throws(StoreError) -> UInt64 {
        var revision: UInt64 = 0
        try call {
            table.pointee.update(
                this, key, UInt64(key.count), value, UInt64(value.count), index, UInt64(index.count), lease, expected,
                &revision, $0)
        }
        return revision
    }

    func remove(_ key: [UInt8], expected: UInt64) throws(StoreError) {
        var revision: UInt64 = 0
        try call { table.pointee.remove(this, key, UInt64(key.count), expected, &revision, $0) }
    }

    func grantLease(milliseconds: UInt64) throws(StoreError) -> UInt64 {
        var lease: UInt64 = 0
        try call { table.pointee.lease_grant(this, milliseconds, &lease, $0) }
        return lease
    }

    func keepAlive(_ lease: UInt64) throws(StoreError) { try call { table.pointee.lease_keep_alive(this, lease, $0) } }
    func revoke(_ lease: UInt64) throws(StoreError) { try call { table.pointee.lease_revoke(this, lease, $0) } }

    func watch(
        _ prefix: [UInt8], _ sink: hostd_sink, _ context: UnsafeMutableRawPointer
    ) throws(StoreError) -> UInt64 {
        var watch: UInt64 = 0
        try call { table.pointee.watch(this, prefix, UInt64(prefix.count), nil, 0, 0, sink, context, &watch, $0) }
        return watch
    }

    func cancel(watch: UInt64) throws(StoreError) { try call { table.pointee.watch_cancel(this, watch, $0) } }
}
