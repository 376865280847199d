import Objects

/// Rules of ServiceCIDRs: one range, or one of each family.
enum ServiceRangeValidation {
    static func check(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let ranges = spec["cidrs"].arrayValue
        let path = "\(place).cidrs"
        if ranges.isEmpty { return errors.append(.required(path, "at least one CIDR required")) }
        if ranges.count > 2 { return errors.append(.invalid(path, spec, "may only hold up to 2 values")) }
        for (index, range) in ranges.enumerated() {
            errors += IPSyntax.rangeComplaints(range.stringValue ?? "").map {
                .invalid("\(path)[\(index)]", range, $0)
            }
        }
        let families = ranges.map { $0.stringValue?.contains(":") ?? false }
        if ranges.count == 2, families[0] == families[1],
            ranges.allSatisfy({ IPSyntax.isRange($0.stringValue ?? "") })
        {
            errors.append(
                .invalid(
                    path, spec["cidrs"],
                    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
        }
    }

    /// A second family can be added, and nothing else changes.
    static func update(from old: JSON, to new: JSON) -> [FieldError] {
        let (before, after) = (old["spec"]["cidrs"].arrayValue, new["spec"]["cidrs"].arrayValue)
        guard before.count == after.count || (before.count == 1 && after.count == 2) else {
            return [.invalid("spec.cidrs", new["spec"]["cidrs"], "field is immutable")]
        }
        return zip(before, after).enumerated().filter { $0.element.0 != $0.element.1 }.map { index, pair in
            .invalid("spec.cidrs[\(index)]", pair.1, "field is immutable")
        }
    }
}
