import Objects

/// Rules of services.
enum ServiceValidation {
    static func service(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let type = spec["type"].stringValue ?? "ClusterIP"
        let ports = spec["ports"].arrayValue
        let isHeadless = spec["clusterIP"] == "None"
        if type == "ExternalName" {
            checkExternalName(spec, place, &errors)
        } else if ports.isEmpty, !isHeadless {
            errors.append(.required("\(place).ports"))
        }
        if isHeadless, type == "NodePort" || type == "LoadBalancer" {
            errors.append(.invalid("\(place).clusterIPs[0]", "None", "may not be set to 'None' for \(type) services"))
        }
        for (index, port) in ports.enumerated() {
            let place = "\(place).ports[\(index)]"
            if ports.count > 1, port["name"].isEmpty { errors.append(.required("\(place).name")) }
            if type == "ClusterIP" || type == "ExternalName", let node = port["nodePort"].integerValue, node != 0 {
                errors.append(.forbidden("\(place).nodePort", "may not be used when `type` is '\(type)'"))
            }
        }
        if let address = spec["clusterIP"].stringValue, !address.isEmpty, address != "None",
            !IPSyntax.isAddress(address)
        {
            errors.append(
                .invalid(
                    "\(place).clusterIPs[0]", .string(address),
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
        }
        if spec["externalTrafficPolicy"].exists, type != "NodePort", type != "LoadBalancer", spec["externalIPs"].isEmpty
        {
            errors.append(
                .invalid(
                    "\(place).externalTrafficPolicy", spec["externalTrafficPolicy"],
                    "may only be set for externally-accessible services"))
        }
        if spec["sessionAffinity"] == "None", spec["sessionAffinityConfig"].exists {
            errors.append(
                .forbidden("\(place).sessionAffinityConfig", "must not be set when session affinity is None"))
        }
    }

    private static func checkExternalName(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        if let address = spec["clusterIP"].stringValue, !address.isEmpty {
            errors.append(.forbidden("\(place).clusterIPs", "may not be set for ExternalName services"))
        }
        guard var name = spec["externalName"].stringValue, !name.isEmpty else {
            errors.append(.required("\(place).externalName"))
            return
        }
        if name.hasSuffix(".") { name.removeLast() }
        errors += NameChecks.dns1123Subdomain(name).map { .invalid("\(place).externalName", spec["externalName"], $0) }
    }
}
