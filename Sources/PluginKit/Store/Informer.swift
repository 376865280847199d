import Objects
import PluginAPI
import Synchronization

/// A change of an informer's cache. Objects carry their resource version.
public enum InformerEvent: Sendable {
    case added(JSON)
    case updated(old: JSON, new: JSON)
    case deleted(JSON)
    /// The first complete list was delivered.
    case synchronized
}

/// A cache of one resource's objects, kept true by a list and a watch: event-driven, resumed by itself when the watch
/// falls behind. Handlers run serially on host threads; the cache shows an event's state before its handler runs.
public final class Informer: @unchecked Sendable {
    // SAFETY: everything that changes is behind the mutex; the rest is immutable.
    public let resource: String
    private let selector: String
    private let compiledSelector: IndexSelector
    private let namespace: String
    private let host: Host
    private let store: StoreClient
    private let keepsManagedFields: Bool
    private let transform: @Sendable (JSON) -> JSON
    private let handler: @Sendable (InformerEvent) -> Void
    private struct Entry {
        var revision: UInt64
        var object: JSON
    }
    private struct State {
        var entries: [String: Entry] = [:]
        var subscription: Subscription?
        var isSynchronized = false
        var isStopped = false
        var retry: Timer?
        var revision: UInt64 = 0
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - resource: as in store keys: "pods", "deployments.apps".
    ///   - selector: label selector text; fields begin with a dot: ".spec.nodeName=alpha".
    ///   - keepsManagedFields: whether the plugin looks at `metadata.managedFields`.
    ///   - transform: drops what else the plugin does not need before an object is cached.
    public init(
        _ host: Host, resource: String, selector: String = "", namespace: String = "",
        keepsManagedFields: Bool = true,
        transform: @escaping @Sendable (JSON) -> JSON = { $0 },
        handler: @escaping @Sendable (InformerEvent) -> Void = { _ in }
    ) throws(PluginError) {
        self.host = host
        self.resource = resource
        self.selector = selector
        compiledSelector = try IndexSelector(parsing: selector)
        self.namespace = namespace
        self.keepsManagedFields = keepsManagedFields
        self.transform = transform
        self.handler = handler
        store = try host.store()
    }

    private var prefix: String { namespace.isEmpty ? "\(resource)/" : "\(resource)/\(namespace)/" }

    /// Lists, delivers what is there as `.added` and `.synchronized` before it returns, then watches.
    public func start() throws(PluginError) { try listAndWatch() }

    /// When it returns no handler is running (unless it is the caller) and none will run.
    public func stop() {
        let (subscription, retry) = state.withLock { state -> (Subscription?, Timer?) in
            state.isStopped = true
            defer {
                state.subscription = nil
                state.retry = nil
            }
            return (state.subscription, state.retry)
        }
        subscription?.cancel()
        retry?.cancel()
    }

    public var isSynchronized: Bool { state.withLock { $0.isSynchronized } }

    /// The cached object; nil when absent.
    public func get(namespace: String, name: String) -> JSON? { get(key: "\(resource)/\(namespace)/\(name)") }
    public func get(key: String) -> JSON? { state.withLock { $0.entries[key]?.object } }

    /// All cached objects, of one namespace when given, in no particular order.
    public func list(namespace: String? = nil) -> [JSON] {
        state.withLock { state in
            guard let namespace else { return state.entries.values.map(\.object) }
            let prefix = "\(resource)/\(namespace)/"
            return state.entries.lazy.filter { $0.key.hasPrefix(prefix) }.map(\.value.object)
        }
    }

    public var count: Int { state.withLock { $0.entries.count } }

    /// The cache shows every change of the resource up to this store revision: a writer that got a later one back has
    /// written what the cache does not show yet.
    public var revision: UInt64 { state.withLock { $0.revision } }

    private func advance(to revision: UInt64) { state.withLock { $0.revision = max($0.revision, revision) } }

    private func listAndWatch() throws(PluginError) {
        let page = try store.list(prefix: prefix, selector: selector)
        deliver(page)
        let subscription = try store.watch(prefix: prefix, selector: selector, from: page.revision) { [weak self] in
            self?.handle($0)
        }
        let stopped = state.withLock { state -> Bool in
            if state.isStopped { return true }
            state.subscription = subscription
            return false
        }
        if stopped { subscription.cancel() }
    }

    /// Brings the cache to a listed state and delivers the differences.
    private func deliver(_ page: StorePage) {
        var present: Set<String> = []
        for record in page.records {
            present.insert(record.key)
            put(record)
        }
        let gone = state.withLock { state in state.entries.keys.filter { !present.contains($0) } }
        for key in gone { remove(key) }
        advance(to: page.revision)
        let isFirst = state.withLock { state -> Bool in
            defer { state.isSynchronized = true }
            return !state.isSynchronized
        }
        if isFirst { handler(.synchronized) }
    }

    private func put(_ record: StoreRecord) {
        let object: JSON
        do {
            object = transform(
                keepsManagedFields ? try record.object() : try record.objectWithoutManagedFields())
        } catch let failure {
            host.log.error("a stored object cannot be read: \(failure)", ["key": .string(record.key)])
            return
        }
        let key = record.key
        let change = state.withLock { state -> InformerEvent? in
            let old = state.entries[key]
            if let old, old.revision >= record.revision { return nil }
            state.entries[key] = Entry(revision: record.revision, object: object)
            if state.isSynchronized { state.revision = max(state.revision, record.revision) }
            return old.map { .updated(old: $0.object, new: object) } ?? .added(object)
        }
        if let change { handler(change) }
    }

    private func remove(_ key: String, at revision: UInt64 = 0) {
        let old = state.withLock { state -> Entry? in
            state.revision = max(state.revision, revision)
            return state.entries.removeValue(forKey: key)
        }
        if let old { handler(.deleted(old.object)) }
    }

    private func handle(_ message: StoreWatchMessage) {
        switch message {
        case .events(let events):
            for event in events { apply(event) }
        case .progress(let revision): advance(to: revision)
        case .resync: resynchronize()
        case .ended(let reason):
            if !state.withLock({ $0.isStopped }) {
                host.log.warning("a watch ended and starts again: \(reason)", ["resource": .string(resource)])
                resynchronize()
            }
        }
    }

    private func apply(_ event: StoreEvent) {
        if event.isDelete || !matches(event.record) {
            remove(event.record.key, at: event.record.revision)
        } else {
            put(event.record)
        }
    }

    /// With a selector the watch also delivers the change by which an object stops matching.
    private func matches(_ record: StoreRecord) -> Bool {
        compiledSelector.matches { record.index($0) }
    }

    private func resynchronize() {
        let old = state.withLock { state -> Subscription? in
            defer { state.subscription = nil }
            return state.isStopped ? nil : state.subscription
        }
        old?.cancel()
        if state.withLock({ $0.isStopped }) { return }
        do {
            try listAndWatch()
        } catch {
            host.log.warning("a list failed and is tried again in 1 s: \(error)", ["resource": .string(resource)])
            retryLater()
        }
    }

    private func retryLater() {
        do {
            let timer = try host.timers().start(delay: 1_000_000_000) { [weak self] in self?.resynchronize() }
            state.withLock { $0.retry = timer }
        } catch {
            host.log.error("no timer for a retry: \(error)", ["resource": .string(resource)])
        }
    }
}
