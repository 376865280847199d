import Objects
import PluginAPI

/// The store as a plugin uses it (hostd.store/1). Any thread. Plugins read and watch here; Kubernetes objects are written
/// through `APIClient`, so that defaulting, admission and validation apply to everyone.
public struct StoreClient: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_store_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public init(_ table: UnsafePointer<hostd_store_1>) { self.table = table }

    /// The slots that every engine has; those that were added later are looked for before each use.
    static let leastSize = MemoryLayout<hostd_store_1>.offset(of: \.transaction_by) ?? 0

    /// - Returns: nil when the key does not exist at the revision (0 = latest).
    public func get(_ key: String, revision: UInt64 = 0) throws(PluginError) -> StoreRecord? {
        do {
            let buffer = try checkedBuffer { out, error in
                lend(key) { table.pointee.get(this, $0, $1, revision, out, error) }
            }
            return try StoreRecord.all(in: buffer, from: 0).first
        } catch {
            if error.code == HOSTD_ERROR_NOT_FOUND { return nil }
            throw error
        }
    }

    /// The object under a key with its resource version, nil when absent.
    public func object(_ key: String) throws -> JSON? { try get(key)?.object() }

    public func list(
        prefix: String, selector: String = "", revision: UInt64 = 0, limit: UInt64 = 0, after: String = ""
    ) throws(PluginError) -> StorePage {
        let buffer = try checkedBuffer { out, error in
            lend(prefix) { prefixData, prefixSize in
                lend(selector) { selectorData, selectorSize in
                    lend(after) { afterData, afterSize in
                        table.pointee.list(
                            this, prefixData, prefixSize, selectorData, selectorSize, revision, limit, afterData,
                            afterSize, out, error)
                    }
                }
            }
        }
        let bytes = buffer.bytes
        guard bytes.count >= MemoryLayout<hostd_store_page>.size else {
            throw PluginError(code: HOSTD_ERROR_DATA_LOSS, message: "a list page of \(prefix) is malformed")
        }
        let page = bytes.loadUnaligned(as: hostd_store_page.self)
        return StorePage(
            records: try StoreRecord.all(in: buffer, from: Int(page.struct_size)), revision: page.revision,
            hasMore: page.more != 0, remaining: page.remaining)
    }

    /// Delivers every change under `prefix` after `revision` (0 = from now on), in order. The handler runs serially on
    /// host threads and must return promptly. `.resync` and `.ended` end the watch.
    /// - Parameters:
    ///   - prefix: "", "RESOURCE/" or "RESOURCE/NAMESPACE/", and nothing else: one object is watched with the selector
    ///     ".metadata.name=NAME".
    ///   - isPrompt: whether the handler hands on what it gets and returns: it waits for nothing, writes nothing itself, and holds
    ///     no lock for long. Then the thread that commits may run it, which saves a change of threads.
    /// - Throws: INVALID_ARGUMENT for any other prefix.
    public func watch(
        prefix: String, selector: String = "", from revision: UInt64 = 0, isPrompt: Bool = false,
        handler: @escaping @Sendable (StoreWatchMessage) -> Void
    ) throws(PluginError) -> Subscription {
        let address = UInt(bitPattern: table)
        let table = table
        let this = this
        return try SinkBox.subscribe(
            handler: { StoreWatchMessage.deliver($0, to: handler) },
            start: { context, handle, error in
                lend(prefix) { prefixData, prefixSize in
                    lend(selector) { selectorData, selectorSize in
                        table.pointee.watch(
                            this, prefixData, prefixSize, selectorData, selectorSize, revision, SinkBox.sink, context,
                            handle, error)
                    }
                }
            },
            begun: { handle in
                guard isPrompt, hasSlot(\.watch_promptly) else { return }
                // An engine may make no difference.
                cancelQuietly { table.pointee.watch_promptly(this, handle, $0) }
            },
            stop: { handle in
                guard let table = UnsafePointer<hostd_store_1>(bitPattern: address) else { return }
                cancelQuietly { table.pointee.watch_cancel(table.pointee.interface.`self`, handle, $0) }
            })
    }

    /// Writes and waits until the transaction is on disk.
    /// - Returns: the revision of the commit.
    @discardableResult
    public func create(_ key: String, value: [UInt8], index: [UInt8] = [], lease: UInt64 = 0) throws(PluginError)
        -> UInt64
    {
        var revision: UInt64 = 0
        try checked { error in
            lend(key) { keyData, keySize in
                lend(value) { valueData, valueSize in
                    lend(index) { indexData, indexSize in
                        table.pointee.create(
                            this, keyData, keySize, valueData, valueSize, indexData, indexSize, lease, &revision, error)
                    }
                }
            }
        }
        return revision
    }

    /// - Parameter expected: the revision that the key must be at; 0 = any.
    @discardableResult
    public func update(
        _ key: String, value: [UInt8], index: [UInt8] = [], lease: UInt64 = 0, expected: UInt64 = 0
    ) throws(PluginError) -> UInt64 {
        var revision: UInt64 = 0
        try checked { error in
            lend(key) { keyData, keySize in
                lend(value) { valueData, valueSize in
                    lend(index) { indexData, indexSize in
                        table.pointee.update(
                            this, keyData, keySize, valueData, valueSize, indexData, indexSize, lease, expected,
                            &revision, error)
                    }
                }
            }
        }
        return revision
    }

    @discardableResult
    public func remove(_ key: String, expected: UInt64 = 0) throws(PluginError) -> UInt64 {
        var revision: UInt64 = 0
        try checked { error in
            lend(key) { table.pointee.remove(this, $0, $1, expected, &revision, error) }
        }
        return revision
    }

    /// Commits without waiting; `completion` runs once, on a thread of the store, and must return promptly.
    /// - Parameter writer: who writes, as `hostd_store_1.transaction_by` describes it, at most 512 bytes; "" = not known. An
    ///   engine that cannot keep it writes all the same.
    public func commit(
        _ transaction: StoreTransaction, by writer: String = "", completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws(PluginError) {
        let box = Unmanaged.passRetained(CommitBox(completion))
        do throws(PluginError) {
            guard !writer.isEmpty, hasSlot(\.transaction_by) else { return try commit(transaction, box) }
            do throws(PluginError) {
                try checked { error in
                    lend(writer) { writerData, writerSize in
                        lend(transaction.bytes) {
                            table.pointee.transaction_by(
                                this, writerData, writerSize, $0, $1, CommitBox.completion, box.toOpaque(), error)
                        }
                    }
                }
            } catch {
                guard error.code == HOSTD_ERROR_NOT_SUPPORTED else { throw error }
                try commit(transaction, box)
            }
        } catch {
            box.release()
            throw error
        }
    }

    private func commit(_ transaction: StoreTransaction, _ box: Unmanaged<CommitBox>) throws(PluginError) {
        try checked { error in
            lend(transaction.bytes) {
                table.pointee.transaction(this, $0, $1, CommitBox.completion, box.toOpaque(), error)
            }
        }
    }

    /// Whether the table reaches as far as a slot that was added after the first version.
    private func hasSlot<Slot>(_ slot: KeyPath<hostd_store_1, Slot>) -> Bool {
        guard let offset = MemoryLayout<hostd_store_1>.offset(of: slot) else { return false }
        return Int(table.pointee.interface.struct_size) >= offset + MemoryLayout<Slot>.size
    }

    /// What a key held at each revision that is kept, as `hostd_store_1.history` describes it.
    /// - Parameter limit: at most so many, the newest; 0 = all.
    public func history(_ key: String, limit: UInt64 = 0) throws -> JSON {
        guard hasSlot(\.history) else { throw PluginError.notSupported("this store keeps no history of a key") }
        return try checkedBuffer { out, error in lend(key) { table.pointee.history(this, $0, $1, limit, out, error) } }
            .json()
    }

    /// The newest revision at or before a time, milliseconds since 1970.
    public func revision(at time: UInt64) throws(PluginError) -> UInt64 {
        guard hasSlot(\.revision_at) else {
            throw PluginError.notSupported("this store does not know when its revisions were written")
        }
        var revision: UInt64 = 0
        try checked { table.pointee.revision_at(this, time, &revision, $0) }
        return revision
    }

    public func leaseGrant(timeToLiveMilliseconds: UInt64) throws(PluginError) -> UInt64 {
        var lease: UInt64 = 0
        try checked { table.pointee.lease_grant(this, timeToLiveMilliseconds, &lease, $0) }
        return lease
    }
    public func leaseKeepAlive(_ lease: UInt64) throws(PluginError) {
        try checked { table.pointee.lease_keep_alive(this, lease, $0) }
    }
    public func leaseRevoke(_ lease: UInt64) throws(PluginError) {
        try checked { table.pointee.lease_revoke(this, lease, $0) }
    }
    public func compact(_ revision: UInt64) throws(PluginError) {
        try checked { table.pointee.compact(this, revision, $0) }
    }

    /// {"revision","compactedRevision","keys","bytes","engine","healthy","reason"}
    public func status() throws -> JSON { try checkedBuffer { table.pointee.status(this, $0, $1) }.json() }
}

/// What a store watch delivers.
public enum StoreWatchMessage: Sendable {
    case events([StoreEvent])
    case progress(UInt64)
    case resync
    case ended(String)

    static func deliver(_ message: StreamMessage, to handler: (StoreWatchMessage) -> Void) {
        switch message {
        case .progress(let revision): handler(.progress(revision))
        case .resync: handler(.resync)
        case .end(let reason): handler(.ended(reason))
        case .data(let bytes):
            do {
                let owner = OwnedBuffer(taking: hostd_buffer(copying: bytes))
                handler(.events(pair(try StoreRecord.all(in: owner, from: 0))))
            } catch let failure {
                handler(.ended("\(failure)"))
            }
        }
    }

    private static func pair(_ records: [StoreRecord]) -> [StoreEvent] {
        var events: [StoreEvent] = []
        events.reserveCapacity(records.count)
        var position = 0
        while position < records.count {
            let record = records[position]
            let previous = record.hasPrevious && position + 1 < records.count ? records[position + 1] : nil
            events.append(StoreEvent(record: record, previous: previous))
            position += previous == nil ? 1 : 2
        }
        return events
    }
}

/// The context of a transaction's completion.
private final class CommitBox: Sendable {
    let handler: @Sendable (StoreCommit) -> Void
    init(_ handler: @escaping @Sendable (StoreCommit) -> Void) { self.handler = handler }

    static let completion: hostd_completion = { context, status, data, size, error in
        guard let context else { return }
        let box = Unmanaged<CommitBox>.fromOpaque(context).takeRetainedValue()
        let bytes = borrowedBytes(data, size)
        var commit = hostd_store_commit(struct_size: 0, failed_operation: UInt32.max, revision: 0)
        if bytes.count >= MemoryLayout<hostd_store_commit>.size {
            commit = bytes.loadUnaligned(as: hostd_store_commit.self)
        }
        box.handler(
            StoreCommit(
                revision: commit.revision,
                failedOperation: commit.failed_operation == UInt32.max ? nil : Int(commit.failed_operation),
                error: status < 0 ? PluginError(status: status, borrowing: error) : nil))
    }
}
