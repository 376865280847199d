import Objects
import PluginKit
import Synchronization

/// The plugin's one informer of a resource: every controller reads the same cache and hears the same events.
///
/// Handlers are added before `start`. They run serially, after the cache shows what they are told.
final class ObjectCache: Sendable {
    let type: ResourceType
    private let host: Host
    private let selector: String
    private let transform: @Sendable (JSON) -> JSON
    private struct State {
        var informer: Informer?
        var handlers: [@Sendable (InformerEvent) -> Void] = []
    }
    private let state = Mutex(State())

    /// Objects come without `metadata.managedFields`, which no controller reads.
    /// - Parameters:
    ///   - selector: as for `Informer`.
    ///   - transform: drops what else no controller reads.
    init(
        _ host: Host, _ type: ResourceType, selector: String = "",
        transform: @escaping @Sendable (JSON) -> JSON = { $0 }
    ) {
        self.host = host
        self.type = type
        self.selector = selector
        self.transform = transform
    }

    func onEvent(_ handler: @escaping @Sendable (InformerEvent) -> Void) {
        state.withLock { $0.handlers.append(handler) }
    }

    /// Hears of objects that were added, changed or deleted, without the difference.
    func onObject(_ handler: @escaping @Sendable (JSON) -> Void) {
        onEvent { event in
            switch event {
            case .added(let object), .deleted(let object): handler(object)
            case .updated(let old, let new):
                // An object that changed hands concerns both owners.
                if ControllerReference(controlling: old) != ControllerReference(controlling: new) { handler(old) }
                handler(new)
            case .synchronized: break
            }
        }
    }

    func start() throws {
        let handlers = state.withLock { $0.handlers }
        let informer = try Informer(
            host, resource: type.storeName, selector: selector, keepsManagedFields: false, transform: transform,
            handler: { event in for handler in handlers { handler(event) } })
        state.withLock { $0.informer = informer }
        try informer.start()
    }

    func stop() { state.withLock { $0.informer }?.stop() }

    private var informer: Informer? { state.withLock { $0.informer } }

    func get(_ namespace: String, _ name: String) -> JSON? { informer?.get(namespace: namespace, name: name) }
    func list(_ namespace: String? = nil) -> [JSON] { informer?.list(namespace: namespace) ?? [] }
    var isEmpty: Bool { informer.map { $0.count == 0 } ?? true }
    /// See `Informer.revision`.
    var revision: UInt64 { informer?.revision ?? 0 }

    /// The object at "NAMESPACE/NAME".
    func get(key: String) -> JSON? {
        let (namespace, name) = splitKey(key)
        return get(namespace, name)
    }
}

/// "NAMESPACE/NAME", with an empty namespace for cluster-scoped objects.
func objectKey(_ object: JSON) -> String { "\(object.namespace)/\(object.name)" }

func splitKey(_ key: String) -> (namespace: String, name: String) {
    guard let slash = key.firstIndex(of: "/") else { return ("", key) }
    return (String(key[..<slash]), String(key[key.index(after: slash)...]))
}
