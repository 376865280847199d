import CEL
import Objects

/// Refuses policies and webhooks whose expressions do not compile or have a type of no use, and what else of them the schema
/// does not see.
struct ExpressionChecks: AdmissionPlugin {
    /// In Kubernetes the validation of these kinds sees to it; the name is ours.
    let name = "AdmissionExpressions"

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.resource.group == "admissionregistration.k8s.io", request.operation != .delete,
            request.subresource.isEmpty
        else { return }
        let object = request.object
        // What is there already stays, even if it was let through by another version of the server.
        guard object["spec"] != request.old["spec"] || object["webhooks"] != request.old["webhooks"] else { return }
        var causes: [APIStatus.Cause] = []
        switch request.resource.plural {
        case "validatingadmissionpolicies": causes = Self.policy(object, isMutation: false)
        case "mutatingadmissionpolicies": causes = Self.policy(object, isMutation: true)
        case "validatingadmissionpolicybindings": causes = Self.binding(object["spec"], isMutation: false)
        case "mutatingadmissionpolicybindings": causes = Self.binding(object["spec"], isMutation: true)
        case "validatingwebhookconfigurations", "mutatingwebhookconfigurations": causes = Self.webhooks(object)
        default: break
        }
        guard causes.isEmpty else { throw .invalid(request.resource, request.name, causes) }
    }

    // MARK: - Policies

    private static func policy(_ object: JSON, isMutation: Bool) -> [APIStatus.Cause] {
        let spec = object["spec"]
        let policy = AdmissionPolicy(object, isMutation: isMutation)
        var causes: [APIStatus.Cause] = []
        if spec["matchConstraints"].isNull {
            causes.append(.required("spec.matchConstraints"))
        } else if spec["matchConstraints"]["resourceRules"].isEmpty {
            causes.append(.required("spec.matchConstraints.resourceRules"))
        }
        for (index, condition) in policy.conditions.enumerated() {
            causes += check(condition.expression, [.bool], "bool", "spec.matchConditions[\(index)].expression")
        }
        for (index, variable) in policy.variables.enumerated() {
            causes += check(variable.expression, [], "", "spec.variables[\(index)].expression")
        }
        return causes + (isMutation ? mutations(policy, spec) : validations(policy, spec))
    }

    private static func validations(_ policy: AdmissionPolicy, _ spec: JSON) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        if policy.validations.isEmpty, policy.auditAnnotations.isEmpty {
            let detail = "validations or auditAnnotations must contain at least one item"
            causes += [.required("spec.validations", detail), .required("spec.auditAnnotations", detail)]
        }
        for (index, validation) in policy.validations.enumerated() {
            let place = "spec.validations[\(index)]"
            if validation.expression.source.trimmingWhitespace().isEmpty {
                causes.append(.required("\(place).expression", "expression is not specified"))
            } else {
                causes += check(validation.expression, [.bool], "bool", "\(place).expression")
            }
            if let expression = validation.messageExpression {
                causes += check(expression, [.string], "string", "\(place).messageExpression")
            }
            let given = spec["validations"][index]["message"].stringValue ?? ""
            if given.trimmingWhitespace().contains("\n") {
                causes.append(.invalid("\(place).message", .string(given), "message must not contain line breaks"))
            }
            if !["", "Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"].contains(validation.reason) {
                causes.append(
                    .notSupported(
                        "\(place).reason", .string(validation.reason),
                        ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"]))
            }
        }
        for (index, annotation) in policy.auditAnnotations.enumerated() {
            causes += check(
                annotation.expression, [.string, .null], "one of [string null_type]",
                "spec.auditAnnotations[\(index)].valueExpression")
        }
        return causes
    }

    private static func mutations(_ policy: AdmissionPolicy, _ spec: JSON) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        if policy.mutations.isEmpty {
            causes.append(.required("spec.mutations", "mutations must contain at least one item"))
        }
        for (index, mutation) in policy.mutations.enumerated() {
            let place = "spec.mutations[\(index)]"
            let type = spec["mutations"][index]["patchType"]
            guard ["ApplyConfiguration", "JSONPatch"].contains(type.stringValue) else {
                causes.append(.notSupported("\(place).patchType", type, ["ApplyConfiguration", "JSONPatch"]))
                continue
            }
            let field = "\(place).\(mutation.isPatch ? "jsonPatch" : "applyConfiguration").expression"
            if mutation.expression.source.isEmpty {
                causes.append(.required(field, "expression is not specified"))
            } else if mutation.isPatch {
                causes += check(
                    mutation.expression, [.list(.object(MutationTypes.patch)), .list(.dyn)], "list(JSONPatch)", field)
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
        let value = JSON.string(expression.source)
        if let issues = expression.issues { return [.invalid(field, value, "compilation failed: \(issues)")] }
        let type = expression.resultType
        guard wanted.isEmpty || wanted.contains(type) || (type == .dyn && wanted != [.bool]) else {
            return [.invalid(field, value, "must evaluate to \(names)")]
        }
        return []
    }

    // MARK: - Bindings and webhooks

    private static func binding(_ spec: JSON, isMutation: Bool) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        if spec["policyName"].isEmpty { causes.append(.required("spec.policyName")) }
        let reference = spec["paramRef"]
        if reference.exists, reference["name"].isEmpty == reference["selector"].isNull {
            causes.append(.required("spec.paramRef", "one of name or selector must be specified"))
        }
        if isMutation { return causes }
        let actions = spec["validationActions"].arrayValue.compactMap(\.stringValue)
        if actions.isEmpty {
            causes.append(.required("spec.validationActions", "at least one validation action is required"))
        }
        for (index, action) in actions.enumerated() where !["Deny", "Warn", "Audit"].contains(action) {
            causes.append(
                .notSupported("spec.validationActions[\(index)]", .string(action), ["Audit", "Deny", "Warn"]))
        }
        if actions.contains("Deny"), actions.contains("Warn") {
            causes.append(
                .invalid(
                    "spec.validationActions", spec["validationActions"],
                    "must not contain both Deny and Warn (repeating the same validation failure information in the API "
                        + "response and headers serves no purpose)"))
        }
        return causes
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
