import CEL
import Objects

/// What is wrong with policies and webhooks whose expressions do not compile or have a type of no use; the schema sees to the
/// rest. Pure.
enum ExpressionChecks {
    static let group = "admissionregistration.k8s.io"

    /// - Parameter old: As it was. What is there already stays, even if it was let through by another version of the server.
    static func faults(in object: JSON, from old: JSON? = nil, _ resource: Resource) -> [APIStatus.Cause] {
        if let old, object["spec"] == old["spec"], object["webhooks"] == old["webhooks"] { return [] }
        return switch resource.plural {
        case "validatingadmissionpolicies": policy(object, isMutation: false)
        case "mutatingadmissionpolicies": policy(object, isMutation: true)
        case "validatingwebhookconfigurations", "mutatingwebhookconfigurations": webhooks(object)
        default: []
        }
    }

    private static func policy(_ object: JSON, isMutation: Bool) -> [APIStatus.Cause] {
        let policy = AdmissionPolicy(object, isMutation: isMutation)
        var causes: [APIStatus.Cause] = []
        for (index, condition) in policy.conditions.enumerated() {
            causes += check(condition.expression, [.bool], "bool", "spec.matchConditions[\(index)].expression")
        }
        for (index, variable) in policy.variables.enumerated() {
            causes += check(variable.expression, [], "", "spec.variables[\(index)].expression")
        }
        return causes + (isMutation ? mutations(policy) : validations(policy))
    }

    private static func validations(_ policy: AdmissionPolicy) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        for (index, validation) in policy.validations.enumerated() {
            let place = "spec.validations[\(index)]"
            causes += check(validation.expression, [.bool], "bool", "\(place).expression")
            if let expression = validation.messageExpression {
                causes += check(expression, [.string], "string", "\(place).messageExpression")
            }
        }
        for (index, annotation) in policy.auditAnnotations.enumerated() {
            causes += check(
                annotation.expression, [.string, .null], "one of [string null_type]",
                "spec.auditAnnotations[\(index)].valueExpression")
        }
        return causes
    }

    private static func mutations(_ policy: AdmissionPolicy) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        for (index, mutation) in policy.mutations.enumerated() {
            let field = "spec.mutations[\(index)].\(mutation.isPatch ? "jsonPatch" : "applyConfiguration").expression"
            if mutation.isPatch {
                causes += check(
                    mutation.expression, [.list(.object(MutationTypes.patch))], "list(JSONPatch)", field)
            } else if let object = MutationTypes.named("Object") {
                causes += check(mutation.expression, [.object(object)], "Object", field)
            }
        }
        return causes
    }

    /// - Parameter wanted: Types that the expression may have, and their names in the message; any when empty.
    private static func check(
        _ expression: PolicyExpression, _ wanted: [CELType], _ names: String, _ field: String
    ) -> [APIStatus.Cause] {
        // That there is none is said already.
        guard !expression.source.trimmingWhitespace().isEmpty else { return [] }
        let value = JSON.string(expression.source)
        if let issues = expression.issues { return [.invalid(field, value, "compilation failed: \(issues)")] }
        let type = expression.resultType
        guard wanted.isEmpty || wanted.contains(type) else {
            return [.invalid(field, value, "must evaluate to \(names) but got \(name(of: type))")]
        }
        return []
    }

    /// As CEL names a type by itself.
    private static func name(of type: CELType) -> String {
        switch type {
        case .null, .timestamp, .duration: type.runtimeName
        default: type.description
        }
    }

    private static func webhooks(_ object: JSON) -> [APIStatus.Cause] {
        let environment = PolicyDeclarations.environment()
        var causes: [APIStatus.Cause] = []
        for (index, webhook) in object["webhooks"].arrayValue.enumerated() {
            for (position, condition) in webhook["matchConditions"].arrayValue.enumerated() {
                let expression = PolicyExpression(condition["expression"].stringValue ?? "", environment)
                causes += check(
                    expression, [.bool], "bool", "webhooks[\(index)].matchConditions[\(position)].expression")
            }
        }
        return causes
    }
}
