import Objects

/// Rules of nodes.
enum NodeValidation {
    /// Taints are told of as if they were metadata.
    static func node(_ node: JSON, _ errors: inout [FieldError]) {
        PlacementValidation.taints(node["spec"]["taints"].arrayValue, at: "metadata.taints", &errors)
        amounts(node["status"], &errors)
        ranges(node["spec"]["podCIDRs"], &errors)
    }

    private static func amounts(_ status: JSON, _ errors: inout [FieldError]) {
        for list in ["capacity", "allocatable"] {
            for (name, value) in status[list].objectValue ?? [:] {
                ResourceValidation.amount(name, value, at: "status.\(list).\(name)", &errors)
            }
        }
    }

    private static func ranges(_ list: JSON, _ errors: inout [FieldError]) {
        let ranges = list.arrayValue.map { $0.stringValue ?? "" }
        for (index, range) in ranges.enumerated() {
            errors += IPSyntax.rangeComplaints(range).map {
                .invalid("spec.podCIDRs[\(index)]", .string(range), $0)
            }
        }
        let areRanges = ranges.allSatisfy(IPSyntax.isRange)
        guard ranges.count > 1 else { return }
        let families = Set(ranges.map { $0.contains(":") })
        if !areRanges || families.count != 2 || ranges.count > 2 {
            errors.append(
                .invalid("spec.podCIDRs", list, "may specify no more than one CIDR for each IP family"))
        }
        for (index, range) in ranges.enumerated() where ranges[..<index].contains(range) {
            errors.append(.duplicate("spec.podCIDRs[\(index)]", .string(range)))
        }
    }

    /// What is given to a node once is not given to it again. Holds for statuses as well.
    static func update(from old: JSON, to new: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        var seen: Set<JSON> = []
        for (index, address) in new["status"]["addresses"].arrayValue.enumerated()
        where !seen.insert(address).inserted {
            errors.append(.duplicate("status.addresses[\(index)]", address))
        }
        let (before, after) = (old["spec"], new["spec"])
        let rule = "except from \"\" to valid"
        if !before["podCIDRs"].isEmpty, before["podCIDRs"] != after["podCIDRs"] {
            errors.append(.forbidden("spec.podCIDRs", "node updates may not change podCIDR \(rule)"))
        }
        if !before["providerID"].isEmpty, before["providerID"] != after["providerID"] {
            errors.append(.forbidden("spec.providerID", "node updates may not change providerID \(rule)"))
        }
        if (before["externalID"].stringValue ?? "") != (after["externalID"].stringValue ?? "") {
            errors.append(.forbidden("spec.externalID", "may not be updated"))
        }
        return errors
    }

    static func status(from old: JSON, to new: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        amounts(new["status"], &errors)
        return errors + update(from: old, to: new)
    }
}
