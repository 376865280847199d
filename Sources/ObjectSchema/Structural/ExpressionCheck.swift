import CEL
import Objects

/// Judges the rules of a schema when it is written: their text, their types, and what they may cost.
struct ExpressionCheck {
    private(set) var errors: [FieldError] = []
    private var total: UInt64 = 0
    /// The places of the few rules that cost most, and their costs, which fall.
    private var expensive: [(path: String, cost: UInt64)] = []
    private static let expensiveLimit = 4

    /// How often a part of a schema can occur in an object, and whether what was there before can be told.
    private struct Place {
        var count: UInt64 = 1
        /// The list whose elements have nothing that tells them apart, or the object that is one whole.
        var uncorrelated: String?
    }

    /// The schema is structural.
    static func errors(in schema: JSON, at path: String) -> [FieldError] {
        guard contains(schema) else { return [] }
        var check = ExpressionCheck()
        check.check(schema, path, Place(), isRoot: true)
        if check.total > CELCost.estimatedPerSchema {
            for (path, _) in check.expensive {
                check.errors.append(
                    .forbidden(
                        path,
                        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"))
            }
            check.errors.append(
                .forbidden(
                    path,
                    "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of \(factor(check.total, CELCost.estimatedPerSchema)) (\(remedy))"
                ))
        }
        return check.errors
    }

    private static func contains(_ schema: JSON) -> Bool {
        if !schema["x-kubernetes-validations"].isEmpty { return true }
        for (_, member) in schema["properties"].objectValue ?? [:] where contains(member) { return true }
        return ["items", "additionalProperties"].contains { schema[$0].objectValue != nil && contains(schema[$0]) }
    }

    private static let remedy =
        "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared"

    /// "more than 100x", or "2.5x", or "1.234567x" where that is near 1.
    private static func factor(_ cost: UInt64, _ limit: UInt64) -> String {
        let factor = Double(cost) / Double(limit)
        if factor > 100 { return "more than 100x" }
        let (scale, digits) = factor < 1.5 ? (1_000_000, 6) : (10, 1)
        let scaled = Int((factor * Double(scale)).rounded(.toNearestOrEven))
        let fraction = String(scaled % scale)
        return "\(scaled / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)x"
    }

    private mutating func check(_ schema: JSON, _ path: String, _ place: Place, isRoot: Bool = false) {
        let isEmbedded = schema["x-kubernetes-embedded-resource"].boolValue == true
        let rules = schema["x-kubernetes-validations"].arrayValue
        if !rules.isEmpty {
            let own = "\(path).x-kubernetes-validations"
            if let types = ExpressionTypes(schema, isResourceRoot: isRoot || isEmbedded) {
                for (index, rule) in rules.enumerated() { check(rule, "\(own)[\(index)]", types, place) }
            } else {
                errors.append(.invalid(own, .array(rules), "must stand at a value whose type is known"))
            }
        }
        var inner = place
        if schema["x-kubernetes-map-type"] == "atomic", inner.uncorrelated == nil { inner.uncorrelated = path }
        for (name, member) in schema["properties"].objectValue ?? [:]
        where !(name == "metadata" && (isRoot || isEmbedded)) {
            check(member, "\(path).properties[\(name)]", inner)
        }
        for key in ["items", "additionalProperties"] where schema[key].objectValue != nil {
            var inner = place
            let most = CELSchema(openAPI: schema)?.maximumSize ?? UInt64(3 << 20)
            inner.count =
                place.count.multipliedReportingOverflow(by: max(most, 1)).overflow ? .max : place.count * max(most, 1)
            if key == "items", schema["x-kubernetes-list-type"] != "map", inner.uncorrelated == nil {
                inner.uncorrelated = path
            }
            check(schema[key], "\(path).\(key)", inner)
        }
    }

    private mutating func check(_ rule: JSON, _ path: String, _ types: ExpressionTypes, _ place: Place) {
        let before = errors.count
        checkTexts(rule, path)
        guard errors.count == before else { return }
        let compiled: ExpressionRule
        do { compiled = try ExpressionRule(rule, types) } catch {
            errors.append(.invalid("\(path).\(error.field)", error.value, error.detail))
            return
        }
        if rule["optionalOldSelf"].exists, !compiled.isTransition {
            errors.append(
                .invalid(
                    "\(path).optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule")
            )
        }
        if compiled.isTransition, let list = place.uncorrelated {
            errors.append(
                .invalid(
                    "\(path).rule", rule["rule"],
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within \(list)"))
        }
        checkCost(compiled.program, "rule", "\(path).rule", place)
        if let program = compiled.messageProgram {
            checkCost(program, "messageExpression", "\(path).messageExpression", place)
        }
    }

    private mutating func checkCost(_ program: CELProgram, _ name: String, _ path: String, _ place: Place) {
        let cost = program.estimatedCost().multiplied(by: place.count).maximum
        total = total.addingReportingOverflow(cost).overflow ? .max : total + cost
        if cost > 0 {
            let index = expensive.firstIndex { $0.cost < cost } ?? expensive.count
            expensive.insert((path, cost), at: index)
            if expensive.count > Self.expensiveLimit { expensive.removeLast() }
        }
        guard cost > CELCost.estimatedPerRule else { return }
        errors.append(
            .forbidden(
                path,
                "estimated \(name) cost exceeds budget by factor of \(Self.factor(cost, CELCost.estimatedPerRule)) (\(Self.remedy))"
            ))
    }

    private static let reasons = [
        "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired",
    ]

    private mutating func checkTexts(_ rule: JSON, _ path: String) {
        func isBlank(_ text: String) -> Bool { text.allSatisfy(\.isWhitespace) }
        let text = rule["rule"].stringValue ?? ""
        if isBlank(text) { errors.append(.required("\(path).rule", "rule is not specified")) }
        if let message = rule["message"].stringValue {
            if isBlank(message) {
                errors.append(.invalid("\(path).message", .string(message), "message must be non-empty if specified"))
            } else if message.contains(where: \.isNewline) {
                errors.append(.invalid("\(path).message", .string(message), "message must not contain line breaks"))
            } else if message.utf8.count > 2048 {
                errors.append(
                    .invalid("\(path).message", .string(message), "message must have a maximum length of 2048"))
            }
        } else if rule["messageExpression"].isNull, text.contains(where: \.isNewline), !isBlank(text) {
            errors.append(
                .required("\(path).message", "message must be specified if rule contains line breaks"))
        }
        if let expression = rule["messageExpression"].stringValue, isBlank(expression) {
            errors.append(
                .required("\(path).messageExpression", "messageExpression must be non-empty if specified"))
        }
        if let reason = rule["reason"].stringValue, !Self.reasons.contains(reason) {
            errors.append(.notSupported("\(path).reason", rule["reason"], Self.reasons))
        }
    }
}
