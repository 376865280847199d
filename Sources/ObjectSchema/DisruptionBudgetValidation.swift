import Objects

/// The rule of disruption budgets that relates several fields.
enum DisruptionBudgetValidation {
    static func check(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        if spec["minAvailable"].exists, spec["maxUnavailable"].exists {
            errors.append(.invalid(place, spec, "minAvailable and maxUnavailable cannot be both set"))
        }
    }
}
