import Objects

/// Rules of the amounts of resources that containers ask for.
enum ResourceValidation {
    private static let native: Set<String> = ["cpu", "memory", "ephemeral-storage", "storage", "pods"]

    static func requirements(_ resources: JSON, _ place: String, _ errors: inout [FieldError]) {
        for list in ["limits", "requests"] {
            for (name, value) in resources[list].objectValue ?? [:] {
                let place = "\(place).\(list)[\(name)]"
                checkName(name, place, &errors)
                guard let quantity = Quantity.read(value) else { continue }
                if quantity.isNegative { errors.append(.invalid(place, value, "must be greater than or equal to 0")) }
                if isWholeOnly(name), !quantity.isWhole { errors.append(.invalid(place, value, "must be an integer")) }
            }
        }
        for (name, value) in resources["requests"].objectValue ?? [:] {
            let limit = resources["limits"][name]
            guard let wanted = Quantity.read(value) else { continue }
            guard let most = Quantity.read(limit) else {
                if mustEqualLimit(name) {
                    errors.append(.required("\(place).limits", "Limit must be set for non overcommitable resources"))
                }
                continue
            }
            if mustEqualLimit(name), wanted != most {
                errors.append(.invalid("\(place).requests", value, "must be equal to \(name) limit of \(most)"))
            } else if wanted > most {
                errors.append(
                    .invalid("\(place).requests", value, "must be less than or equal to \(name) limit of \(most)"))
            }
        }
    }

    private static func checkName(_ name: String, _ place: String, _ errors: inout [FieldError]) {
        errors += NameChecks.qualifiedName(name).map { .invalid(place, .string(name), $0) }
        if !name.contains("/"), !native.contains(name), !name.hasPrefix("hugepages-") {
            errors.append(.invalid(place, .string(name), "must be a standard resource type or fully qualified"))
        }
    }

    /// Devices and other extended resources are counted.
    private static func isWholeOnly(_ name: String) -> Bool { name.contains("/") && !name.hasPrefix("kubernetes.io/") }

    private static func mustEqualLimit(_ name: String) -> Bool { isWholeOnly(name) || name.hasPrefix("hugepages-") }
}
