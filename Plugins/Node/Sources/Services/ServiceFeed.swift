import Objects
import PluginKit
import Synchronization

/// Keeps the network's service routing equal to Services and EndpointSlices: everything once, then what changed.
final class ServiceFeed: Sendable {
    static let serviceNameLabel = "kubernetes.io/service-name"

    private struct State {
        var services: [String: JSON] = [:]
        /// Slices by service key, then by slice key.
        var slices: [String: [String: JSON]] = [:]
        var dirty: Set<String> = []
        var isFull = true
        var isReady = false
        /// What the network has of each service.
        var told: [String: JSON] = [:]
    }

    private let network: any NetworkProvider
    private let nodeName: String
    private let flush: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameter flush: asks for a call of `send`, from another thread.
    init(network: any NetworkProvider, nodeName: String, flush: @escaping @Sendable () -> Void) {
        self.network = network
        self.nodeName = nodeName
        self.flush = flush
    }

    private static func key(_ object: JSON) -> String { "\(object.namespace)/\(object.name)" }

    func serviceChanged(_ service: JSON) {
        mark(Self.key(service)) { $0.services[Self.key(service)] = service }
    }

    func serviceRemoved(_ service: JSON) {
        mark(Self.key(service)) { $0.services[Self.key(service)] = nil }
    }

    func sliceChanged(_ slice: JSON) {
        guard let name = slice.labels[Self.serviceNameLabel].stringValue else { return }
        let service = "\(slice.namespace)/\(name)"
        mark(service) { $0.slices[service, default: [:]][Self.key(slice)] = slice }
    }

    func sliceRemoved(_ slice: JSON) {
        guard let name = slice.labels[Self.serviceNameLabel].stringValue else { return }
        let service = "\(slice.namespace)/\(name)"
        mark(service) { state in
            state.slices[service]?[Self.key(slice)] = nil
            if state.slices[service]?.isEmpty == true { state.slices[service] = nil }
        }
    }

    /// Both lists are complete: the full state may be sent.
    func ready() {
        state.withLock { $0.isReady = true }
        flush()
    }

    /// The network has forgotten everything: it restarted or was replaced.
    func resend() {
        state.withLock { state in
            state.isFull = true
            state.told.removeAll()
        }
        flush()
    }

    private func mark(_ key: String, _ change: (inout State) -> Void) {
        let isReady = state.withLock { state in
            change(&state)
            state.dirty.insert(key)
            return state.isReady
        }
        if isReady { flush() }
    }

    /// Services whose variables containers of a namespace get: its own, and the API's.
    func services(for pod: Pod) -> [JSON] {
        let links = pod.specification["enableServiceLinks"].boolValue ?? true
        return state.withLock { state in
            var result: [JSON] = []
            if let api = state.services["default/kubernetes"] { result.append(api) }
            if links {
                let prefix = "\(pod.namespace)/"
                let own = state.services.filter { $0.key.hasPrefix(prefix) && $0.key != "default/kubernetes" }
                result += own.sorted { $0.key < $1.key }.map(\.value)
            }
            return result
        }
    }

    /// Tells the network what changed since the last call. One call at a time.
    func send() throws {
        let (keys, isFull) = state.withLock { state -> (Set<String>, Bool) in
            guard state.isReady else { return ([], false) }
            defer {
                state.dirty.removeAll()
                state.isFull = false
            }
            return (state.isFull ? Set(state.services.keys) : state.dirty, state.isFull)
        }
        if keys.isEmpty && !isFull { return }
        var changed: [String: JSON] = [:]
        var removed: [String] = []
        state.withLock { state in
            for key in keys {
                let slices = (state.slices[key] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
                let built = state.services[key].flatMap {
                    ServiceTranslation.build($0, slices: slices, nodeName: nodeName)
                }
                if let built {
                    if isFull || state.told[key] != built { changed[key] = built }
                } else if state.told[key] != nil {
                    removed.append(key)
                }
            }
        }
        if changed.isEmpty && removed.isEmpty && !isFull { return }
        var request: JSONObject = ["services": .array(changed.sorted { $0.key < $1.key }.map(\.value))]
        if isFull { request["full"] = true }
        if !removed.isEmpty {
            request["removed"] = .array(
                removed.map { key in
                    let parts = key.split(separator: "/", maxSplits: 1).map(String.init)
                    return ["namespace": .string(parts[0]), "name": .string(parts.count > 1 ? parts[1] : "")]
                })
        }
        do {
            _ = try network.servicesSet(.object(request), deadline: WallClock.deadline(seconds: 30))
        } catch {
            state.withLock { state in
                state.dirty.formUnion(keys)
                if isFull { state.isFull = true }
            }
            throw error
        }
        state.withLock { state in
            if isFull { state.told.removeAll() }
            for key in removed { state.told[key] = nil }
            for (key, value) in changed { state.told[key] = value }
        }
    }
}
