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
    /// - Parameter zone: the node's; "" for none.
    static func build(_ service: JSON, slices: [JSON], nodeName: String, zone: String = "") -> JSON? {
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
                port(
                    $0, slices: slices, EndpointChoice(nodeName: nodeName, zone: zone), keepsLocal: keepsLocal)
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

    /// - Parameters:
    ///   - choice: of this node, without endpoints.
    ///   - keepsLocal: whether some clients get endpoints of this node alone.
    private static func port(_ port: JSON, slices: [JSON], _ choice: EndpointChoice, keepsLocal: Bool) -> JSON {
        var choice = choice
        let name = port["name"].stringValue ?? ""
        let transport = port["protocol"].stringValue ?? "TCP"
        var result: JSONObject = ["name": .string(name), "protocol": .string(transport), "port": port["port"]]
        if let nodePort = port["nodePort"].integerValue, nodePort > 0 { result["nodePort"] = .integer(nodePort) }
        for slice in slices where slice["addressType"].stringValue != "FQDN" {
            for target in slice["ports"].arrayValue {
                guard (target["name"].stringValue ?? "") == name,
                    (target["protocol"].stringValue ?? "TCP") == transport, let number = target["port"].integerValue
                else { continue }
                for endpoint in slice["endpoints"].arrayValue { choice.add(endpoint, port: number) }
            }
        }
        result["endpoints"] = .array(choice.endpoints)
        let draining = keepsLocal ? choice.drainingHere : []
        if !draining.isEmpty {
            result["draining"] = .array(draining.map { ["address": $0["address"], "port": $0["port"]] })
        }
        return .object(result)
    }
}
