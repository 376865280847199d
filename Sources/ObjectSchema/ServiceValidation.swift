import Objects

/// Rules of services.
/// See https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/.
enum ServiceValidation {
    static func service(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let type = spec["type"].stringValue ?? "ClusterIP"
        let isHeadless = spec["clusterIP"] == "None"
        if type == "ExternalName" {
            checkExternalName(spec, place, &errors)
        } else if spec["ports"].isEmpty, !isHeadless {
            errors.append(.required("\(place).ports"))
        }
        if isHeadless, type == "NodePort" || type == "LoadBalancer" {
            errors.append(.invalid("\(place).clusterIPs[0]", "None", "may not be set to 'None' for \(type) services"))
        }
        checkPorts(spec["ports"].arrayValue, type, place, &errors)
        if let address = spec["clusterIP"].stringValue, !address.isEmpty, address != "None",
            !IPSyntax.isAddress(address)
        {
            errors.append(
                .invalid(
                    "\(place).clusterIPs[0]", .string(address),
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
        }
        for (index, address) in spec["externalIPs"].arrayValue.enumerated() {
            guard let complaint = address.stringValue.flatMap(IPSyntax.specialUse(of:)) else { continue }
            errors.append(.invalid("\(place).externalIPs[\(index)]", address, complaint))
        }
        checkAffinity(spec, place, &errors)
        checkWayFromOutside(spec, type, place, &errors)
    }

    /// What a type of service does not have, a service of that type does not say.
    private static func checkWayFromOutside(
        _ spec: JSON, _ type: String, _ place: String, _ errors: inout [FieldError]
    ) {
        if spec["externalTrafficPolicy"].exists, type != "NodePort", type != "LoadBalancer", spec["externalIPs"].isEmpty
        {
            errors.append(
                .invalid(
                    "\(place).externalTrafficPolicy", spec["externalTrafficPolicy"],
                    "may only be set for externally-accessible services"))
        }
        if spec["healthCheckNodePort"].integerValue ?? 0 != 0, !hasHealthCheck(spec) {
            errors.append(
                .invalid(
                    "\(place).healthCheckNodePort", spec["healthCheckNodePort"],
                    "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
        }
        guard type != "LoadBalancer" else {
            for (index, port) in spec["ports"].arrayValue.enumerated() where port["port"] == 10250 {
                errors.append(
                    .invalid(
                        "\(place).ports[\(index)].port", port["port"],
                        "may not expose port 10250 externally since it is used by kubelet"))
            }
            return
        }
        for field in ["loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "loadBalancerClass"]
        where !(field == "loadBalancerSourceRanges" ? spec[field].isEmpty : spec[field].isNull) {
            errors.append(.forbidden("\(place).\(field)", "may only be used when `type` is 'LoadBalancer'"))
        }
    }

    /// Whether balancers ask a node whether it has endpoints of the service.
    static func hasHealthCheck(_ spec: JSON) -> Bool {
        spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
    }

    private static func checkPorts(_ ports: [JSON], _ type: String, _ place: String, _ errors: inout [FieldError]) {
        var nodePorts: Set<String> = []
        for (index, port) in ports.enumerated() {
            let place = "\(place).ports[\(index)]"
            if ports.count > 1, port["name"].isEmpty { errors.append(.required("\(place).name")) }
            guard let number = port["nodePort"].integerValue, number != 0 else { continue }
            if type == "ClusterIP" || type == "ExternalName" {
                errors.append(.forbidden("\(place).nodePort", "may not be used when `type` is '\(type)'"))
            }
            if !nodePorts.insert("\(port["protocol"].stringValue ?? "TCP") \(number)").inserted {
                errors.append(.duplicate("\(place).nodePort", port["nodePort"]))
            }
        }
    }

    private static func checkAffinity(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let config = spec["sessionAffinityConfig"]
        if spec["sessionAffinity"] == "None", config.exists {
            errors.append(
                .forbidden("\(place).sessionAffinityConfig", "must not be set when session affinity is None"))
        }
    }

    private static func checkExternalName(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        for (field, shown) in [
            ("clusterIP", "clusterIPs"), ("ipFamilies", "ipFamilies"), ("ipFamilyPolicy", "ipFamilyPolicy"),
        ] where !spec[field].isEmpty {
            errors.append(.forbidden("\(place).\(shown)", "may not be set for ExternalName services"))
        }
        guard var name = spec["externalName"].stringValue, !name.isEmpty else {
            errors.append(.required("\(place).externalName"))
            return
        }
        if name.hasSuffix(".") { name.removeLast() }
        errors += NameChecks.dns1123Subdomain(name).map { .invalid("\(place).externalName", spec["externalName"], $0) }
    }

    /// What does not change while a service is what it is: its address unless it becomes or was an ExternalName, who balances
    /// it, and the port at which its health is asked for.
    static func update(from old: JSON, to new: JSON) -> [FieldError] {
        let (before, after) = (old["spec"], new["spec"])
        var errors: [FieldError] = []
        if before["type"] != "ExternalName", after["type"] != "ExternalName", !before["clusterIP"].isEmpty,
            after["clusterIP"] != before["clusterIP"]
        {
            errors.append(.invalid("spec.clusterIPs[0]", after["clusterIP"], "may not change once set"))
        }
        if before["type"] == "LoadBalancer", after["type"] == "LoadBalancer",
            before["loadBalancerClass"] != after["loadBalancerClass"]
        {
            errors.append(.invalid("spec.loadBalancerClass", after["loadBalancerClass"], "may not change once set"))
        }
        let port = before["healthCheckNodePort"]
        if hasHealthCheck(before), hasHealthCheck(after), port.integerValue ?? 0 != 0,
            after["healthCheckNodePort"] != port
        {
            errors.append(
                .invalid(
                    "spec.healthCheckNodePort", after["healthCheckNodePort"],
                    "cannot change healthCheckNodePort on loadBalancer service with externalTraffic=Local during update"
                ))
        }
        return errors
    }
}
