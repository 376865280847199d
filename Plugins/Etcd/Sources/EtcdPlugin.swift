import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The state store on an etcd cluster: hostd.store/1 by etcd's API version 3.
public final class EtcdPlugin: Plugin {
    public static let description = PluginDescription(
        name: "etcd", version: "1.0.0", summary: "The state store on an etcd v3 cluster", provides: [HOSTD_STORE_1])
    public static var optionsSchema: String { EtcdOptions.schema }

    private let host: Host
    private struct State {
        var options: EtcdOptions?
        var store: EtcdStore?
        var upkeep: Upkeep?
    }
    private let state = Mutex(State())
    private let table = Mutex<UInt?>(nil)

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        let options = try EtcdOptions(configuration.options)
        _ = try options.makeTLS()  // Files that cannot be read are told of before anything starts.
        state.withLock { $0.options = options }
    }

    public func activate() throws {
        guard let options = state.withLock({ $0.options }) else {
            throw PluginError.wrongState("the etcd plugin is not configured")
        }
        let log = host.log
        let store = try EtcdStore(options) { log.warning($0) }
        do {
            let upkeep = try Upkeep(host, store, seconds: options.historySeconds)
            state.withLock { state in
                state.store = store
                state.upkeep = upkeep
            }
        } catch {
            store.close()
            throw error
        }
    }

    public func deactivate() throws {
        let (store, upkeep) = state.withLock { state -> (EtcdStore?, Upkeep?) in
            defer {
                state.store = nil
                state.upkeep = nil
            }
            return (state.store, state.upkeep)
        }
        upkeep?.stop()
        store?.close()
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard id == HOSTD_STORE_1 else { return nil }
        let address = table.withLock { table -> UInt in
            if let table { return table }
            let made = UInt(bitPattern: RoleTable.store(self))
            table = made
            return made
        }
        return UnsafePointer(bitPattern: address)
    }

    private func active() throws(PluginError) -> EtcdStore {
        guard let store = state.withLock({ $0.store }) else {
            throw .wrongState("the etcd plugin is not active")
        }
        return store
    }
}

extension EtcdPlugin: StoreProvider {
    public func get(_ key: UnsafeRawBufferPointer, revision: UInt64) throws -> hostd_buffer {
        try active().get(key, revision: revision)
    }
    public func list(_ request: StoreListRequest) throws -> hostd_buffer { try active().list(request) }
    public func write(_ step: StoreStep) throws -> UInt64 { try active().write(step) }
    public func transaction(_ steps: [StoreStep], completion: @escaping @Sendable (StoreCommit) -> Void) throws {
        try active().transaction(steps, completion: completion)
    }
    public func transaction(
        _ steps: [StoreStep], by writer: String, completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws { try active().transaction(steps, by: writer, completion: completion) }
    public func history(of key: UnsafeRawBufferPointer, limit: UInt64) throws -> JSON {
        try active().history(of: key, limit: limit)
    }
    public func revision(at time: UInt64) throws -> UInt64 { try active().revision(at: time) }
    public func watch(
        prefix: UnsafeRawBufferPointer, selector: String, from: UInt64, sink: StoreSink
    ) throws -> UInt64 {
        try active().watch(prefix: prefix, selector: selector, from: from, sink: sink)
    }
    public func cancelWatch(_ watch: UInt64) { state.withLock { $0.store }?.cancelWatch(watch) }
    public func grantLease(timeToLiveMilliseconds: UInt64) throws -> UInt64 {
        try active().grantLease(timeToLiveMilliseconds: timeToLiveMilliseconds)
    }
    public func keepLeaseAlive(_ lease: UInt64) throws { try active().keepLeaseAlive(lease) }
    public func revokeLease(_ lease: UInt64) throws { try active().revokeLease(lease) }
    public func compact(to revision: UInt64) throws { try active().compact(to: revision) }
    public func status() throws -> JSON { try active().status() }

    public func backup(to descriptor: Int32) throws -> JSON {
        do { return try active().backup(to: descriptor) } catch let error as PluginError {
            if error.code == HOSTD_ERROR_WRONG_STATE, descriptor >= 0 { Glibc.close(descriptor) }
            throw error
        }
    }
}

/// Compacts: once a minute it notes the revision, and gives up what is older than the history.
private final class Upkeep: Sendable {
    private static let period: UInt64 = 60_000_000_000

    private let timer: PluginKit.Timer?

    /// - Parameter seconds: 0 leaves compaction to others.
    init(_ host: Host, _ store: EtcdStore, seconds: UInt64) throws {
        guard seconds > 0 else {
            timer = nil
            return
        }
        let notes = Mutex<[(time: UInt64, revision: UInt64)]>([])
        let log = host.log
        timer = try host.timers().start(delay: Self.period, period: Self.period) {
            let now = monotonicNanoseconds()
            let old = notes.withLock { notes -> UInt64? in
                notes.append((now, store.feed.revision))
                let past = notes.prefix { $0.time + seconds * 1_000_000_000 <= now }
                notes.removeFirst(past.count)
                return past.last?.revision
            }
            guard let old else { return }
            do { try store.compact(to: old) } catch {
                log.warning("etcd cannot be compacted", ["reason": .string("\(error)")])
            }
        }
    }

    func stop() { timer?.cancel() }
}
