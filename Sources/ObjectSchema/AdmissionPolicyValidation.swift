import Objects

/// Rules of admission policies and their bindings, but for the syntax of their expressions, which is checked where they are
/// compiled.
/// See https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
enum AdmissionPolicyValidation {
    private static let annotationLimit = 20
    private static let longestAnnotation = 5_120

    // MARK: - Policies

    static func validating(_ object: JSON, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        common(spec, &errors)
        let (validations, annotations) = (spec["validations"].arrayValue, spec["auditAnnotations"].arrayValue)
        if validations.isEmpty, annotations.isEmpty {
            let detail = "validations or auditAnnotations must contain at least one item"
            errors += [.required("spec.validations", detail), .required("spec.auditAnnotations", detail)]
        }
        for (index, validation) in validations.enumerated() {
            check(validation: validation, "spec.validations[\(index)]", &errors)
        }
        if annotations.count > annotationLimit {
            errors.append(
                .invalid(
                    "spec.auditAnnotations", spec["auditAnnotations"],
                    "must not have more than \(annotationLimit) auditAnnotations"))
        }
        for (index, annotation) in annotations.enumerated() {
            let place = "spec.auditAnnotations[\(index)]"
            check(annotation: annotation, of: object.name, place, &errors)
            if annotations[..<index].contains(where: { $0["key"] == annotation["key"] }) {
                errors.append(.duplicate("\(place).key", annotation["key"]))
            }
        }
    }

    static func mutating(_ object: JSON, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        common(spec, &errors)
        mutableOperations(spec["matchConstraints"], "spec.matchConstraints", &errors)
        let mutations = spec["mutations"].arrayValue
        if mutations.isEmpty {
            errors.append(.required("spec.mutations", "mutations must contain at least one item"))
        }
        for (index, mutation) in mutations.enumerated() {
            check(mutation: mutation, "spec.mutations[\(index)]", &errors)
        }
        let policies = ["IfNeeded", "Never"]
        let policy = spec["reinvocationPolicy"].stringValue ?? ""
        if policy.isEmpty {
            errors.append(.required("spec.reinvocationPolicy"))
        } else if !policies.contains(policy) {
            errors.append(.notSupported("spec.reinvocationPolicy", .string(policy), policies))
        }
    }

    private static func common(_ spec: JSON, _ errors: inout [FieldError]) {
        let policies = ["Fail", "Ignore"]
        if let policy = spec["failurePolicy"].stringValue, !policies.contains(policy) {
            errors.append(.notSupported("spec.failurePolicy", .string(policy), policies))
        }
        if spec["paramKind"].exists { check(kind: spec["paramKind"], "spec.paramKind", &errors) }
        let constraints = spec["matchConstraints"]
        if constraints.isNull {
            errors.append(.required("spec.matchConstraints"))
        } else {
            AdmissionRuleValidation.check(match: constraints, "spec.matchConstraints", &errors)
            if constraints["resourceRules"].isEmpty { errors.append(.required("spec.matchConstraints.resourceRules")) }
        }
        AdmissionRuleValidation.check(conditions: spec["matchConditions"], "spec.matchConditions", &errors)
        for (index, variable) in spec["variables"].arrayValue.enumerated() {
            check(variable: variable, "spec.variables[\(index)]", &errors)
        }
    }

    private static func check(kind: JSON, _ place: String, _ errors: inout [FieldError]) {
        let version = kind["apiVersion"].stringValue ?? ""
        let parts = version.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        func complain(_ complaints: [String]) {
            guard !complaints.isEmpty else { return }
            errors.append(.invalid("\(place).apiVersion", .string(version), complaints.joined(separator: ",")))
        }
        if version.isEmpty {
            errors.append(.required("\(place).apiVersion"))
        } else if parts.count > 2 {
            complain(["unexpected GroupVersion string: \(version)"])
        } else {
            if parts.count == 2, !parts[0].isEmpty { complain(NameChecks.dns1123Subdomain(parts[0])) }
            let last = parts[parts.count - 1]
            complain(last.isEmpty ? ["version must be specified"] : NameChecks.dns1035Label(last))
        }
        let name = kind["kind"].stringValue ?? ""
        if name.isEmpty { return errors.append(.required("\(place).kind")) }
        let complaints = NameChecks.dns1035Label(name.lowercased())
        guard !complaints.isEmpty else { return }
        errors.append(
            .invalid(
                "\(place).kind", .string(name),
                "may have mixed case, but should otherwise match: " + complaints.joined(separator: ",")))
    }

    private static let reserved: Set = [
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    ]

    private static func check(variable: JSON, _ place: String, _ errors: inout [FieldError]) {
        let name = variable["name"].stringValue ?? ""
        let bytes = name.utf8
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "_") }
        let isIdentifier =
            bytes.first.map(isLetter) == true
            && bytes.allSatisfy { isLetter($0) || $0 &- UInt8(ascii: "0") < 10 } && !reserved.contains(name)
        if name.trimmingWhitespace().isEmpty {
            errors.append(.required("\(place).name", "name is not specified"))
        } else if !isIdentifier {
            errors.append(.invalid("\(place).name", .string(name), "name is not a valid CEL identifier"))
        }
        if isBlank(variable["expression"]) {
            errors.append(.required("\(place).expression", "expression is not specified"))
        }
    }

    private static func isBlank(_ text: JSON) -> Bool { (text.stringValue ?? "").trimmingWhitespace().isEmpty }

    private static func check(validation: JSON, _ place: String, _ errors: inout [FieldError]) {
        if isBlank(validation["expression"]) {
            errors.append(.required("\(place).expression", "expression is not specified"))
        }
        if !validation["messageExpression"].isEmpty, isBlank(validation["messageExpression"]) {
            errors.append(.required("\(place).messageExpression", "must be non-empty if specified"))
        }
        let message = validation["message"].stringValue ?? ""
        let trimmed = message.trimmingWhitespace()
        if !message.isEmpty, trimmed.isEmpty {
            errors.append(.required("\(place).message", "message must be non-empty if specified"))
        } else if trimmed.contains(where: \.isNewline) {
            errors.append(.invalid("\(place).message", validation["message"], "message must not contain line breaks"))
        }
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"]
        if let reason = validation["reason"].stringValue, !reason.isEmpty, !reasons.contains(reason) {
            errors.append(.notSupported("\(place).reason", .string(reason), reasons))
        }
    }

    private static func check(
        annotation: JSON, of name: String, _ place: String, _ errors: inout [FieldError]
    ) {
        let key = annotation["key"]
        if name.isEmpty {
            errors.append(.invalid("\(place).key", key, "requires metadata.name be non-empty"))
        } else {
            let full = "\(name)/\(key.stringValue ?? "")"
            errors += NameChecks.qualifiedName(full).map { .invalid("\(place).key", .string(full), $0) }
        }
        let expression = (annotation["valueExpression"].stringValue ?? "").trimmingWhitespace()
        if expression.isEmpty {
            errors.append(.required("\(place).valueExpression", "valueExpression is not specified"))
        } else if expression.utf8.count > longestAnnotation {
            errors.append(
                .required("\(place).valueExpression", "must not exceed \(longestAnnotation) bytes in length"))
        }
    }

    private static func check(mutation: JSON, _ place: String, _ errors: inout [FieldError]) {
        let fields = ["ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"]
        let type = mutation["patchType"].stringValue ?? ""
        if type.isEmpty { return errors.append(.required("\(place).patchType")) }
        guard let field = fields[type] else {
            return errors.append(
                .notSupported("\(place).patchType", .string(type), ["ApplyConfiguration", "JSONPatch"]))
        }
        if mutation[field].isNull {
            errors.append(.required("\(place).\(field)", "must be specified when patchType is \(type)"))
        } else if isBlank(mutation[field]["expression"]) {
            errors.append(.required("\(place).\(field).expression", "expression is not specified"))
        }
        for other in fields.values where other != field && mutation[other].exists {
            errors.append(
                .invalid("\(place).\(other)", mutation[other], "must not be specified when patchType is \(type)"))
        }
    }

    /// Nothing can be changed of what is deleted.
    private static func mutableOperations(_ match: JSON, _ place: String, _ errors: inout [FieldError]) {
        let allowed = ["*", "CONNECT", "CREATE", "UPDATE"]
        for rule in match["resourceRules"].arrayValue {
            for operation in rule["operations"].arrayValue where !allowed.contains(operation.stringValue ?? "") {
                errors.append(.notSupported("\(place).resourceRules.operations", operation, allowed))
            }
        }
    }

    // MARK: - Bindings

    static func binding(_ object: JSON, isMutation: Bool, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        let name = spec["policyName"].stringValue ?? ""
        if name.isEmpty {
            errors.append(.required("spec.policyName"))
        } else {
            errors += NameChecks.dns1123Subdomain(name).map { .invalid("spec.policyName", .string(name), $0) }
        }
        if spec["paramRef"].exists { check(reference: spec["paramRef"], "spec.paramRef", &errors) }
        AdmissionRuleValidation.check(match: spec["matchResources"], "spec.matchResources", &errors)
        if isMutation {
            mutableOperations(spec["matchResources"], "spec.matchResources", &errors)
        } else {
            check(actions: spec["validationActions"], "spec.validationActions", &errors)
        }
    }

    private static func check(reference: JSON, _ place: String, _ errors: inout [FieldError]) {
        let name = reference["name"].stringValue ?? ""
        let hasSelector = reference["selector"].exists
        errors += NameChecks.pathSegment(name).map { .invalid("\(place).name", .string(name), $0) }
        if !name.isEmpty, hasSelector {
            errors += ["name", "selector"].map {
                .forbidden("\(place).\($0)", "name and selector are mutually exclusive")
            }
        } else if name.isEmpty, !hasSelector {
            errors.append(.required(place, "one of name or selector must be specified"))
        }
        let action = reference["parameterNotFoundAction"].stringValue ?? ""
        if action.isEmpty {
            errors.append(.required("\(place).parameterNotFoundAction"))
        } else if !["Deny", "Allow"].contains(action) {
            errors.append(
                .notSupported("\(place).parameterNotFoundAction", .string(action), ["Deny", "Allow"]))
        }
    }

    private static func check(actions: JSON, _ place: String, _ errors: inout [FieldError]) {
        let known = ["Audit", "Deny", "Warn"]
        let names = actions.arrayValue.compactMap(\.stringValue)
        if names.isEmpty { errors.append(.required(place, "at least one validation action is required")) }
        for (index, name) in names.enumerated() {
            if !known.contains(name) {
                errors.append(.notSupported("\(place)[\(index)]", .string(name), known))
            }
            if names[..<index].contains(name) { errors.append(.duplicate("\(place)[\(index)]", .string(name))) }
        }
        if names.contains("Deny"), names.contains("Warn") {
            errors.append(
                .invalid(
                    place, actions,
                    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
                ))
        }
    }
}
