import Objects

/// Rules of endpoints, in both of their forms, that relate several fields.
enum EndpointValidation {
    static func subset(_ subset: JSON, _ place: String, _ errors: inout [FieldError]) {
        if subset["addresses"].isEmpty, subset["notReadyAddresses"].isEmpty {
            errors.append(.required(place, "must specify `addresses` or `notReadyAddresses`"))
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in subset[list].arrayValue.enumerated() {
                self.address(address["ip"], "\(place).\(list)[\(index)].ip", &errors)
            }
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

    /// An address at which something can be reached.
    private static func address(_ address: JSON, _ place: String, _ errors: inout [FieldError]) {
        let text = address.stringValue ?? ""
        if text.isEmpty {
            errors += IPSyntax.addressComplaints("").map { .invalid(place, "", $0) }
            errors.append(.invalid(place, "", "must be a valid IP address"))
        } else if !IPSyntax.isAddress(text) {
            errors.append(.invalid(place, address, "must be a valid IP address"))
        } else if let complaint = IPSyntax.specialUse(of: text) {
            errors.append(.invalid(place, address, complaint))
        }
    }

    /// Addresses are of the family that the slice is for.
    static func slice(_ slice: JSON, _ place: String, _ errors: inout [FieldError]) {
        let type = slice["addressType"].stringValue ?? ""
        for (index, endpoint) in slice["endpoints"].arrayValue.enumerated() {
            for (position, address) in endpoint["addresses"].arrayValue.enumerated() {
                guard let text = address.stringValue else { continue }
                let path = "\(place).endpoints[\(index)].addresses[\(position)]"
                if text.isEmpty, type == "FQDN" { errors.append(.required(path)) }
                errors += complaints(about: text, type).map { .invalid(path, address, $0) }
            }
        }
        var seen: Set<String> = []
        for (index, port) in slice["ports"].arrayValue.enumerated() {
            let name = port["name"].stringValue ?? ""
            if !seen.insert(name).inserted {
                errors.append(.duplicate("\(place).ports[\(index)].name", .string(name)))
            }
        }
    }

    private static func complaints(about address: String, _ type: String) -> [String] {
        switch type {
        case "IPv4": (IPSyntax.isIPv4(address) ? [] : ["must be a valid IPv4 address"]) + special(address)
        case "IPv6": (IPSyntax.isIPv6(address) ? [] : ["must be a valid IPv6 address"]) + special(address)
        case "FQDN": domain(address.hasSuffix(".") ? String(address.dropLast()) : address)
        default: []
        }
    }

    private static func special(_ address: String) -> [String] {
        guard IPSyntax.isAddress(address) else { return ["must be a valid IP address"] }
        return IPSyntax.specialUse(of: address).map { [$0] } ?? []
    }

    private static func domain(_ name: String) -> [String] {
        let complaints = NameChecks.dns1123Subdomain(name)
        let labels = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        return (complaints.isEmpty ? [] : [complaints.joined(separator: ",")])
            + (labels.count < 2 ? ["should be a domain with at least two segments separated by dots"] : [])
            + labels.compactMap { label in
                let complaints = NameChecks.dns1123Label(label)
                return complaints.isEmpty ? nil : complaints.joined(separator: ",")
            }
    }
}
