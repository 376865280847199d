import Objects

/// Rules of a pod's names, of how it finds others, and of its ports on the node.
enum PodNetworkValidation {
    static func pod(_ spec: JSON, _ errors: inout [FieldError]) {
        hostPorts(spec, &errors)
        dns(spec, &errors)
        hostname(spec, &errors)
        for (index, alias) in spec["hostAliases"].arrayValue.enumerated() {
            let address = alias["ip"].stringValue ?? ""
            errors += IPSyntax.addressComplaints(address).map {
                .invalid("hostAliases[\(index)].ip", .string(address), $0)
            }
            for (position, name) in alias["hostnames"].arrayValue.enumerated() {
                errors += NameChecks.dns1123Subdomain(name.stringValue ?? "").map {
                    .invalid("hostAliases[\(index)].hostnames[\(position)]", name, $0)
                }
            }
        }
    }

    // MARK: - Ports of the node

    private static func hostPorts(_ spec: JSON, _ errors: inout [FieldError]) {
        var seen: Set<String> = []
        for (index, container) in spec["containers"].arrayValue.enumerated() {
            check(container, at: "containers[\(index)]", &seen, &errors)
            guard spec["hostNetwork"].boolValue == true else { continue }
            for (position, port) in container["ports"].arrayValue.enumerated() {
                guard let number = port["hostPort"].integerValue, number != 0, port["containerPort"] != port["hostPort"]
                else { continue }
                errors.append(
                    .invalid(
                        "containers[\(index)].ports[\(position)].hostPort", port["hostPort"],
                        "must match `containerPort` when `hostNetwork` is true"))
            }
        }
        // Init containers run one after another; Kubernetes gives them all the place of the first.
        for container in spec["initContainers"].arrayValue {
            var own: Set<String> = []
            check(container, at: "initContainers[0]", &own, &errors)
        }
    }

    private static func check(
        _ container: JSON, at place: @autoclosure () -> String, _ seen: inout Set<String>, _ errors: inout [FieldError]
    ) {
        for (index, port) in container["ports"].arrayValue.enumerated() {
            guard let number = port["hostPort"].integerValue, number != 0 else { continue }
            let key = "\(port["protocol"].stringValue ?? "TCP")/\(port["hostIP"].stringValue ?? "")/\(number)"
            if !seen.insert(key).inserted {
                errors.append(.duplicate("\(place()).ports[\(index)].hostPort", .string(key)))
            }
        }
    }

    // MARK: - Names

    private static let mostServers = 3
    private static let mostSearchPaths = 32
    private static let longestSearchList = 2048

    private static func dns(_ spec: JSON, _ errors: inout [FieldError]) {
        let config = spec["dnsConfig"]
        let servers = config["nameservers"].arrayValue
        if spec["dnsPolicy"] == "None", servers.isEmpty {
            return errors.append(
                config.isNull
                    ? .required("dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
                    : .required(
                        "dnsConfig.nameservers",
                        "must provide at least one DNS nameserver when `dnsPolicy` is None"))
        }
        if servers.count > mostServers {
            errors.append(
                .invalid("dnsConfig.nameservers", config["nameservers"], "must not have more than 3 nameservers"))
        }
        for (index, server) in servers.enumerated() {
            errors += IPSyntax.addressComplaints(server.stringValue ?? "").map {
                .invalid("dnsConfig.nameservers[\(index)]", server, $0)
            }
        }
        let searches = config["searches"].arrayValue.map { $0.stringValue ?? "" }
        if searches.count > mostSearchPaths {
            errors.append(
                .invalid("dnsConfig.searches", config["searches"], "must not have more than 32 search paths"))
        }
        if searches.reduce(searches.count - 1, { $0 + $1.utf8.count }) > longestSearchList {
            errors.append(
                .invalid(
                    "dnsConfig.searches", config["searches"],
                    "must not have more than 2048 characters (including spaces) in the search list"))
        }
        for (index, path) in searches.enumerated() where path != "." {
            let path = path.hasSuffix(".") ? String(path.dropLast()) : path
            errors += NameChecks.dns1123SubdomainWithUnderscore(path).map {
                .invalid("dnsConfig.searches[\(index)]", .string(path), $0)
            }
        }
        for (index, option) in config["options"].arrayValue.enumerated() where option["name"].isEmpty {
            errors.append(.required("dnsConfig.options[\(index)]", "must not be empty"))
        }
    }

    private static let longestHostname = 64

    /// A name that stands for all others a pod's host may have.
    private static func hostname(_ spec: JSON, _ errors: inout [FieldError]) {
        guard let name = spec["hostnameOverride"].stringValue else { return }
        errors += NameChecks.dns1123Subdomain(name).map { .invalid("hostnameOverride", .string(name), $0) }
        if name.utf8.count > longestHostname {
            errors.append(
                .invalid("hostnameOverride", .string(name), "must be no more than \(longestHostname) bytes"))
        }
        if spec["hostNetwork"].boolValue == true {
            errors.append(.forbidden("hostnameOverride", "may not be specified when 'hostNetwork' is true"))
        }
        if spec["setHostnameAsFQDN"].boolValue == true {
            errors.append(.forbidden("hostnameOverride", "may not be specified when 'setHostnameAsFQDN' is true"))
        }
    }
}
