import Objects

/// Rules of PriorityClasses: high values and names with "system-" are the system's own.
enum PriorityClassValidation {
    private static let highest: Int64 = 1_000_000_000
    private static let own: [String: Int64] = [
        "system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000,
    ]

    static func check(_ object: JSON, _ errors: inout [FieldError]) {
        let value = object["value"].integerValue ?? 0
        guard object.name.hasPrefix("system-") else {
            if value > highest {
                errors.append(
                    .forbidden("value", "maximum allowed value of a user defined priority is \(highest)"))
            }
            return
        }
        let complaint: String
        if let wanted = own[object.name] {
            if value != wanted {
                complaint = "value of \(object.name) PriorityClass must be \(wanted)"
            } else if object["globalDefault"].boolValue == true {
                complaint = "globalDefault of \(object.name) PriorityClass must be false"
            } else {
                return
            }
        } else {
            complaint = "\(object.name) is not a known system priority class"
        }
        errors.append(
            .forbidden(
                "metadata.name",
                "priority class names with 'system-' prefix are reserved for system use only. error: \(complaint)"))
    }
}
