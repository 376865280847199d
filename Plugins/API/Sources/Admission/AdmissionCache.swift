import Objects
import PluginKit
import Synchronization

/// What admission needs of the objects of one resource, by namespace, kept by a watch. A lookup costs one hash, whatever
/// there is; like every cache of this kind it shows a write a moment after it was acknowledged.
final class AdmissionCache<Value: Sendable>: Sendable {
    private let host: Host
    private let resource: String
    private let read: @Sendable (JSON) -> Value
    private struct State {
        /// By name, for each namespace that has some ("" for those without).
        var values: [String: [String: Value]] = [:]
        var informer: Informer?
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - resource: as in store keys: "limitranges".
    ///   - read: takes of an object what is wanted.
    init(_ host: Host, resource: String, read: @escaping @Sendable (JSON) -> Value) {
        self.host = host
        self.resource = resource
        self.read = read
    }

    /// In the order of their names.
    func values(in namespace: String = "") -> [Value] {
        let found = state.withLock { $0.values[namespace] } ?? [:]
        return found.sorted { $0.key < $1.key }.map(\.value)
    }

    func hasValues(in namespace: String) -> Bool { state.withLock { $0.values[namespace] != nil } }

    func value(in namespace: String = "", named name: String) -> Value? {
        state.withLock { $0.values[namespace]?[name] }
    }

    /// Reads what is there before it returns, then follows.
    func start() throws(PluginError) {
        let informer = try Informer(
            host, resource: resource,
            handler: { [weak self] event in
                switch event {
                case .added(let object), .updated(_, let object): self?.put(object)
                case .deleted(let object): self?.remove(object)
                case .synchronized: break
                }
            })
        state.withLock { $0.informer = informer }
        try informer.start()
    }

    func stop() { state.withLock { $0.informer }?.stop() }

    private func put(_ object: JSON) {
        let value = read(object)
        state.withLock { $0.values[object.namespace, default: [:]][object.name] = value }
    }

    private func remove(_ object: JSON) {
        state.withLock { state in
            state.values[object.namespace]?[object.name] = nil
            if state.values[object.namespace]?.isEmpty == true { state.values[object.namespace] = nil }
        }
    }
}
