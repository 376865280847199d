import Objects

/// Rules of `restartPolicy` and `restartPolicyRules` of single containers.
/// See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restart-rules.
enum ContainerRestartValidation {
    private static let policies = ["Always", "Never", "OnFailure"]
    private static let actions = ["Restart", "RestartAllContainers"]
    private static let operators = ["In", "NotIn"]
    private static let ruleLimit = 20
    private static let valueLimit = 255

    static func check(_ container: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        let rules = container["restartPolicyRules"].arrayValue
        let policy = container["restartPolicy"].stringValue ?? ""
        if !policy.isEmpty, !policies.contains(policy) {
            errors.append(.notSupported("\(place()).restartPolicy", .string(policy), policies))
        }
        guard !rules.isEmpty else { return }
        if policy.isEmpty {
            errors.append(
                .required("\(place()).restartPolicy", "must specify restartPolicy when restart rules are used"))
        }
        if rules.count > ruleLimit {
            errors.append(.tooMany("\(place()).restartPolicyRules", rules.count, limit: ruleLimit))
        }
        for (index, rule) in rules.enumerated() {
            check(rule: rule, "\(place()).restartPolicyRules[\(index)]", &errors)
        }
    }

    private static func check(rule: JSON, _ place: String, _ errors: inout [FieldError]) {
        let action = rule["action"].stringValue ?? ""
        if action.isEmpty {
            errors.append(.required("\(place).action"))
        } else if !actions.contains(action) {
            errors.append(.notSupported("\(place).action", .string(action), actions))
        }
        let codes = rule["exitCodes"]
        guard codes.exists else {
            errors.append(.required("\(place).exitCodes", "must be specified"))
            return
        }
        let relation = codes["operator"].stringValue ?? ""
        if !operators.contains(relation) {
            errors.append(.notSupported("\(place).exitCodes.operator", .string(relation), operators))
        }
        let values = codes["values"].arrayValue
        if values.isEmpty { errors.append(.required("\(place).exitCodes.values", "must specify at least one value")) }
        if values.count > valueLimit {
            errors.append(.tooMany("\(place).exitCodes.values", values.count, limit: valueLimit))
        }
        for (index, value) in values.enumerated() where values[..<index].contains(value) {
            errors.append(.duplicate("\(place).exitCodes.values[\(index)]", value))
        }
    }
}
