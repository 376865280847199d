import Objects

/// Turns a Service and its EndpointSlices into what the network routes. Pure.
enum ServiceTranslation {
    /// Marks of services that somebody else routes, and of those that are to be treated as headless ones.
    private static let notRouted = ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"]

    /// The network's Service object; nil for services without a cluster address (headless, ExternalName), and for those
    /// whose labels leave them to others.
    static func build(_ service: JSON, slices: [JSON], nodeName: String) -> JSON? {
        let specification = service["spec"]
        guard specification["type"].stringValue != "ExternalName",
            let address = specification["clusterIP"].stringValue, !address.isEmpty, address != "None",
            !notRouted.contains(where: { service.labels[$0].exists })
        else { return nil }
        var addresses = specification["clusterIPs"].arrayValue.compactMap(\.stringValue)
        if addresses.isEmpty { addresses = [address] }
        let balanced = service["status"]["loadBalancer"]["ingress"].arrayValue.compactMap { $0["ip"].stringValue }
        let external = specification["externalIPs"].arrayValue.compactMap(\.stringValue) + balanced
        var result: JSONObject = [
            "namespace": .string(service.namespace), "name": .string(service.name), "clusterIPs": JSON(addresses),
            "sessionAffinity": specification["sessionAffinity"].exists ? specification["sessionAffinity"] : "None",
        ]
        if !external.isEmpty { result["externalIPs"] = JSON(external) }
        let timeout = specification["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        if timeout.exists { result["affinityTimeoutSeconds"] = timeout }
        for name in ["internalTrafficPolicy", "externalTrafficPolicy"] where specification[name].exists {
            result[name] = specification[name]
        }
        result["ports"] = .array(
            specification["ports"].arrayValue.map { port($0, slices: slices, nodeName: nodeName) })
        return .object(result)
    }

    private static func port(_ port: JSON, slices: [JSON], nodeName: String) -> JSON {
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
        // Pods that end but still serve take over when nothing else is left.
        result["endpoints"] = .array(ready.isEmpty ? draining : ready)
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
