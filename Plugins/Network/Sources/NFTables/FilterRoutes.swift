/// Rules and elements of one route or pod.
enum FilterRoutes {
    private static func chain(_ route: ServiceRoute, outside: Bool) -> String {
        "\(outside ? "outside" : "service")-\(route.id)"
    }

    private static func affinityMap(_ route: ServiceRoute, outside: Bool) -> String {
        "affinity-" + chain(route, outside: outside)
    }

    /// Makes or changes a route. Its entries in the maps change only where its frontends do.
    static func set(_ route: ServiceRoute, replacing old: ServiceRoute?, in batch: inout FilterBatch) {
        let before = Set(old?.frontends ?? [])
        let after = Set(route.frontends)
        let hadOutside = old?.outsideEndpoints != nil
        let hasOutside = route.outsideEndpoints != nil
        delete(before.subtracting(after), outside: false, in: &batch)
        if hadOutside { delete(hasOutside ? before.subtracting(after) : before, outside: true, in: &batch) }
        fill(route, old, outside: false, route.endpoints, in: &batch)
        add(after.subtracting(before), to: chain(route, outside: false), outside: false, in: &batch)
        if let endpoints = route.outsideEndpoints {
            fill(route, hadOutside ? old : nil, outside: true, endpoints, in: &batch)
            let new = hadOutside ? after.subtracting(before) : after
            add(new, to: chain(route, outside: true), outside: true, in: &batch)
        } else if hadOutside, let old {
            drop(old, outside: true, in: &batch)
        }
    }

    static func remove(_ route: ServiceRoute, from batch: inout FilterBatch) {
        delete(Set(route.frontends), outside: false, in: &batch)
        drop(route, outside: false, in: &batch)
        guard route.outsideEndpoints != nil else { return }
        delete(Set(route.frontends), outside: true, in: &batch)
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

    /// Leads frontends to a chain.
    private static func add(_ frontends: Set<Frontend>, to chain: String, outside: Bool, in batch: inout FilterBatch) {
        for (map, elements) in elements(of: frontends, data: .goto(chain), outside: outside) {
            batch.addElements(map, elements)
        }
    }

    private static func delete(_ frontends: Set<Frontend>, outside: Bool, in batch: inout FilterBatch) {
        for (map, elements) in elements(of: frontends, data: .none, outside: outside) {
            batch.deleteElements(map, elements)
        }
    }

    /// Addresses go to one map and node ports to another.
    private static func elements(
        of frontends: Set<Frontend>, data: FilterElement.Data, outside: Bool
    ) -> [(map: String, elements: [FilterElement])] {
        var addresses: [FilterElement] = []
        var ports: [FilterElement] = []
        for frontend in frontends {
            let port = [frontend.transport.rawValue, 0, 0, 0] + bytes(frontend.port)
            if let address = frontend.address {
                addresses.append(FilterElement(key: address.bytes + port, data: data))
            } else {
                ports.append(FilterElement(key: port, data: data))
            }
        }
        return [
            (outside ? FilterTable.outside : FilterTable.services, addresses),
            (outside ? FilterTable.outsideNodePorts : FilterTable.nodePorts, ports),
        ]
    }

    /// A port as it lies in a register: two bytes and two of padding.
    private static func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255), 0, 0] }

    private static func bytes(_ endpoint: Endpoint) -> [UInt8] { endpoint.address.bytes + bytes(endpoint.port) }
}
