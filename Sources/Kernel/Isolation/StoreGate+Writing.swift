import PluginAPI

extension StoreGate {
    /// Where a write that is under way will say how it ended.
    private final class Ending {
        let word = WakeWord()
        var status = HOSTD_OK
        var revision: UInt64 = 0
        var message: [UInt8] = []
        var retryable: UInt32 = 0
        var retryDelay: UInt32 = 0

        deinit { word.free() }

        /// [the store's completion thread]
        func end(_ status: Int32, _ data: UnsafeRawBufferPointer, _ error: UnsafePointer<hostd_error>?) {
            self.status = status
            if data.count >= MemoryLayout<hostd_store_commit>.size {
                revision = data.loadUnaligned(as: hostd_store_commit.self).revision
            }
            if let error = error?.pointee {
                message = Array(borrowed(error.message.data, error.message.size))
                retryable = error.retryable
                retryDelay = error.retry_delay_ms
            }
            word.fire()
        }
    }

    /// One step in the plugin's own name, on disk on return. Nil when the engine keeps no names: then the slot of that step
    /// is to be called. [blocking]
    func write(
        _ kind: Int32, _ change: Change, _ revision: UnsafeMutablePointer<UInt64>,
        _ error: UnsafeMutablePointer<hostd_error>
    ) -> Int32? {
        var operations = OperationList()
        operations.add(
            kind, key: change.key, index: change.index, value: change.value, lease: change.lease,
            expected: change.expected)
        let ending = Ending()
        let status = start(operations.bytes, ending, error)
        if status == HOSTD_ERROR_NOT_SUPPORTED {
            error.pointee.message.release?(error.pointee.message.context)
            error.pointee.message = hostd_buffer()
            return nil
        }
        guard status == HOSTD_OK else { return status }
        ending.word.wait()
        guard ending.status == HOSTD_OK else {
            return report(
                StoreError(
                    ending.status, String(decoding: ending.message, as: UTF8.self), retryable: ending.retryable != 0,
                    retryDelay: ending.retryDelay), to: error)
        }
        revision.pointee = ending.revision
        return HOSTD_OK
    }

    private func start(
        _ operations: [UInt8], _ ending: Ending, _ error: UnsafeMutablePointer<hostd_error>
    ) -> Int32 {
        let writer = Array(Writer.of(plugin: plugin, for: nil).text.utf8)
        let context = Unmanaged.passRetained(ending)
        let status = operations.withUnsafeBufferPointer { operations in
            writer.withUnsafeBufferPointer { writer in
                // SAFETY: neither is empty.
                base.pointee.transaction_by(
                    this, writer.baseAddress!, UInt64(writer.count), operations.baseAddress!, UInt64(operations.count),
                    { context, status, data, size, error in
                        // SAFETY: what is handed over below; a completion runs once.
                        Unmanaged<Ending>.fromOpaque(context!).takeRetainedValue()
                            .end(status, UnsafeRawBufferPointer(borrowed(data, size)), error)
                    }, context.toOpaque(), error)
            }
        }
        if status != HOSTD_OK { context.release() }
        return status
    }
}
