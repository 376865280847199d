import PodNetworking
import Glibc
import Synchronization

/// `ServiceRouter` by eBPF at the socket.
final class SocketRouter: ServiceRouter {
    private let programs: ServicePrograms
    private struct State {
        /// The set of backends of each route, by route id.
        var sets: [UInt32: UInt32] = [:]
        var nextSet: UInt32 = 1
        /// Path of each routed network namespace, by its number; nil: the host's.
        var namespaces: [UInt64: String?] = [:]
        /// False once the kernel has shown that it does not end sockets for others.
        var endsSockets = true
    }
    private let state: Mutex<State>

    /// - Parameter hostCookie: number of the host's network namespace when its sockets are to be routed too.
    init(programs: ServicePrograms, hostCookie: UInt64?, hostAddresses: [IPv4Address]) throws {
        self.programs = programs
        var state = State()
        // Sets of an earlier run stay in use until the first full update replaces them.
        for key in try programs.backends.keys() { state.nextSet = max(state.nextSet, key.set &+ 1) }
        if let hostCookie { state.namespaces[hostCookie] = .some(nil) }
        self.state = Mutex(state)
        for cookie in try programs.namespaces.keys()
        where programs.namespaces[cookie] == NamespaceKind.host.rawValue && cookie != hostCookie {
            try programs.namespaces.remove(cookie)
        }
        if let hostCookie { try programs.namespaces.set(hostCookie, NamespaceKind.host.rawValue) }
        try setHostAddresses(hostAddresses)
    }

    /// Where node ports answer.
    func setHostAddresses(_ addresses: [IPv4Address]) throws {
        let wanted = Set(addresses.map(\.value.bigEndian))
        for key in try programs.addresses.keys() where !wanted.contains(key) { try programs.addresses.remove(key) }
        for key in wanted { try programs.addresses.set(key, 1) }
    }

    func replaceAll(_ routes: [ServiceRoute]) throws {
        try state.withLock { state in
            let earlier = try (
                frontends: programs.frontends.keys(), backends: programs.backends.keys(),
                members: programs.members.keys()
            )
            state.sets = [:]
            for route in routes { try install(route, replacing: nil, &state) }
            let frontends = Set(routes.filter(Self.isRouted).flatMap(\.frontends).map(FrontendKey.init))
            for key in earlier.frontends where !frontends.contains(key) { try programs.frontends.remove(key) }
            for key in earlier.backends { try programs.backends.remove(key) }
            for key in earlier.members { try programs.members.remove(key) }
        }
    }

    func apply(_ changes: RouteChanges) throws {
        try state.withLock { state in
            for route in changes.removed { try remove(route, &state) }
            for change in changes.changed { try install(change.new, replacing: change.old, &state) }
        }
        try endSockets(ConnectionTracking.parted(by: changes))
    }

    /// Ends what is connected by UDP, by a service, to an endpoint that has gone from it: it would send there for ever.
    /// Complexity: one list of connected sockets for each routed namespace, when there is a parted pair at all.
    private func endSockets(_ parted: Set<ConnectionTracking.Stale>) throws {
        guard !parted.isEmpty else { return }
        let gone = Set(parted.compactMap(\.endpoint))
        let namespaces: [UInt64: String?] = state.withLock { $0.endsSockets ? $0.namespaces : [:] }
        for (cookie, path) in namespaces {
            let isSupported = try ConnectedSockets.end(in: path, cookie: cookie) { [programs] socket, peer in
                guard gone.contains(peer),
                    let asked = programs.reverse[ReverseKey(socket: socket, backend: BackendValue(peer))]
                else { return false }
                return ConnectionTracking.holds(
                    parted, address: IPv4Address(UInt32(bigEndian: asked.address)), port: UInt16(bigEndian: asked.port),
                    endpoint: peer)
            }
            guard isSupported else { return state.withLock { $0.endsSockets = false } }
        }
    }

    func add(_ attachment: Attachment) throws {
        guard attachment.namespaceCookie != 0 else { return }
        state.withLock { $0.namespaces[attachment.namespaceCookie] = attachment.networkNamespace }
        try programs.namespaces.set(attachment.namespaceCookie, NamespaceKind.pod.rawValue)
    }

    func remove(_ attachment: Attachment) throws {
        guard attachment.namespaceCookie != 0 else { return }
        state.withLock { $0.namespaces[attachment.namespaceCookie] = nil }
        try programs.namespaces.remove(attachment.namespaceCookie)
    }

    /// Forgets the pods that are not given.
    func keepPods(_ attachments: [Attachment]) throws {
        let wanted = Set(attachments.map(\.namespaceCookie))
        for cookie in try programs.namespaces.keys()
        where programs.namespaces[cookie] == NamespaceKind.pod.rawValue && !wanted.contains(cookie) {
            try programs.namespaces.remove(cookie)
        }
        for attachment in attachments { try add(attachment) }
    }

    /// SCTP has no hook at the socket, and a socket that connects has no address yet by which it could be kept out: those
    /// are left to nftables.
    private static func isRouted(_ route: ServiceRoute) -> Bool { route.transport != .sctp && route.sources == nil }

    /// Writes a new set of backends, then lets the frontends name it, then removes the set that they named before.
    private func install(_ route: ServiceRoute, replacing old: ServiceRoute?, _ state: inout State) throws {
        guard Self.isRouted(route) else { return }
        let set = state.nextSet
        state.nextSet &+= 1
        let previous = state.sets[route.id]
        do {
            for (slot, endpoint) in route.endpoints.enumerated() {
                try programs.backends.set(BackendKey(set: set, slot: UInt32(slot)), BackendValue(endpoint))
                if route.affinitySeconds != nil {
                    try programs.members.set(MemberKey(set: set, backend: BackendValue(endpoint)), 1)
                }
            }
            let value = FrontendValue(
                set: set, count: UInt32(route.endpoints.count), affinitySeconds: route.affinitySeconds ?? 0)
            for frontend in route.frontends { try programs.frontends.set(FrontendKey(frontend), value) }
        } catch {
            // The map is full: without its frontends the service is left to the packet filter.
            for frontend in route.frontends { try programs.frontends.remove(FrontendKey(frontend)) }
            try removeSet(set, endpoints: route.endpoints)
            throw error
        }
        state.sets[route.id] = set
        let kept = Set(route.frontends)
        for frontend in old?.frontends ?? [] where !kept.contains(frontend) {
            try programs.frontends.remove(FrontendKey(frontend))
        }
        if let previous, let old { try removeSet(previous, endpoints: old.endpoints) }
    }

    private func remove(_ route: ServiceRoute, _ state: inout State) throws {
        guard Self.isRouted(route) else { return }
        for frontend in route.frontends { try programs.frontends.remove(FrontendKey(frontend)) }
        if let set = state.sets.removeValue(forKey: route.id) { try removeSet(set, endpoints: route.endpoints) }
    }

    private func removeSet(_ set: UInt32, endpoints: [Endpoint]) throws {
        for (slot, endpoint) in endpoints.enumerated() {
            try programs.backends.remove(BackendKey(set: set, slot: UInt32(slot)))
            try programs.members.remove(MemberKey(set: set, backend: BackendValue(endpoint)))
        }
    }
}
