import Objects

/// The endpoints of one Service, computed from its pods, and the EndpointSlices and the Endpoints object that show them.
/// See https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/.
struct EndpointPlan {
    static let serviceLabel = "kubernetes.io/service-name"
    static let managedByLabel = "endpointslice.kubernetes.io/managed-by"
    static let manager = "endpointslice-controller.k8s.io"
    static let headlessLabel = "service.kubernetes.io/headless"
    static let triggerTime = "endpoints.kubernetes.io/last-change-trigger-time"
    /// Endpoints per slice.
    static let sliceLimit = 100
    /// Addresses in an Endpoints object.
    static let endpointsLimit = 1000

    /// One address family and one set of port numbers: what a slice can hold.
    struct Group: Hashable {
        var addressType: String
        var ports: [JSON]
    }

    var groups: [Group: [JSON]] = [:]
    private let service: JSON
    private let zone: (String) -> String?

    /// - Parameters:
    ///   - pods: the pods of the Service's namespace that its selector matches.
    ///   - zone: of a node, by its name.
    init(_ service: JSON, pods: [JSON], zone: @escaping (String) -> String? = { _ in nil }) {
        self.service = service
        self.zone = zone
        let publishesUnready = service["spec"]["publishNotReadyAddresses"].boolValue ?? false
        let families = service["spec"]["ipFamilies"].arrayValue.compactMap(\.stringValue)
        for pod in pods.sorted(by: { $0.name < $1.name }) {
            let state = PodState(pod)
            // A pod that ended has no address worth naming.
            if state.isFinished { continue }
            for address in EndpointPlan.addresses(pod) {
                let type = address.contains(":") ? "IPv6" : "IPv4"
                guard families.isEmpty ? type == "IPv4" : families.contains(type) else { continue }
                let ports = resolvedPorts(pod)
                let group = Group(addressType: type, ports: ports)
                groups[group, default: []].append(endpoint(pod, address, publishesUnready))
            }
        }
    }

    private static func addresses(_ pod: JSON) -> [String] {
        let all = pod["status"]["podIPs"].arrayValue.compactMap { $0["ip"].stringValue }
        return all.isEmpty ? [pod["status"]["podIP"].stringValue].compactMap { $0 } : all
    }

    private func endpoint(_ pod: JSON, _ address: String, _ publishesUnready: Bool) -> JSON {
        let state = PodState(pod)
        let serving = state.isReady
        var endpoint: JSON = [
            "addresses": .array([.string(address)]),
            "conditions": [
                "ready": .bool(publishesUnready || (serving && !state.isTerminating)), "serving": .bool(serving),
                "terminating": .bool(state.isTerminating),
            ],
            "targetRef": [
                "kind": "Pod", "namespace": .string(pod.namespace), "name": .string(pod.name), "uid": .string(pod.uid),
            ],
        ]
        if !state.nodeName.isEmpty {
            endpoint["nodeName"] = .string(state.nodeName)
            let zone = zone(state.nodeName)
            if let zone { endpoint["zone"] = .string(zone) }
            if endpoint["conditions"]["ready"] == true, let hints = hints(node: state.nodeName, zone: zone) {
                endpoint["hints"] = hints
            }
        }
        let hostname = pod["spec"]["hostname"].stringValue ?? ""
        let subdomain = pod["spec"]["subdomain"].stringValue ?? ""
        if !hostname.isEmpty && subdomain == service.name { endpoint["hostname"] = .string(hostname) }
        return endpoint
    }

    /// Whose clients should get an endpoint, where the Service wants traffic to stay near.
    private func hints(node: String, zone: String?) -> JSON? {
        var hints: JSON = [:]
        let zones: JSON? = zone.map { [["name": .string($0)]] }
        switch service["spec"]["trafficDistribution"].stringValue {
        case "PreferSameNode":
            hints["forNodes"] = [["name": .string(node)]]
            if let zones { hints["forZones"] = zones }
        case "PreferSameZone", "PreferClose":
            if let zones { hints["forZones"] = zones }
        default: break
        }
        return hints.isEmpty ? nil : hints
    }

    /// The Service's ports with the numbers that they have in this pod; a named port that the pod lacks is left out.
    private func resolvedPorts(_ pod: JSON) -> [JSON] {
        service["spec"]["ports"].arrayValue.compactMap { port in
            let transport = port["protocol"].stringValue ?? "TCP"
            let target = port["targetPort"].exists ? port["targetPort"] : port["port"]
            var number = target.integerValue
            if let name = target.stringValue {
                number = Int64(name) ?? EndpointPlan.containerPort(pod, name: name, transport: transport)
            }
            guard let number else { return nil }
            var resolved: JSON = [
                "name": .string(port["name"].stringValue ?? ""), "protocol": .string(transport),
                "port": .integer(number),
            ]
            if port["appProtocol"].exists { resolved["appProtocol"] = port["appProtocol"] }
            return resolved
        }
    }

    private static func containerPort(_ pod: JSON, name: String, transport: String) -> Int64? {
        let sidecars = pod["spec"]["initContainers"].arrayValue.filter { $0["restartPolicy"].stringValue == "Always" }
        for container in pod["spec"]["containers"].arrayValue + sidecars {
            for port in container["ports"].arrayValue
            where port["name"].stringValue == name && (port["protocol"].stringValue ?? "TCP") == transport {
                return port["containerPort"].integerValue
            }
        }
        return nil
    }

    // MARK: EndpointSlices

    struct SliceChanges {
        var create: [JSON] = []
        var update: [JSON] = []
        var delete: [JSON] = []
        var isEmpty: Bool { create.isEmpty && update.isEmpty && delete.isEmpty }
    }

    /// What turns the existing slices into the wanted ones, with as few writes as keep endpoints where they are.
    func sliceChanges(existing: [JSON]) -> SliceChanges {
        var changes = SliceChanges()
        var wanted = groups
        if wanted.isEmpty {
            // A Service without pods shows that by one slice without endpoints.
            let family = service["spec"]["ipFamilies"][0].stringValue ?? "IPv4"
            wanted[Group(addressType: family, ports: [])] = []
        }
        var free = existing.sorted { $0.name < $1.name }
        for (group, endpoints) in wanted.sorted(by: { EndpointPlan.order($0.key) < EndpointPlan.order($1.key) }) {
            let same = free.filter { EndpointPlan.holds($0, group) }
            free.removeAll { EndpointPlan.holds($0, group) }
            fill(same, with: endpoints, group, &changes, reusing: &free)
        }
        changes.delete += free
        return changes
    }

    private static func order(_ group: Group) -> String {
        group.addressType + JSON.array(group.ports).serializedString()
    }

    private static func holds(_ slice: JSON, _ group: Group) -> Bool {
        slice["addressType"].stringValue == group.addressType && slice["ports"].arrayValue == group.ports
    }

    private func fill(
        _ slices: [JSON], with endpoints: [JSON], _ group: Group, _ changes: inout SliceChanges,
        reusing free: inout [JSON]
    ) {
        var missing: [String: JSON] = [:]
        for endpoint in endpoints { missing[EndpointPlan.identity(endpoint)] = endpoint }
        var contents = slices.map { slice in
            slice["endpoints"].arrayValue.compactMap { missing.removeValue(forKey: EndpointPlan.identity($0)) }
        }
        var rest = endpoints.filter { missing[EndpointPlan.identity($0)] != nil }
        for index in contents.indices where !rest.isEmpty {
            let room = max(0, EndpointPlan.sliceLimit - contents[index].count)
            contents[index] += rest.prefix(room)
            rest.removeFirst(min(room, rest.count))
        }
        var kept = 0
        for (slice, content) in zip(slices, contents) {
            if content.isEmpty && (!endpoints.isEmpty || kept > 0) {
                changes.delete.append(slice)
                continue
            }
            kept += 1
            let changed = make(slice, group, content)
            if changed != slice { changes.update.append(changed) }
        }
        while !rest.isEmpty || (endpoints.isEmpty && kept == 0) {
            kept += 1
            let content = Array(rest.prefix(EndpointPlan.sliceLimit))
            rest.removeFirst(content.count)
            if let index = free.firstIndex(where: { $0["addressType"].stringValue == group.addressType }) {
                changes.update.append(make(free.remove(at: index), group, content))
            } else {
                changes.create.append(make(nil, group, content))
            }
        }
    }

    static func identity(_ endpoint: JSON) -> String {
        "\(endpoint["addresses"][0].stringValue ?? "")/\(endpoint["targetRef"]["uid"].stringValue ?? "")"
    }

    private func make(_ slice: JSON?, _ group: Group, _ endpoints: [JSON]) -> JSON {
        var labels: JSON = service.labels.exists ? service.labels : [:]
        labels[EndpointPlan.serviceLabel] = .string(service.name)
        labels[EndpointPlan.managedByLabel] = .string(EndpointPlan.manager)
        if service["spec"]["clusterIP"].stringValue == "None" { labels[EndpointPlan.headlessLabel] = "" }
        var object =
            slice ?? [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": [
                    "generateName": .string(service.name + "-"), "namespace": .string(service.namespace),
                    "ownerReferences": .array([ControllerReference(.services, service).json]),
                ],
            ]
        object["metadata"]["labels"] = labels
        object["addressType"] = .string(group.addressType)
        object["ports"] = .array(group.ports)
        object["endpoints"] = .array(endpoints)
        return object
    }

    // MARK: Endpoints

    /// The subsets of the legacy Endpoints object: addresses of one family that share their ports.
    var subsets: [JSON] {
        let family = service["spec"]["ipFamilies"][0].stringValue ?? "IPv4"
        var left = EndpointPlan.endpointsLimit
        var subsets: [JSON] = []
        for (group, endpoints) in groups.sorted(by: { EndpointPlan.order($0.key) < EndpointPlan.order($1.key) })
        where group.addressType == family {
            var subset: JSON = [:]
            for (member, isReady) in [("addresses", true), ("notReadyAddresses", false)] {
                let chosen = endpoints.filter { endpoint in
                    let conditions = endpoint["conditions"]
                    if conditions["ready"].boolValue == true { return isReady }
                    return !isReady && conditions["terminating"].boolValue != true
                }.prefix(left)
                left -= chosen.count
                if !chosen.isEmpty { subset[member] = .array(chosen.map(EndpointPlan.address)) }
            }
            if subset.count == 0 { continue }
            if !group.ports.isEmpty { subset["ports"] = .array(group.ports.map(EndpointPlan.withoutEmptyName)) }
            subsets.append(subset)
        }
        return subsets
    }

    private static func withoutEmptyName(_ port: JSON) -> JSON {
        var port = port
        if port["name"].stringValue == "" { port.removeValue(forKey: "name") }
        return port
    }

    private static func address(_ endpoint: JSON) -> JSON {
        var address: JSON = ["ip": endpoint["addresses"][0]]
        for member in ["hostname", "nodeName", "targetRef"] where endpoint[member].exists {
            address[member] = endpoint[member]
        }
        return address
    }
}
