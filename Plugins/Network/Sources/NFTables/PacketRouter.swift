import Glibc
import Synchronization

/// `ServiceRouter` by nf_tables: destination address translation for every packet that enters the host's network
/// namespace or begins there. Serves the host itself, other machines, and those pods' sockets that eBPF does not see.
final class PacketRouter: ServiceRouter {
    private let table: FilterTable
    private let socket: NetlinkSocket
    private struct State {
        var routes: [UInt32: ServiceRoute] = [:]
        var pods: [String: Attachment] = [:]
        /// False while the kernel shows what an earlier run left: the first change writes everything anew, in one step.
        var isWritten = false
    }
    private let state: Mutex<State>

    /// Works in the calling thread's network namespace. A table of an earlier run is left as it is, so that what it
    /// routes is routed on; without one the table is made. Throws when the kernel lacks nf_tables.
    init(table: FilterTable, pods: [Attachment]) throws {
        self.table = table
        socket = try NetlinkSocket(family: NetlinkFamily.NETLINK_NETFILTER)
        var initial = State()
        for pod in pods { initial.pods[pod.sandbox] = pod }
        state = Mutex(initial)
        if try !exists() { try state.withLock { try rewrite(&$0) } }
    }

    private func exists() throws -> Bool {
        var batch = NetlinkBatch()
        batch.message(
            NFT.NFNL_SUBSYS_NFTABLES << 8 | NFT.NFT_MSG_GETTABLE, NetlinkFlag.NLM_F_ACK, label: "find table \(table.name)")
        batch.append([NFT.NFPROTO_IPV4, 0, 0, 0])
        batch.attribute(NFT.NFTA_TABLE_NAME, text: table.name)
        batch.end()
        return try !socket.transact(batch, tolerating: [ENOENT]).isEmpty
    }

    func replaceAll(_ routes: [ServiceRoute]) throws {
        try state.withLock { state in
            state.routes = Dictionary(routes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            try rewrite(&state)
        }
    }

    func apply(_ changes: RouteChanges) throws {
        try state.withLock { state in
            for route in changes.removed { state.routes[route.id] = nil }
            for change in changes.changed { state.routes[change.new.id] = change.new }
            try edit(&state) { batch in
                for route in changes.removed { FilterRoutes.remove(route, from: &batch) }
                for change in changes.changed { FilterRoutes.set(change.new, replacing: change.old, in: &batch) }
            }
        }
    }

    func add(_ attachment: Attachment) throws {
        try state.withLock { state in
            guard state.pods[attachment.sandbox] != attachment else { return }
            let old = state.pods.updateValue(attachment, forKey: attachment.sandbox)
            try edit(&state) { batch in
                if let old { FilterRoutes.remove(old, from: &batch) }
                FilterRoutes.add(attachment, to: &batch)
            }
        }
    }

    func remove(_ attachment: Attachment) throws {
        try state.withLock { state in
            guard let old = state.pods.removeValue(forKey: attachment.sandbox) else { return }
            try edit(&state) { FilterRoutes.remove(old, from: &$0) }
        }
    }

    /// Deletes the table.
    func removeTable() throws {
        try state.withLock { state in
            var batch = FilterBatch(table: table.name)
            batch.addTable()
            batch.deleteTable()
            try socket.transact(batch.finished())
            state.isWritten = false
        }
    }

    /// Changes what is there; writes everything anew when it is an earlier run's or somebody else has changed it.
    private func edit(_ state: inout State, _ body: (inout FilterBatch) -> Void) throws {
        guard state.isWritten else { return try rewrite(&state) }
        var batch = FilterBatch(table: table.name)
        body(&batch)
        do {
            try socket.transact(batch.finished())
        } catch let error as NetlinkError where error.code == ENOENT || error.code == EEXIST || error.code == EBUSY {
            try rewrite(&state)
        }
    }

    /// Replaces the table by one with exactly the routes and pods known, in one transaction.
    private func rewrite(_ state: inout State) throws {
        var batch = FilterBatch(table: table.name)
        batch.addTable()
        batch.deleteTable()
        table.addSkeleton(to: &batch)
        for route in state.routes.values.sorted(by: { $0.id < $1.id }) {
            FilterRoutes.set(route, replacing: nil, in: &batch)
        }
        for pod in state.pods.values { FilterRoutes.add(pod, to: &batch) }
        try socket.transact(batch.finished())
        state.isWritten = true
    }
}

/// Rules and elements of one route or pod.
enum FilterRoutes {
    private static func chain(_ route: ServiceRoute, outside: Bool) -> String {
        "\(outside ? "outside" : "service")-\(route.id)"
    }

    private static func affinityMap(_ route: ServiceRoute, outside: Bool) -> String { "affinity-" + chain(route, outside: outside) }

    /// Makes or changes a route. Its entries in the maps change only where its frontends do.
    static func set(_ route: ServiceRoute, replacing old: ServiceRoute?, in batch: inout FilterBatch) {
        let before = Set(old?.frontends ?? [])
        let after = Set(route.frontends)
        let hadOutside = old?.outsideEndpoints != nil
        let hasOutside = route.outsideEndpoints != nil
        batch.deleteElements(FilterTable.services, before.subtracting(after).map { element($0, .none) })
        if hadOutside {
            let gone = hasOutside ? before.subtracting(after) : before
            batch.deleteElements(FilterTable.outside, gone.map { element($0, .none) })
        }
        fill(route, old, outside: false, route.endpoints, in: &batch)
        let chain = chain(route, outside: false)
        batch.addElements(FilterTable.services, after.subtracting(before).map { element($0, .goto(chain)) })
        if let endpoints = route.outsideEndpoints {
            fill(route, hadOutside ? old : nil, outside: true, endpoints, in: &batch)
            let chain = Self.chain(route, outside: true)
            let new = hadOutside ? after.subtracting(before) : after
            batch.addElements(FilterTable.outside, new.map { element($0, .goto(chain)) })
        } else if hadOutside, let old {
            drop(old, outside: true, in: &batch)
        }
    }

    static func remove(_ route: ServiceRoute, from batch: inout FilterBatch) {
        batch.deleteElements(FilterTable.services, route.frontends.map { element($0, .none) })
        drop(route, outside: false, in: &batch)
        guard route.outsideEndpoints != nil else { return }
        batch.deleteElements(FilterTable.outside, route.frontends.map { element($0, .none) })
        drop(route, outside: true, in: &batch)
    }

    private static func drop(_ route: ServiceRoute, outside: Bool, in batch: inout FilterBatch) {
        let chain = chain(route, outside: outside)
        batch.flushChain(chain)
        batch.deleteChain(chain)
        if route.affinitySeconds != nil { batch.deleteSet(affinityMap(route, outside: outside)) }
    }

    /// Writes the chain that chooses an endpoint. Clients with affinity choose again when the endpoints change.
    private static func fill(
        _ route: ServiceRoute, _ old: ServiceRoute?, outside: Bool, _ endpoints: [Endpoint], in batch: inout FilterBatch
    ) {
        let chain = chain(route, outside: outside)
        if let old {
            batch.flushChain(chain)
            if old.affinitySeconds != nil { batch.deleteSet(affinityMap(old, outside: outside)) }
        } else {
            batch.addChain(chain)
        }
        let affinity = affinityMap(route, outside: outside)
        let milliseconds = UInt64(route.affinitySeconds ?? 0) * 1000
        if route.affinitySeconds != nil {
            batch.addSet(
                affinity,
                .init(keyType: NFT.TYPE_IPADDR, keySize: 4, data: FilterTable.endpointLayout, timeout: milliseconds))
        }
        guard !endpoints.isEmpty else {
            batch.addRule(chain, FilterExpressions().verdict(NFT.NFT_GOTO, chain: FilterTable.refuse))
            return
        }
        let client = FilterExpressions().load(.sourceAddress, to: 0)
        if route.affinitySeconds != nil {
            batch.addRule(
                chain,
                client.look(up: affinity, key: 0, data: 4)
                    .remember(in: affinity, key: 0, data: 4, milliseconds: milliseconds).translateDestination(from: 4))
        }
        let elements = endpoints.enumerated().map { slot, endpoint in
            FilterElement(
                key: withUnsafeBytes(of: UInt32(slot)) { Array($0) }, data: .bytes(bytes(endpoint)))
        }
        let layout = FilterBatch.SetLayout(keyType: NFT.TYPE_INTEGER, keySize: 4, data: FilterTable.endpointLayout)
        let map = batch.addAnonymousMap(layout, elements)
        var rule = FilterExpressions().turn(of: endpoints.count, to: 0)
            .look(up: "__map%d", id: map, key: 0, data: 4)
        if route.affinitySeconds != nil {
            rule = rule.load(.sourceAddress, to: 0)
                .remember(in: affinity, key: 0, data: 4, milliseconds: milliseconds)
        }
        batch.addRule(chain, rule.translateDestination(from: 4))
    }

    /// A pod's entries: the pair by which traffic to itself is known, and its ports on the host.
    static func add(_ pod: Attachment, to batch: inout FilterBatch) {
        batch.addElements(FilterTable.pods, [pair(pod)])
        let (bound, free) = portElements(pod)
        batch.addElements(FilterTable.boundHostPorts, bound)
        batch.addElements(FilterTable.hostPorts, free)
    }

    static func remove(_ pod: Attachment, from batch: inout FilterBatch) {
        batch.deleteElements(FilterTable.pods, [pair(pod)])
        let (bound, free) = portElements(pod)
        batch.deleteElements(FilterTable.boundHostPorts, bound)
        batch.deleteElements(FilterTable.hostPorts, free)
    }

    private static func pair(_ pod: Attachment) -> FilterElement {
        FilterElement(key: pod.address.bytes + pod.address.bytes)
    }

    private static func portElements(_ pod: Attachment) -> (bound: [FilterElement], free: [FilterElement]) {
        var bound: [FilterElement] = []
        var free: [FilterElement] = []
        for mapping in pod.portMappings {
            let target = FilterElement.Data.bytes(
                bytes(Endpoint(address: pod.address, port: mapping.containerPort)))
            let port = [mapping.transport.rawValue, 0, 0, 0] + bytes(mapping.hostPort)
            if let address = mapping.hostAddress {
                bound.append(FilterElement(key: address.bytes + port, data: target))
            } else {
                free.append(FilterElement(key: port, data: target))
            }
        }
        return (bound, free)
    }

    private static func element(_ frontend: Frontend, _ data: FilterElement.Data) -> FilterElement {
        let address = frontend.address ?? IPv4Address(0)
        return FilterElement(
            key: address.bytes + [frontend.transport.rawValue, 0, 0, 0] + bytes(frontend.port), data: data)
    }

    /// A port as it lies in a register: two bytes and two of padding.
    private static func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255), 0, 0] }

    private static func bytes(_ endpoint: Endpoint) -> [UInt8] { endpoint.address.bytes + bytes(endpoint.port) }
}
