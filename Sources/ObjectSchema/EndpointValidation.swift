import Objects

/// Rules of endpoints, in both of their forms, that relate several fields.
enum EndpointValidation {
    static func subset(_ subset: JSON, _ place: String, _ errors: inout [FieldError]) {
        if subset["addresses"].isEmpty, subset["notReadyAddresses"].isEmpty {
            errors.append(.required(place, "must specify `addresses` or `notReadyAddresses`"))
        }
        let ports = subset["ports"].arrayValue
        for (index, port) in ports.enumerated() {
            if ports.count > 1, port["name"].isEmpty { errors.append(.required("\(place).ports[\(index)].name")) }
            guard let name = port["name"].stringValue, !name.isEmpty else { continue }
            errors += NameChecks.dns1123Label(name).map {
                .invalid("\(place).ports[\(index)].name", port["name"], $0)
            }
        }
    }

    /// Addresses are of the family that the slice is for.
    static func slice(_ slice: JSON, _ place: String, _ errors: inout [FieldError]) {
        let type = slice["addressType"].stringValue ?? ""
        for (index, endpoint) in slice["endpoints"].arrayValue.enumerated() {
            for (position, address) in endpoint["addresses"].arrayValue.enumerated() {
                guard let text = address.stringValue else { continue }
                let complaints: [String] =
                    switch type {
                    case "IPv4": IPSyntax.isIPv4(text) ? [] : ["must be a valid IPv4 address"]
                    case "IPv6": IPSyntax.isIPv6(text) ? [] : ["must be a valid IPv6 address"]
                    case "FQDN": NameChecks.dns1123Subdomain(text)
                    default: []
                    }
                errors += complaints.map {
                    .invalid("\(place).endpoints[\(index)].addresses[\(position)]", address, $0)
                }
            }
        }
    }
}
