import Objects
import PluginAPI

/// One step of a write, as hostd_store_operation carries it.
public struct StoreStep: Sendable {
    public enum Kind: Int32, Sendable {
        case create = 1
        case update = 2
        case put = 3
        case delete = 4
        case check = 5
    }
    public var kind: Kind
    public var key: [UInt8]
    public var index: [UInt8] = []
    public var value: [UInt8] = []
    public var lease: UInt64 = 0
    /// The revision that the key must be at; 0 = any, and for `check`: must not exist.
    public var expected: UInt64 = 0

    public init(
        _ kind: Kind, key: [UInt8], index: [UInt8] = [], value: [UInt8] = [], lease: UInt64 = 0, expected: UInt64 = 0
    ) {
        self.kind = kind
        self.key = key
        self.index = index
        self.value = value
        self.lease = lease
        self.expected = expected
    }

    /// Reads the steps of a transaction.
    /// - Throws: INVALID_ARGUMENT that names the step whose sizes contradict each other.
    public static func all(in bytes: UnsafeRawBufferPointer) throws(PluginError) -> [StoreStep] {
        var steps: [StoreStep] = []
        var offset = 0
        while offset < bytes.count {
            let head = MemoryLayout<hostd_store_operation>.size
            guard bytes.count - offset >= head else {
                throw .invalid("step \(steps.count) of the transaction is cut off after \(bytes.count - offset) bytes")
            }
            let operation = bytes.loadUnaligned(fromByteOffset: offset, as: hostd_store_operation.self)
            let sizes = [operation.key_size, operation.index_size, operation.value_size].map(Int.init)
            let start = Int(operation.struct_size)
            let size = Int(operation.operation_size)
            guard start >= head, size >= start + sizes.reduce(0, +), size <= bytes.count - offset, size % 8 == 0 else {
                throw .invalid("step \(steps.count) of the transaction has sizes that contradict each other")
            }
            guard let kind = Int32(exactly: operation.kind).flatMap(Kind.init(rawValue:)) else {
                throw .invalid(
                    "step \(steps.count) of the transaction has the unknown kind \(operation.kind); 1 to 5 are defined")
            }
            var position = offset + start
            func part(_ size: Int) -> [UInt8] {
                defer { position += size }
                return Array(bytes[position..<position + size])
            }
            let key = part(sizes[0])
            let index = part(sizes[1])
            steps.append(
                StoreStep(
                    kind, key: key, index: index, value: part(sizes[2]), lease: operation.lease,
                    expected: operation.expected_revision))
            offset += size
        }
        if steps.isEmpty { throw .invalid("a transaction needs at least one step") }
        return steps
    }
}

/// What a list asks for; the bytes are borrowed for the call.
public struct StoreListRequest {
    public var prefix: UnsafeRawBufferPointer
    public var selector: String
    public var revision: UInt64
    /// 0 = all.
    public var limit: UInt64
    public var after: UnsafeRawBufferPointer
}

/// Where a watch delivers.
public struct StoreSink: @unchecked Sendable {
    // SAFETY: the ABI lets a sink be called from any thread, serially for one subscription.
    private let sink: hostd_sink
    private let context: UnsafeMutableRawPointer?

    init(_ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?) {
        self.sink = sink
        self.context = context
    }

    /// Records one behind the other, as hostd_store_record describes them.
    public func records(_ bytes: UnsafeRawBufferPointer) { send(HOSTD_SINK_DATA, bytes) }
    public func progress(_ revision: UInt64) {
        withUnsafeBytes(of: revision.littleEndian) { send(HOSTD_SINK_PROGRESS, $0) }
    }
    /// The last message of the stream.
    public func resync() { send(HOSTD_SINK_RESYNC, UnsafeRawBufferPointer(start: nil, count: 0)) }
    /// The last message of the stream.
    public func end(_ reason: String) {
        var reason = reason
        reason.withUTF8 { send(HOSTD_SINK_END, UnsafeRawBufferPointer($0)) }
    }

    private func send(_ kind: Int32, _ bytes: UnsafeRawBufferPointer) {
        sink(context, UInt32(kind), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    }
}

/// Role hostd.store/1 in Swift: an engine for the state. The rules are in hostd/roles/store.h. Any thread.
public protocol StoreProvider: AnyObject, Sendable {
    /// A record, made by `StoreRecordWriter`.
    func get(_ key: UnsafeRawBufferPointer, revision: UInt64) throws -> hostd_buffer
    /// A page, made by `StoreRecordWriter`.
    func list(_ request: StoreListRequest) throws -> hostd_buffer
    /// One step that is durable when it returns. The revision of the commit.
    func write(_ step: StoreStep) throws -> UInt64
    /// - Parameter completion: runs once, from any thread, unless this throws.
    func transaction(_ steps: [StoreStep], completion: @escaping @Sendable (StoreCommit) -> Void) throws
    func watch(
        prefix: UnsafeRawBufferPointer, selector: String, from: UInt64, sink: StoreSink
    ) throws -> UInt64
    func cancelWatch(_ watch: UInt64)
    func grantLease(timeToLiveMilliseconds: UInt64) throws -> UInt64
    func keepLeaseAlive(_ lease: UInt64) throws
    func revokeLease(_ lease: UInt64) throws
    func compact(to revision: UInt64) throws
    func status() throws -> JSON
    /// Owns the descriptor. {"revision","bytes"}
    func backup(to descriptor: Int32) throws -> JSON
    /// As `transaction`, by a writer: the user, then, behind a NUL, the field manager. By default the writer is not kept.
    func transaction(
        _ steps: [StoreStep], by writer: String, completion: @escaping @Sendable (StoreCommit) -> Void) throws
    /// See `hostd_store_1.history`. By default NOT_SUPPORTED.
    func history(of key: UnsafeRawBufferPointer, limit: UInt64) throws -> JSON
    /// The newest revision at or before a time, milliseconds since 1970. By default NOT_SUPPORTED.
    func revision(at time: UInt64) throws -> UInt64
}

extension StoreProvider {
    public func transaction(
        _ steps: [StoreStep], by writer: String, completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws { try transaction(steps, completion: completion) }

    public func history(of key: UnsafeRawBufferPointer, limit: UInt64) throws -> JSON {
        throw PluginError.notSupported("this store keeps no history of a key")
    }

    public func revision(at time: UInt64) throws -> UInt64 {
        throw PluginError.notSupported("this store does not know when its revisions were written; name a revision")
    }
}

extension RoleTable {
    /// The C table of hostd.store/1. It keeps the provider alive until `release`: make it once per plugin instance.
    public static func store(_ implementation: any StoreProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_store_1.self, id: HOSTD_STORE_1, slots: HOSTD_STORE_1_SLOTS,
            box: ProviderBox<any StoreProvider>(implementation))
        addReading(table)
        addWriting(table)
        addWatching(table)
        addUpkeep(table)
        addHistory(table)
        return finish(table)
    }

    private static func addReading(_ table: UnsafeMutablePointer<hostd_store_1>) {
        table.pointee.get = { this, key, keySize, revision, record, error in
            answering(error) {
                record.pointee = try provider(of: this, as: (any StoreProvider).self)
                    .get(borrowedBytes(key, keySize), revision: revision)
            }
        }
        table.pointee.list = {
            this, prefix, prefixSize, selector, selectorSize, revision, limit, after, afterSize, page, error in
            answering(error) {
                page.pointee = try provider(of: this, as: (any StoreProvider).self).list(
                    StoreListRequest(
                        prefix: borrowedBytes(prefix, prefixSize), selector: borrowedText(selector, selectorSize),
                        revision: revision, limit: limit, after: borrowedBytes(after, afterSize)))
            }
        }
    }

    private static func addWriting(_ table: UnsafeMutablePointer<hostd_store_1>) {
        table.pointee.create = { this, key, keySize, value, valueSize, index, indexSize, lease, revision, error in
            answering(error) {
                revision.pointee = try provider(of: this, as: (any StoreProvider).self).write(
                    StoreStep(
                        .create, key: Array(borrowedBytes(key, keySize)), index: Array(borrowedBytes(index, indexSize)),
                        value: Array(borrowedBytes(value, valueSize)), lease: lease))
            }
        }
        table.pointee.update = {
            this, key, keySize, value, valueSize, index, indexSize, lease, expected, revision, error in
            answering(error) {
                revision.pointee = try provider(of: this, as: (any StoreProvider).self).write(
                    StoreStep(
                        .update, key: Array(borrowedBytes(key, keySize)), index: Array(borrowedBytes(index, indexSize)),
                        value: Array(borrowedBytes(value, valueSize)), lease: lease, expected: expected))
            }
        }
        table.pointee.remove = { this, key, keySize, expected, revision, error in
            answering(error) {
                revision.pointee = try provider(of: this, as: (any StoreProvider).self).write(
                    StoreStep(.delete, key: Array(borrowedBytes(key, keySize)), expected: expected))
            }
        }
        table.pointee.transaction = { this, operations, operationsSize, completion, context, error in
            answering(error) {
                let caller = CommitCaller(completion: completion, context: context)
                try provider(of: this, as: (any StoreProvider).self).transaction(
                    try StoreStep.all(in: borrowedBytes(operations, operationsSize)), completion: caller.complete)
            }
        }
    }

    private static func addWatching(_ table: UnsafeMutablePointer<hostd_store_1>) {
        table.pointee.watch = {
            this, prefix, prefixSize, selector, selectorSize, from, sink, context, watch, error in
            answering(error) {
                watch.pointee = try provider(of: this, as: (any StoreProvider).self).watch(
                    prefix: borrowedBytes(prefix, prefixSize), selector: borrowedText(selector, selectorSize),
                    from: from, sink: StoreSink(sink, context))
            }
        }
        table.pointee.watch_cancel = { this, watch, _ in
            provider(of: this, as: (any StoreProvider).self).cancelWatch(watch)
            return HOSTD_OK
        }
    }

    private static func addUpkeep(_ table: UnsafeMutablePointer<hostd_store_1>) {
        table.pointee.lease_grant = { this, timeToLive, lease, error in
            answering(error) {
                lease.pointee = try provider(of: this, as: (any StoreProvider).self)
                    .grantLease(timeToLiveMilliseconds: timeToLive)
            }
        }
        table.pointee.lease_keep_alive = { this, lease, error in
            answering(error) { try provider(of: this, as: (any StoreProvider).self).keepLeaseAlive(lease) }
        }
        table.pointee.lease_revoke = { this, lease, error in
            answering(error) { try provider(of: this, as: (any StoreProvider).self).revokeLease(lease) }
        }
        table.pointee.compact = { this, revision, error in
            answering(error) { try provider(of: this, as: (any StoreProvider).self).compact(to: revision) }
        }
        table.pointee.status = { this, json, error in
            answering(error) {
                json.pointee = hostd_buffer(copying: try provider(of: this, as: (any StoreProvider).self).status())
            }
        }
        table.pointee.backup = { this, descriptor, json, error in
            answering(error) {
                json.pointee = hostd_buffer(
                    copying: try provider(of: this, as: (any StoreProvider).self).backup(to: descriptor))
            }
        }
    }
}

extension RoleTable {
    private static func addHistory(_ table: UnsafeMutablePointer<hostd_store_1>) {
        table.pointee.transaction_by = {
            this, writer, writerSize, operations, operationsSize, completion, context, error in
            answering(error) {
                let caller = CommitCaller(completion: completion, context: context)
                try provider(of: this, as: (any StoreProvider).self).transaction(
                    try StoreStep.all(in: borrowedBytes(operations, operationsSize)),
                    by: borrowedText(writer, writerSize), completion: caller.complete)
            }
        }
        table.pointee.history = { this, key, keySize, limit, json, error in
            answering(error) {
                json.pointee = hostd_buffer(
                    copying: try provider(of: this, as: (any StoreProvider).self)
                        .history(of: borrowedBytes(key, keySize), limit: limit))
            }
        }
        table.pointee.revision_at = { this, time, revision, error in
            answering(error) {
                revision.pointee = try provider(of: this, as: (any StoreProvider).self).revision(at: time)
            }
        }
    }
}

/// The completion of a transaction and its context.
private struct CommitCaller: @unchecked Sendable {
    // SAFETY: the ABI lets a completion run from any thread, and it runs once.
    let completion: hostd_completion
    let context: UnsafeMutableRawPointer?

    func complete(_ commit: StoreCommit) {
        let size = MemoryLayout<hostd_store_commit>.size
        let head = hostd_store_commit(
            struct_size: UInt32(size), failed_operation: commit.failedOperation.map(UInt32.init) ?? .max,
            revision: commit.revision)
        withUnsafeBytes(of: head) { bytes in
            let data = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            guard let failure = commit.error else { return completion(context, HOSTD_OK, data, UInt64(size), nil) }
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            let status = failure.fill(&error)
            completion(context, status, data, UInt64(size), &error)
            error.message.release?(error.message.context)
        }
    }
}
