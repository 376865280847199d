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
        if type == "LoadBalancer", let name = spec["loadBalancerClass"].stringValue {
            errors += NameChecks.qualifiedName(name).map {
                .invalid("\(place).loadBalancerClass", .string(name), $0)
            }
        }
        if let address = spec["clusterIP"].stringValue, !address.isEmpty, address != "None" {
            errors += IPSyntax.addressComplaints(address).map {
                .invalid("\(place).clusterIPs[0]", .string(address), $0)
            }
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
        if !spec["externalTrafficPolicy"].isEmpty, !isReachable(spec, type) {
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
        for (index, range) in spec["loadBalancerSourceRanges"].arrayValue.enumerated() {
            let text = trimmed(range.stringValue ?? "")
            errors += IPSyntax.rangeComplaints(text).map {
                .invalid("\(place).LoadBalancerSourceRanges[\(index)]", .string(text), $0)
            }
        }
        if type == "LoadBalancer" { return }
        if !spec["loadBalancerSourceRanges"].isEmpty {
            errors.append(.forbidden("\(place).LoadBalancerSourceRanges", onlyForBalancers))
        }
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] where spec[field].exists {
            errors.append(.forbidden("\(place).\(field)", onlyForBalancers))
        }
    }

    private static let onlyForBalancers = "may only be used when `type` is 'LoadBalancer'"

    private static func trimmed(_ text: String) -> String {
        let start = text.drop { $0.isWhitespace }
        return String(
            start.prefix(
                (start.lastIndex { !$0.isWhitespace }).map {
                    start.distance(from: start.startIndex, to: $0) + 1
                } ?? 0))
    }

    /// Whether a service is reached from outside of the cluster.
    static func isReachable(_ spec: JSON, _ type: String) -> Bool {
        type == "NodePort" || type == "LoadBalancer" || type == "ClusterIP" && !spec["externalIPs"].isEmpty
    }

    private static let hints = "service.kubernetes.io/topology-aware-hints"
    private static let mode = "service.kubernetes.io/topology-mode"
    private static let ranges = "service.beta.kubernetes.io/load-balancer-source-ranges"

    /// Annotations of services that mean something to the server.
    static func annotations(_ service: JSON, _ errors: inout [FieldError]) {
        guard let annotations = service["metadata"]["annotations"].objectValue else { return }
        if let hint = annotations[hints], let value = annotations[mode], hint != value {
            errors.append(
                .invalid(
                    "metadata.annotations[\(mode)]", value,
                    "must match annotations[\(hints)] when both are specified"))
        }
        guard let value = annotations[ranges]?.stringValue, service["spec"]["loadBalancerSourceRanges"].isEmpty else {
            return
        }
        let place = "metadata.annotations[\(ranges)]"
        if service["spec"]["type"] != "LoadBalancer" { errors.append(.forbidden(place, onlyForBalancers)) }
        guard !trimmed(value).isEmpty else { return }
        for part in value.split(separator: ",", omittingEmptySubsequences: false) {
            let text = trimmed(String(part))
            errors += IPSyntax.rangeComplaints(text).map { .invalid(place, .string(text), $0) }
        }
    }

    /// Whether balancers ask a node whether it has endpoints of the service.
    static func hasHealthCheck(_ spec: JSON) -> Bool {
        spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
    }

    private static func checkPorts(_ ports: [JSON], _ type: String, _ place: String, _ errors: inout [FieldError]) {
        var (nodePorts, numbers): (Set<String>, Set<String>) = ([], [])
        for (index, port) in ports.enumerated() {
            let place = "\(place).ports[\(index)]"
            if ports.count > 1, port["name"].isEmpty { errors.append(.required("\(place).name")) }
            let kind = port["protocol"].stringValue ?? "TCP"
            if !numbers.insert("\(kind) \(port["port"].integerValue ?? 0)").inserted {
                // As Kubernetes shows a port of which it knows no more.
                errors.append(
                    .duplicate(
                        place,
                        [
                            "Name": "", "Protocol": .string(kind), "AppProtocol": .null, "Port": port["port"],
                            "TargetPort": 0, "NodePort": 0,
                        ]))
            }
            guard let number = port["nodePort"].integerValue, number != 0 else { continue }
            if type == "ClusterIP" {
                errors.append(.forbidden("\(place).nodePort", "may not be used when `type` is 'ClusterIP'"))
            }
            if !nodePorts.insert("\(port["protocol"].stringValue ?? "TCP") \(number)").inserted {
                errors.append(.duplicate("\(place).nodePort", port["nodePort"]))
            }
        }
    }

    /// Seconds: a day.
    private static let longestAffinity: Int64 = 86400

    private static func checkAffinity(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let config = spec["sessionAffinityConfig"]
        if spec["sessionAffinity"] == "ClientIP" {
            let seconds = config["clientIP"]["timeoutSeconds"].integerValue ?? 0
            if seconds <= 0 || seconds > longestAffinity {
                errors.append(
                    .invalid(
                        "\(place).sessionAffinityConfig.clientIP.timeoutSeconds", .integer(seconds),
                        "must be greater than 0 and less than \(longestAffinity)"))
            }
        }
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
            errors.append(.invalid("spec.clusterIPs[0]", after["clusterIPs"], "may not change once set"))
        }
        if before["type"] == "LoadBalancer", after["type"] == "LoadBalancer",
            before["loadBalancerClass"] != after["loadBalancerClass"]
        {
            errors.append(.invalid("spec.loadBalancerClass", after["loadBalancerClass"], "may not change once set"))
        }
        let port = before["healthCheckNodePort"]
        if hasHealthCheck(before), hasHealthCheck(after), after["healthCheckNodePort"] != port {
            errors.append(.forbidden("spec.healthCheckNodePort", "field is immutable"))
        }
        return errors
    }

    /// Where balancers are reached.
    static func balancers(_ status: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        for (index, ingress) in status["ingress"].arrayValue.enumerated() {
            let place = "status.loadBalancer.ingress[\(index)]"
            if ingress["ip"].isEmpty, ingress["ipMode"].exists {
                errors.append(.forbidden("\(place).ipMode", "may not be specified when `ip` is not set"))
            } else if !ingress["ip"].isEmpty, ingress["ipMode"].isNull {
                errors.append(.required("\(place).ipMode", "must be specified when `ip` is set"))
            }
            if let name = ingress["hostname"].stringValue, IPSyntax.isAddress(name) {
                errors.append(
                    .invalid("\(place).hostname", .string(name), "must be a DNS name, not an IP address"))
            }
        }
        return errors
    }
}
