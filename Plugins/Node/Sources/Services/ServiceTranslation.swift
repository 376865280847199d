import Objects

/// Turns a Service and its EndpointSlices into what the network routes. Pure.
enum ServiceTranslation {
    /// Marks of services that somebody else routes, and of those that are to be treated as headless ones.
    private static let notRouted = ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"]

    /// Whether this node routes a service: not a headless one, no ExternalName, and none that is left to others.
    static func isRouted(_ service: JSON) -> Bool {
        let address = service["spec"]["clusterIP"].stringValue ?? ""
        return service["spec"]["type"].stringValue != "ExternalName" && !address.isEmpty && address != "None"
            && !notRouted.contains { service.labels[$0].exists }
    }

    /// The network's Service object; nil for services that are not routed.
    static func build(_ service: JSON, slices: [JSON], nodeName: String) -> JSON? {
        guard isRouted(service) else { return nil }
        let specification = service["spec"]
        var addresses = specification["clusterIPs"].arrayValue.compactMap(\.stringValue)
        if addresses.isEmpty { addresses = [specification["clusterIP"].stringValue ?? ""] }
        var result: JSONObject = [
            "namespace": .string(service.namespace), "name": .string(service.name), "clusterIPs": JSON(addresses),
            "sessionAffinity": specification["sessionAffinity"].exists ? specification["sessionAffinity"] : "None",
        ]
        addExternalAddresses(of: service, to: &result)
        let timeout = specification["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        if timeout.exists { result["affinityTimeoutSeconds"] = timeout }
        let policies = ["internalTrafficPolicy", "externalTrafficPolicy"]
        for name in policies where specification[name].exists { result[name] = specification[name] }
        let keepsLocal = policies.contains { specification[$0].stringValue == "Local" }
        result["ports"] = .array(
            specification["ports"].arrayValue.map {
                port($0, slices: slices, nodeName: nodeName, keepsLocal: keepsLocal)
            })
        return .object(result)
    }

    /// The balancer's addresses are routed here as well, so that nobody goes out to it and back; not where it says that it
    /// must see the traffic itself (`ipMode: Proxy`). Whom it is to keep out, this node keeps out.
    private static func addExternalAddresses(of service: JSON, to result: inout JSONObject) {
        let specification = service["spec"]
        let balancer = service["status"]["loadBalancer"]["ingress"].arrayValue
            .filter { $0["ipMode"].stringValue != "Proxy" }.compactMap { $0["ip"].stringValue }
        var external = specification["externalIPs"].arrayValue.compactMap(\.stringValue)
        let ranges = specification["loadBalancerSourceRanges"].arrayValue.compactMap(\.stringValue)
            .map { $0.filter { $0 != " " } }.filter { !$0.contains(":") }
        if ranges.isEmpty || ranges.contains("0.0.0.0/0") {
            external += balancer.filter { !external.contains($0) }
        } else if !balancer.isEmpty {
            external.removeAll { balancer.contains($0) }
            result["restrictedIPs"] = JSON(balancer)
            result["sourceRanges"] = JSON(ranges)
        }
        if !external.isEmpty { result["externalIPs"] = JSON(external) }
    }

    /// - Parameter keepsLocal: whether some clients get endpoints of this node alone.
    private static func port(_ port: JSON, slices: [JSON], nodeName: String, keepsLocal: Bool) -> JSON {
        let name = port["name"].stringValue ?? ""
        let transport = port["protocol"].stringValue ?? "TCP"
        var result: JSONObject = ["name": .string(name), "protocol": .string(transport), "port": port["port"]]
        if let nodePort = port["nodePort"].integerValue, nodePort > 0 { result["nodePort"] = .integer(nodePort) }
        var ready: [JSON] = []
        var draining: [JSON] = []
        var seen: Set<String> = []
        for slice in slices where slice["addressType"].stringValue != "FQDN" {
            for target in slice["ports"].arrayValue {
                guard (target["name"].stringValue ?? "") == name,
                    (target["protocol"].stringValue ?? "TCP") == transport, let number = target["port"].integerValue
                else { continue }
                for endpoint in slice["endpoints"].arrayValue {
                    collect(endpoint, number, nodeName, &seen, ready: &ready, draining: &draining)
                }
            }
        }
        // Pods that end but still serve take over when nothing else is left: anywhere, or on this node.
        result["endpoints"] = .array(ready.isEmpty ? draining : ready)
        if keepsLocal, !ready.isEmpty, !ready.contains(where: { $0["local"] == true }) {
            let local = draining.filter { $0["local"] == true }
            if !local.isEmpty {
                result["draining"] = .array(local.map { ["address": $0["address"], "port": $0["port"]] })
            }
        }
        return .object(result)
    }

    private static func collect(
        _ endpoint: JSON, _ port: Int64, _ nodeName: String, _ seen: inout Set<String>, ready: inout [JSON],
        draining: inout [JSON]
    ) {
        let conditions = endpoint["conditions"]
        let isReady = conditions["ready"].boolValue ?? true
        let isDraining = conditions["serving"].boolValue ?? isReady && conditions["terminating"].boolValue == true
        guard isReady || isDraining else { return }
        let node = endpoint["nodeName"].stringValue
        for address in endpoint["addresses"].arrayValue.compactMap(\.stringValue) {
            guard seen.insert("\(address) \(port)").inserted else { continue }
            var entry: JSONObject = ["address": .string(address), "port": .integer(port)]
            if let node { entry["node"] = .string(node) }
            entry["local"] = .bool(node == nodeName)
            if isReady { ready.append(.object(entry)) } else { draining.append(.object(entry)) }
        }
    }
}
