import PluginAPI

/// Calls of hostd.store/1 by the kernel itself, on whatever engine stands behind a table.
struct StoreReader: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_store_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    init(_ table: UnsafePointer<hostd_interface>) {
        self.table = UnsafeRawPointer(table).assumingMemoryBound(to: hostd_store_1.self)
    }

    /// A page of a list; its records are valid as long as it lives.
    final class Page {
        let revision: UInt64
        let hasMore: Bool
        private let buffer: hostd_buffer
        private let start: Int

        init(_ buffer: hostd_buffer) throws(StoreError) {
            self.buffer = buffer
            let bytes = UnsafeRawBufferPointer(start: buffer.data, count: Int(clamping: buffer.size))
            guard bytes.count >= MemoryLayout<hostd_store_page>.size else {
                buffer.release?(buffer.context)
                throw StoreError(HOSTD_ERROR_DATA_LOSS, "the engine returned a page of \(bytes.count) bytes")
            }
            let head = bytes.loadUnaligned(as: hostd_store_page.self)
            revision = head.revision
            hasMore = head.more != 0
            start = Int(head.struct_size)
        }

        deinit { buffer.release?(buffer.context) }

        /// Calls `body` with the bytes of each record.
        func forEach(_ body: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws(StoreError) {
            let bytes = UnsafeRawBufferPointer(start: buffer.data, count: Int(clamping: buffer.size))
            var offset = start
            while offset < bytes.count, let base = bytes.baseAddress {
                guard let size = Record.wellFormedSize(at: base + offset, available: bytes.count - offset) else {
                    throw StoreError(HOSTD_ERROR_DATA_LOSS, "the engine returned a malformed record")
                }
                try body(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size]))
                offset += size
            }
        }
    }

    /// Everything in key order at one revision (0 = the latest), page by page. The revision.
    func forEachPage(
        revision: UInt64 = 0, limit: UInt64 = 500, _ body: (Page) throws(StoreError) -> Void
    ) throws(StoreError) -> UInt64 {
        var revision = revision
        var after: [UInt8] = []
        while true {
            let page = try list(revision: revision, limit: limit, after: after)
            revision = page.revision
            try body(page)
            guard page.hasMore else { return revision }
            try page.forEach { record throws(StoreError) in after = Array(StoredParts(record).key) }
        }
    }

    func list(
        prefix: [UInt8] = [], revision: UInt64, limit: UInt64, after: [UInt8]
    ) throws(StoreError) -> Page {
        var buffer = hostd_buffer()
        try checked { error in
            after.withUnsafeBufferPointer { after in
                prefix.withUnsafeBufferPointer { prefix in
                    table.pointee.list(
                        this, prefix.baseAddress, UInt64(prefix.count), nil, 0, revision, limit, after.baseAddress,
                        UInt64(after.count), &buffer, error)
                }
            }
        }
        return try Page(buffer)
    }

    /// Carries out steps (hostd_store_operation) and waits until they are durable. The revision.
    @discardableResult
    func commit(_ operations: [UInt8]) throws(StoreError) -> UInt64 {
        let waiter = CommitWaiter()
        let context = Unmanaged.passRetained(waiter)
        do throws(StoreError) {
            try checked { error in
                operations.withUnsafeBufferPointer { bytes in
                    // SAFETY: an empty list of operations is refused by the engine; its address is not read.
                    table.pointee.transaction(
                        this, bytes.baseAddress ?? UnsafePointer(bitPattern: 1)!, UInt64(bytes.count),
                        CommitWaiter.completion, context.toOpaque(), error)
                }
            }
        } catch {
            context.release()
            throw error
        }
        return try waiter.wait()
    }

    private func checked(_ call: (UnsafeMutablePointer<hostd_error>) -> Int32) throws(StoreError) {
        var error = ForeignBytes.emptyError()
        let status = call(&error)
        guard status < 0 else { return }
        throw StoreError(status, ForeignBytes.message(of: error), retryable: error.retryable != 0)
    }
}

/// Where key, index and value lie in the bytes of a record.
struct StoredParts {
    let key: UnsafeRawBufferPointer
    let index: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer
    let head: hostd_store_record

    /// The bytes are well formed.
    init(_ bytes: UnsafeRawBufferPointer) {
        head = bytes.loadUnaligned(as: hostd_store_record.self)
        var offset = Int(head.struct_size)
        func part(_ size: UInt32) -> UnsafeRawBufferPointer {
            defer { offset += Int(size) }
            return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(size)])
        }
        key = part(head.key_size)
        index = part(head.index_size)
        value = part(head.value_size)
    }
}

/// Waits for the completion of one transaction.
private final class CommitWaiter: @unchecked Sendable {
    // SAFETY: everything is behind `monitor`.
    private let monitor = Monitor()
    private var outcome: Result<UInt64, StoreError>?

    func wait() throws(StoreError) -> UInt64 {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            if let outcome { return try outcome.get() }
            monitor.wait()
        }
    }

    private func finish(_ outcome: Result<UInt64, StoreError>) {
        monitor.locked {
            self.outcome = outcome
            monitor.broadcast()
        }
    }

    static let completion: hostd_completion = { context, status, data, size, error in
        guard let context else { return }
        let waiter = Unmanaged<CommitWaiter>.fromOpaque(context).takeRetainedValue()
        guard status == HOSTD_OK else {
            let message = error.map { text($0.pointee.message.data, $0.pointee.message.size) } ?? ""
            return waiter.finish(.failure(StoreError(status, message)))
        }
        let bytes = UnsafeRawBufferPointer(start: data, count: Int(clamping: size))
        guard bytes.count >= MemoryLayout<hostd_store_commit>.size else {
            return waiter.finish(.failure(StoreError(HOSTD_ERROR_INTERNAL, "the engine's commit has \(size) bytes")))
        }
        waiter.finish(.success(bytes.loadUnaligned(as: hostd_store_commit.self).revision))
    }
}
