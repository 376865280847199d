import Glibc
import Kernel
import Objects
import PluginAPI

/// The table `hostd.store/1` of a store, as a plugin calls it, with what it answers as values.
struct StoreClient: @unchecked Sendable {  // The table is constant; any thread may call it.
    private let table: UnsafePointer<hostd_store_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    init(_ store: StateStore) {
        table = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self)
    }

    /// Sleeps until a transaction has completed; its locks are the scheduler's.
    private final class Completion: @unchecked Sendable {  // Only the thread that has the turn touches it.
        let scheduler: Scheduler
        var response: Response?
        init(scheduler: Scheduler) { self.scheduler = scheduler }
        var address: UnsafeRawPointer { UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()) }
    }

    func perform(_ request: Request, scheduler: Scheduler) -> Response {
        switch request {
        case .write(let steps): write(steps, scheduler)
        case .get(let key, let revision): get(key, revision)
        case .list(let prefix, let app, let revision, let limit, let after):
            list(prefix, app.map { "app=\($0)" } ?? "", revision, limit, after)
        case .grant(let milliseconds):
            answered { error in
                var lease: UInt64 = 0
                let status = table.pointee.lease_grant(this, milliseconds, &lease, &error)
                return (status, .lease(lease))
            }
        case .keepAlive(let lease):
            answered { error in (table.pointee.lease_keep_alive(this, lease, &error), .done(revision: 0)) }
        case .revoke(let lease):
            answered { error in (table.pointee.lease_revoke(this, lease, &error), .done(revision: 0)) }
        case .versions(let key): versions(key)
        // The run makes it, which has the disk.
        case .backup: .failed(HOSTD_ERROR_INTERNAL, revision: nil, step: nil, message: "a client makes no backup")
        case .compact(let revision):
            answered { error in (table.pointee.compact(this, revision, &error), .done(revision: 0)) }
        }
    }

    private func answered(_ call: (inout hostd_error) -> (Int32, Response)) -> Response {
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        let (status, response) = call(&error)
        guard status != HOSTD_OK else { return response }
        let message = String(
            decoding: UnsafeBufferPointer(start: error.message.data, count: Int(error.message.size)), as: UTF8.self)
        error.message.release?(error.message.context)
        return .failed(status, revision: nil, step: nil, message: message)
    }

    // MARK: Writes

    private func write(_ steps: [WriteStep], _ scheduler: Scheduler) -> Response {
        if steps.count == 1, let step = steps.first, step.kind != .put && step.kind != .check { return write(step) }
        let bytes = steps.flatMap(Self.operation)
        let completion = Completion(scheduler: scheduler)
        let context = Unmanaged.passRetained(completion).toOpaque()
        let immediate = answered { error in
            let status = table.pointee.transaction(
                this, bytes, UInt64(bytes.count),
                { context, status, data, size, error in
                    guard let context else { return }
                    let completion = Unmanaged<Completion>.fromOpaque(context).takeUnretainedValue()
                    completion.response = Self.commit(status, data, size, error)
                    completion.scheduler.wake(completion.address, all: true)
                }, context, &error)
            return (status, .done(revision: 0))
        }
        if case .failed = immediate { return immediate }
        while completion.response == nil { scheduler.sleep(on: completion.address) }
        return completion.response ?? immediate
    }

    private static func commit(
        _ status: Int32, _ data: UnsafePointer<UInt8>?, _ size: UInt64, _ error: UnsafePointer<hostd_error>?
    ) -> Response {
        guard let data, size >= UInt64(MemoryLayout<hostd_store_commit>.size) else {
            return .failed(status, revision: nil, step: nil, message: "a completion without a commit")
        }
        let commit = UnsafeRawPointer(data).loadUnaligned(as: hostd_store_commit.self)
        if status == HOSTD_OK { return .done(revision: commit.revision) }
        let message = error.map {
            String(
                decoding: UnsafeBufferPointer(start: $0.pointee.message.data, count: Int($0.pointee.message.size)),
                as: UTF8.self)
        }
        return .failed(
            status, revision: commit.revision,
            step: commit.failed_operation == .max ? nil : Int(commit.failed_operation), message: message ?? "")
    }

    private static func index(_ tag: UInt64) -> [UInt8] { Array("app\0\(Payload.app(tag))\0".utf8) }

    private static func operation(_ step: WriteStep) -> [UInt8] {
        let key = Array(step.key.utf8)
        let index = step.isPut ? index(step.tag) : []
        let value = step.isPut ? Payload.bytes(step.tag) : []
        let size = (48 + key.count + index.count + value.count + 7) & ~7
        let head = hostd_store_operation(
            struct_size: 48, operation_size: UInt32(size), kind: UInt32(step.kind.rawValue),
            // Half of the writers say that they do not wait; waking somebody is all that completions do here.
            flags: step.tag.isMultiple(of: 2) ? HOSTD_STORE_OPERATION_PROMPT : 0,
            expected_revision: step.expected, lease: step.lease, key_size: UInt32(key.count),
            index_size: UInt32(index.count), value_size: UInt32(value.count), reserved: 0)
        var bytes = withUnsafeBytes(of: head) { Array($0) } + key + index + value
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
        return bytes
    }

    private func write(_ step: WriteStep) -> Response {
        let key = Array(step.key.utf8)
        let index = Self.index(step.tag)
        let value = Payload.bytes(step.tag)
        return answered { error in
            var revision: UInt64 = 0
            let status =
                switch step.kind {
                case .create:
                    table.pointee.create(
                        this, key, UInt64(key.count), value, UInt64(value.count), index, UInt64(index.count),
                        step.lease,
                        &revision, &error)
                case .delete:
                    table.pointee.remove(this, key, UInt64(key.count), step.expected, &revision, &error)
                default:
                    table.pointee.update(
                        this, key, UInt64(key.count), value, UInt64(value.count), index, UInt64(index.count),
                        step.lease,
                        step.expected, &revision, &error)
                }
            return (status, .done(revision: revision))
        }
    }

    // MARK: Reads

    private func get(_ key: String, _ revision: UInt64) -> Response {
        let key = Array(key.utf8)
        return answered { error in
            var buffer = hostd_buffer()
            let status = table.pointee.get(this, key, UInt64(key.count), revision, &buffer, &error)
            guard status == HOSTD_OK else { return (status, .done(revision: 0)) }
            defer { buffer.release?(buffer.context) }
            return (
                status, .record(Self.records(UnsafeRawBufferPointer(start: buffer.data, count: Int(buffer.size)))[0].0)
            )
        }
    }

    private func versions(_ key: String) -> Response {
        let bytes = Array(key.utf8)
        return answered { error in
            var buffer = hostd_buffer()
            let status = table.pointee.history(this, bytes, UInt64(bytes.count), 0, &buffer, &error)
            guard status == HOSTD_OK else { return (status, .done(revision: 0)) }
            defer { buffer.release?(buffer.context) }
            let text = UnsafeRawBufferPointer(start: buffer.data, count: Int(buffer.size))
            guard let json = try? JSON(parsing: text) else {
                return (status, .failed(HOSTD_ERROR_DATA_LOSS, revision: nil, step: nil, message: "no JSON"))
            }
            let versions = json["versions"].arrayValue.map { Self.version(key, $0) }
            return (status, .versions(versions, since: UInt64(json["compactedRevision"].integerValue ?? 0)))
        }
    }

    private static func version(_ key: String, _ json: JSON) -> Seen {
        func number(_ name: String) -> UInt64 { UInt64(json[name].integerValue ?? 0) }
        var seen = Seen(key: key, revision: number("revision"))
        seen.isDelete = json["kind"].stringValue == "delete"
        if seen.isDelete { return seen }
        let value =
            json["base64"].stringValue.flatMap { Base64.decode($0) }
            ?? json["text"].stringValue.map { Array($0.utf8) } ?? json["value"].serialized()
        seen.tag = Payload.tag(value) ?? .max
        seen.createRevision = number("createRevision")
        seen.version = number("version")
        seen.lease = number("lease")
        return seen
    }

    private func list(_ prefix: String, _ selector: String, _ revision: UInt64, _ limit: Int, _ after: String)
        -> Response
    {
        let (prefix, selector, after) = (Array(prefix.utf8), Array(selector.utf8), Array(after.utf8))
        return answered { error in
            var buffer = hostd_buffer()
            let status = table.pointee.list(
                this, prefix, UInt64(prefix.count), selector, UInt64(selector.count), revision, UInt64(limit), after,
                UInt64(after.count), &buffer, &error)
            guard status == HOSTD_OK, let data = buffer.data else { return (status, .done(revision: 0)) }
            defer { buffer.release?(buffer.context) }
            let page = UnsafeRawPointer(data).loadUnaligned(as: hostd_store_page.self)
            let rest = UnsafeRawBufferPointer(
                start: data + Int(page.struct_size), count: Int(buffer.size) - Int(page.struct_size))
            return (
                status,
                .page(
                    revision: page.revision, records: Self.records(rest).map(\.0), more: page.more != 0,
                    remaining: page.remaining)
            )
        }
    }

    /// The records that lie behind each other, with their flags. A value that nobody wrote gets the tag `.max`.
    static func records(_ bytes: UnsafeRawBufferPointer) -> [(Seen, UInt32)] {
        var found: [(Seen, UInt32)] = []
        var offset = 0
        while offset < bytes.count {
            let head = bytes.loadUnaligned(fromByteOffset: offset, as: hostd_store_record.self)
            let start = offset + Int(head.struct_size)
            let key = String(decoding: bytes[start..<start + Int(head.key_size)], as: UTF8.self)
            let valueStart = start + Int(head.key_size) + Int(head.index_size)
            let isDelete = head.kind == UInt32(HOSTD_STORE_RECORD_DELETE)
            var seen = Seen(key: key, revision: head.revision)
            seen.isDelete = isDelete
            if !isDelete {
                seen.tag = Payload.tag(Array(bytes[valueStart..<valueStart + Int(head.value_size)])) ?? .max
                seen.createRevision = head.create_revision
                seen.version = head.version
                seen.lease = head.lease
            }
            found.append((seen, head.flags))
            offset += Int(head.record_size)
        }
        return found
    }

    static func events(_ bytes: UnsafeRawBufferPointer) -> [SeenEvent] {
        var events: [SeenEvent] = []
        var isPrevious = false
        for (seen, flags) in records(bytes) {
            if isPrevious, !events.isEmpty {
                events[events.count - 1].previous = seen
                isPrevious = false
                continue
            }
            let entry: SeenEvent.Entry =
                flags & HOSTD_STORE_RECORD_LEFT != 0
                ? .left : flags & HOSTD_STORE_RECORD_ENTERED != 0 ? .entered : .none
            events.append(SeenEvent(record: seen, entry: entry))
            isPrevious = flags & HOSTD_STORE_RECORD_HAS_PREVIOUS != 0
        }
        return events
    }

    // MARK: Watches

    /// What the sink is called with, and that the watch is asked to end.
    final class Sink: @unchecked Sendable {  // Only the thread that has the turn touches it.
        let receive: (UInt32, UnsafeRawBufferPointer) -> Void
        init(_ receive: @escaping (UInt32, UnsafeRawBufferPointer) -> Void) { self.receive = receive }
    }

    /// Begins a watch; `sink` stays for ever.
    func watch(
        prefix: String, app: String?, from: UInt64, isPrompt: Bool = false, sink: Sink
    ) -> (watch: UInt64, failure: Response?) {
        let (prefix, selector) = (Array(prefix.utf8), Array((app.map { "app=\($0)" } ?? "").utf8))
        var watch: UInt64 = 0
        let response = answered { error in
            let status = table.pointee.watch(
                this, prefix, UInt64(prefix.count), selector, UInt64(selector.count), from,
                { context, kind, data, size in
                    guard let context else { return }
                    Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
                        .receive(kind, UnsafeRawBufferPointer(start: data, count: Int(size)))
                }, Unmanaged.passRetained(sink).toOpaque(), &watch, &error)
            return (status, .done(revision: 0))
        }
        if case .failed = response { return (0, response) }
        if isPrompt {
            _ = answered { error in (table.pointee.watch_promptly(this, watch, &error), .done(revision: 0)) }
        }
        return (watch, nil)
    }

    func cancel(_ watch: UInt64) {
        _ = answered { error in (table.pointee.watch_cancel(this, watch, &error), .done(revision: 0)) }
    }
}
