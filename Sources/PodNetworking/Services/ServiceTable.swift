/// All services and the routes that follow from them. A pure value: it says what has to change, routers do it.
struct ServiceTable: Sendable {
    /// As they were given, for whoever takes over.
    private(set) var services: [String: Service] = [:]
    private var routesByService: [String: [ServiceRoute]] = [:]
    private var owners: [Frontend: UInt32] = [:]
    private var nextID: UInt32 = 1

    /// Number of services with at least one route.
    var serviceCount: Int { routesByService.count }

    /// All routes, in the order of their ids.
    var routes: [ServiceRoute] { routesByService.values.flatMap { $0 }.sorted { $0.id < $1.id } }

    /// Takes services over, and forgets the `removed` ones, or with `full` all that are not given. Costs what is given.
    mutating func update(_ services: [Service], removed: [String], full: Bool) -> RouteChanges {
        var changes = RouteChanges()
        var gone = removed
        if full {
            let given = Set(services.map(\.key))
            gone += self.services.keys.filter { !given.contains($0) }
        }
        for key in gone { remove(key, &changes) }
        for service in services { set(service, &changes) }
        return changes
    }

    private mutating func remove(_ key: String, _ changes: inout RouteChanges) {
        services[key] = nil
        for route in routesByService.removeValue(forKey: key) ?? [] { drop(route, &changes) }
    }

    private mutating func drop(_ route: ServiceRoute, _ changes: inout RouteChanges) {
        for frontend in route.frontends { owners.removeValue(forKey: frontend) }
        changes.removed.append(route)
    }

    private mutating func set(_ service: Service, _ changes: inout RouteChanges) {
        services[service.key] = service
        let old = Dictionary(
            (routesByService[service.key] ?? []).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var wanted = Self.routes(of: service)
        let names = Set(wanted.map(\.name))
        for route in old.values.sorted(by: { $0.id < $1.id }) where !names.contains(route.name) {
            drop(route, &changes)
        }
        for index in wanted.indices { claim(&wanted[index], old[wanted[index].name], &changes) }
        routesByService[service.key] = wanted.isEmpty ? nil : wanted
    }

    /// Gives a route its id and those of its frontends that nobody else has, and notes the change.
    private mutating func claim(_ route: inout ServiceRoute, _ old: ServiceRoute?, _ changes: inout RouteChanges) {
        let id = old?.id ?? nextID
        if old == nil { nextID &+= 1 }
        for frontend in old?.frontends ?? [] { owners.removeValue(forKey: frontend) }
        var frontends: [Frontend] = []
        for frontend in route.frontends {
            if owners[frontend] == nil {
                owners[frontend] = id
                frontends.append(frontend)
            } else {
                changes.conflicts.append("\(route.name): \(frontend) belongs to another service")
            }
        }
        route = ServiceRoute(
            id: id, name: route.name, transport: route.transport, frontends: frontends, endpoints: route.endpoints,
            outsideEndpoints: route.outsideEndpoints, affinitySeconds: route.affinitySeconds, sources: route.sources)
        if old != route { changes.changed.append(.init(old: old, new: route)) }
    }

    /// The routes of one service, without ids: per port one for the cluster's addresses and, where its endpoints can
    /// differ, one for what is reached from outside, and one for what is reached from some places only.
    private static func routes(of service: Service) -> [ServiceRoute] {
        service.ports.flatMap { port -> [ServiceRoute] in
            func frontends(_ addresses: [IPv4Address]) -> [Frontend] {
                addresses.map { Frontend(address: $0, port: port.port, transport: port.transport) }
            }
            let cluster = frontends(service.clusterAddresses)
            let restricted = frontends(service.restrictedAddresses)
            var outside = frontends(service.externalAddresses)
            if let nodePort = port.nodePort {
                outside.append(Frontend(address: nil, port: nodePort, transport: port.transport))
            }
            let name = "\(service.key):\(port.name.isEmpty ? String(port.port) : port.name)/\(port.transport.name)"
            let clusterEndpoints = service.clusterIsLocal ? port.localEndpoints : port.endpoints
            let outsideEndpoints =
                service.outsideIsLocal && port.localEndpoints != port.endpoints ? port.localEndpoints : nil
            func route(
                _ suffix: String, _ frontends: [Frontend], _ endpoints: [Endpoint], _ outside: [Endpoint]?,
                from sources: [IPv4Range]? = nil
            ) -> [ServiceRoute] {
                if frontends.isEmpty { return [] }
                return [
                    ServiceRoute(
                        id: 0, name: name + suffix, transport: port.transport, frontends: frontends,
                        endpoints: endpoints, outsideEndpoints: outside, affinitySeconds: service.affinitySeconds,
                        sources: sources)
                ]
            }
            let guarded = route(
                " restricted", restricted, port.endpoints, outsideEndpoints, from: service.sources)
            if !outside.isEmpty, clusterEndpoints == port.endpoints, outsideEndpoints == nil {
                return route("", cluster + outside, port.endpoints, nil) + guarded
            }
            return route("", cluster, clusterEndpoints, nil)
                + route(" outside", outside, port.endpoints, outsideEndpoints) + guarded
        }
    }
}
