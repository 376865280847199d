/// What a table holds of services: a pure value that writes the elements that change into a transaction.
///
/// It is right as long as every transaction succeeds; after one that fails, begin anew with an empty value and table.
struct FilterServices {
    /// The endpoints of each list in their slots.
    private var lists: [List: [Endpoint]] = [:]
    private var classes: Set<FilterClass> = []
    private var remembering: Set<UInt32> = []
    private var sources = FilterSources()

    /// A route has one list for all clients, or another one for those outside of the cluster.
    private struct List: Hashable {
        let route: UInt32
        let outside: Bool
    }

    /// A route as it is for one kind of clients.
    private struct Part {
        let list: List
        let frontends: [Frontend]
        let endpoints: [Endpoint]
        let affinitySeconds: UInt32?

        /// Nil when clients from outside are served like all others.
        init?(_ route: ServiceRoute, outside: Bool) {
            guard let endpoints = outside ? route.outsideEndpoints : route.endpoints else { return nil }
            list = List(route: route.id, outside: outside)
            frontends = route.frontends
            self.endpoints = endpoints
            affinitySeconds = route.affinitySeconds
        }
    }

    /// Makes or changes a route. Complexity: as many elements as differ. The kernel itself looks at all frontends once
    /// when the number of a list's endpoints changes, because it then checks where the map of services leads.
    mutating func set(_ route: ServiceRoute, replacing old: ServiceRoute?, in batch: inout FilterBatch) {
        sources.set(route, replacing: old, in: &batch)
        for outside in [false, true] {
            set(Part(route, outside: outside), replacing: old.flatMap { Part($0, outside: outside) }, in: &batch)
        }
    }

    mutating func remove(_ route: ServiceRoute, from batch: inout FilterBatch) {
        sources.set(nil, replacing: route, in: &batch)
        for outside in [false, true] { set(nil, replacing: Part(route, outside: outside), in: &batch) }
    }

    private mutating func set(_ part: Part?, replacing old: Part?, in batch: inout FilterBatch) {
        guard let list = part?.list ?? old?.list else { return }
        let slots = lists[list] ?? []
        let wanted = Self.arrange(part?.endpoints ?? [], keeping: slots)
        lists[list] = part == nil ? nil : wanted
        let before = old.map { Self.elements($0, slots) } ?? [:]
        if let part { addChains(for: part, count: wanted.count, to: &batch) }
        let after = part.map { Self.elements($0, wanted) } ?? [:]
        for set in Set(before.keys).union(after.keys).sorted() {
            let (gone, new) = (before[set] ?? [], after[set] ?? [])
            batch.deleteElements(set, gone.subtracting(new).map { FilterElement(key: $0.key) })
            batch.addElements(set, Array(new.subtracting(gone)))
        }
    }

    /// Puts endpoints into slots so that as few as possible change: those that stay keep theirs, unless it is too high.
    static func arrange(_ endpoints: [Endpoint], keeping slots: [Endpoint]) -> [Endpoint] {
        let wanted = Set(endpoints)
        var result = [Endpoint?](repeating: nil, count: endpoints.count)
        var placed: Set<Endpoint> = []
        for (slot, endpoint) in slots.prefix(endpoints.count).enumerated() where wanted.contains(endpoint) {
            result[slot] = endpoint
            placed.insert(endpoint)
        }
        var others = endpoints.filter { !placed.contains($0) }[...]
        return result.compactMap { $0 ?? others.popFirst() }
    }

    /// All elements of a part, by set.
    private static func elements(_ part: Part, _ slots: [Endpoint]) -> [String: Set<FilterElement>] {
        var elements: [String: Set<FilterElement>] = [:]
        for frontend in part.frontends {
            let isNodePort = frontend.address == nil
            let kind = FrontendKind(isNodePort: isNodePort, outside: part.list.outside)
            let key = (frontend.address?.bytes ?? []) + FilterPods.bytes(frontend.transport, frontend.port)
            let chain = FilterClass(
                kind: kind, endpointCount: slots.count, isSticky: part.affinitySeconds != nil
            ).chain
            elements[kind.rawValue, default: []].insert(FilterElement(key: key, data: .goto(chain)))
            for (slot, endpoint) in slots.enumerated() {
                let slot = withUnsafeBytes(of: UInt32(slot)) { Array($0) }
                elements[kind.endpoints, default: []].insert(
                    FilterElement(key: key + slot, data: .bytes(FilterPods.bytes(endpoint))))
            }
            if let seconds = part.affinitySeconds, !part.list.outside {
                elements[isNodePort ? FilterTable.stickyNodePorts : FilterTable.sticky, default: []].insert(
                    FilterElement(key: key, data: .goto(FilterClass.remembering(seconds))))
            }
        }
        return elements
    }

    /// The chains that a part's elements lead to. They stay until the table is written anew: there are only as many as
    /// there are sizes of services.
    private mutating func addChains(for part: Part, count: Int, to batch: inout FilterBatch) {
        if let seconds = part.affinitySeconds, remembering.insert(seconds).inserted {
            FilterClass.addRemembering(seconds, to: &batch)
        }
        if count == 0 { return }
        for frontend in part.frontends {
            let filterClass = FilterClass(
                kind: FrontendKind(isNodePort: frontend.address == nil, outside: part.list.outside),
                endpointCount: count, isSticky: part.affinitySeconds != nil)
            if classes.insert(filterClass).inserted { filterClass.add(to: &batch) }
        }
    }
}
