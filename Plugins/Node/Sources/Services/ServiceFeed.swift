import Objects
import PluginKit
import Synchronization

/// Keeps the network's service routing equal to Services and EndpointSlices: everything once, then what changed.
final class ServiceFeed: Sendable {
    static let serviceNameLabel = "kubernetes.io/service-name"

    fileprivate struct State {
        var services: [String: JSON] = [:]
        /// Slices by service key, then by slice key.
        var slices: [String: [String: JSON]] = [:]
        var dirty: Set<String> = []
        var isFull = true
        var isReady = false
        /// The node's; "" for none.
        var zone = ""
        /// What the network has of each service.
        var told: [String: JSON] = [:]
        /// What balancers are told of services.
        var checks: [String: HealthCheck] = [:]
        var health = RoutingHealth()
    }

    /// What there is to tell the network, and balancers.
    fileprivate struct Update {
        var keys: Set<String>
        var isFull: Bool
        var changed: [String: JSON] = [:]
        var removed: [String] = []
        var checks: [String: HealthCheck] = [:]
    }

    private let network: any NetworkProvider
    let nodeName: String
    private let balancers: @Sendable ([HealthCheck]) -> Void
    private let flush: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - balancers: takes all health checks when they have changed; the network knows the endpoints by then.
    ///   - flush: asks for a call of `send`, from another thread.
    init(
        network: any NetworkProvider, nodeName: String,
        balancers: @escaping @Sendable ([HealthCheck]) -> Void = { _ in }, flush: @escaping @Sendable () -> Void
    ) {
        self.network = network
        self.nodeName = nodeName
        self.balancers = balancers
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
        state.withLock { state in
            state.isReady = true
            state.health.pendingSince = WallClock.monotonicNanoseconds()
        }
        flush()
    }

    /// The node is in this zone; "" for none.
    func zoneChanged(_ zone: String) {
        let isReady = state.withLock { state in
            guard state.zone != zone else { return false }
            state.zone = zone
            state.dirty.formUnion(state.services.keys)
            state.wait()
            return state.isReady
        }
        if isReady { flush() }
    }

    /// The network has forgotten everything: it restarted or was replaced.
    func resend() {
        state.withLock { state in
            state.isFull = true
            state.told.removeAll()
            state.wait()
        }
        flush()
    }

    private func mark(_ key: String, _ change: (inout State) -> Void) {
        let isReady = state.withLock { state in
            change(&state)
            state.dirty.insert(key)
            state.wait()
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

    /// How far the network is behind.
    var health: RoutingHealth { state.withLock { $0.health } }

    /// A service, for events about it; nil when there is none.
    func service(_ key: String) -> JSON? { state.withLock { $0.services[key] } }

    /// Tells the network what changed since the last call. One call at a time.
    func send() throws {
        guard let update = state.withLock({ $0.next(nodeName: nodeName) }) else { return }
        if let request = Self.request(update) {
            do {
                _ = try network.servicesSet(request, deadline: WallClock.deadline(seconds: 30))
            } catch {
                state.withLock { state in
                    state.dirty.formUnion(update.keys)
                    if update.isFull { state.isFull = true }
                }
                throw error
            }
        }
        if let checks = state.withLock({ $0.finish(update) }) { balancers(checks) }
    }

    /// Nil when the network knows it all.
    private static func request(_ update: Update) -> JSON? {
        if update.changed.isEmpty && update.removed.isEmpty && !update.isFull { return nil }
        var request: JSONObject = ["services": .array(update.changed.sorted { $0.key < $1.key }.map(\.value))]
        if update.isFull { request["full"] = true }
        if !update.removed.isEmpty {
            request["removed"] = .array(
                update.removed.map { key in
                    let parts = key.split(separator: "/", maxSplits: 1).map(String.init)
                    return ["namespace": .string(parts[0]), "name": .string(parts.count > 1 ? parts[1] : "")]
                })
        }
        return .object(request)
    }
}

extension ServiceFeed.State {
    /// Something is to be told from now on.
    fileprivate mutating func wait() {
        if isReady && health.pendingSince == nil { health.pendingSince = WallClock.monotonicNanoseconds() }
    }

    /// Takes out what is to be told; nil when there is nothing.
    fileprivate mutating func next(nodeName: String) -> ServiceFeed.Update? {
        guard isReady, isFull || !dirty.isEmpty else { return nil }
        var update = ServiceFeed.Update(keys: isFull ? Set(services.keys) : dirty, isFull: isFull)
        dirty.removeAll()
        isFull = false
        for key in update.keys {
            let slices = (self.slices[key] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
            let service = services[key]
            let built = service.flatMap {
                ServiceTranslation.build($0, slices: slices, nodeName: nodeName, zone: zone)
            }
            if let built {
                if update.isFull || told[key] != built { update.changed[key] = built }
            } else if told[key] != nil {
                update.removed.append(key)
            }
            update.checks[key] = service.flatMap { HealthCheck($0, slices: slices, nodeName: nodeName) }
        }
        return update
    }

    /// Notes what has been told, and answers all health checks when they have changed.
    fileprivate mutating func finish(_ update: ServiceFeed.Update) -> [HealthCheck]? {
        if update.isFull { told.removeAll() }
        for key in update.removed { told[key] = nil }
        for (key, value) in update.changed { told[key] = value }
        health.updated = .now()
        health.pendingSince = nil
        if isFull || !dirty.isEmpty { wait() }
        let before = checks
        if update.isFull { checks.removeAll() }
        for key in update.keys { checks[key] = update.checks[key] }
        return checks == before ? nil : checks.sorted { $0.key < $1.key }.map(\.value)
    }
}
