import CEL
import Objects

/// A rule of `x-kubernetes-validations`, ready to be evaluated.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules.
final class ExpressionRule: Sendable {
    let text: String
    let program: CELProgram
    /// Empty when the rule does not say what to tell.
    let message: String
    let messageProgram: CELProgram?
    let reason: FieldError.Kind
    /// Below the value, such as "spec.replicas"; empty for the value itself.
    let fieldPath: String
    /// Whether it compares with what was before.
    let isTransition: Bool
    /// Whether it is evaluated for new values too, with an `oldSelf` that is then empty.
    let hasOptionalOldSelf: Bool

    /// Throws with the field of the rule that is wrong, and why.
    init(_ rule: JSON, _ types: ExpressionTypes) throws(Problem) {
        text = rule["rule"].stringValue ?? ""
        hasOptionalOldSelf = rule["optionalOldSelf"].boolValue ?? false
        message = rule["message"].stringValue ?? ""
        reason = FieldError.Kind(rawValue: rule["reason"].stringValue ?? "") ?? .invalid
        let environment = types.environment(optionalOldSelf: hasOptionalOldSelf)
        program = try Self.compile(
            text, environment, .bool, "rule", "compilation failed", "cel expression must evaluate to a bool")
        messageProgram = try rule["messageExpression"].stringValue.map { (expression) throws(Problem) in
            try Self.compile(
                expression, environment, .string, "messageExpression", "messageExpression compilation failed",
                "messageExpression must evaluate to a string")
        }
        isTransition = program.reads("oldSelf")
        fieldPath = try Self.fieldPath(rule["fieldPath"], types.openAPI)
    }

    struct Problem: Error {
        var field: String
        var value: JSON
        var detail: String
    }

    private static func compile(
        _ text: String, _ environment: CELEnvironment, _ type: CELType, _ field: String, _ failure: String,
        _ mismatch: String
    ) throws(Problem) -> CELProgram {
        let program: CELProgram
        do throws(CELIssues) { program = try environment.compile(text) } catch {
            throw Problem(field: field, value: .string(text), detail: "\(failure): \(error)")
        }
        guard program.resultType == type || program.resultType == .dyn else {
            throw Problem(field: field, value: .string(text), detail: mismatch)
        }
        return program
    }

    private static func fieldPath(_ given: JSON, _ schema: JSON) throws(Problem) -> String {
        guard let text = given.stringValue, !text.isEmpty else { return "" }
        func problem(_ detail: String) -> Problem {
            Problem(field: "fieldPath", value: given, detail: "fieldPath must be a valid path: \(detail)")
        }
        let names: [String]?
        do throws(JSONPath.ParseError) { names = try JSONPath(parsing: text).memberNames } catch {
            throw problem(error.description)
        }
        guard let names, text.hasPrefix(".") || text.hasPrefix("[") else {
            throw problem("only names of fields and keys of maps can be used")
        }
        var result = ""
        var part = schema
        for name in names {
            let isKey = part["additionalProperties"].objectValue != nil
            part = isKey ? part["additionalProperties"] : part["properties"][name]
            guard part.exists else { throw problem("does not refer to a valid field") }
            result += isKey ? "[\(name)]" : result.isEmpty ? name : ".\(name)"
        }
        return result
    }

    /// What stands for the rule in messages: its own, or its text.
    var shownText: String {
        var text = (message.isEmpty ? text : message)[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}

/// What rules at a part of a schema know: `self`, and `oldSelf`.
struct ExpressionTypes {
    let openAPI: JSON
    let schema: CELSchema
    private let plain: CELEnvironment

    /// Nil for a part whose values expressions cannot see.
    init?(_ schema: JSON, isResourceRoot: Bool) {
        guard let type = CELSchema(openAPI: schema, isResourceRoot: isResourceRoot) else { return nil }
        openAPI = schema
        self.schema = type
        plain = CELEnvironment(variables: [.init("self", type), .init("oldSelf", type)])
    }

    func environment(optionalOldSelf: Bool) -> CELEnvironment {
        guard optionalOldSelf else { return plain }
        return CELEnvironment(variables: [
            .init("self", schema), .init("oldSelf", CELType.optional(schema.type)),
        ])
    }
}

/// The rules at one part of a schema.
final class ExpressionRules: Sendable {
    let schema: CELSchema
    let rules: [ExpressionRule]
    let hasTransitions: Bool

    /// Nil when there are none. Throws with the first one that is wrong, which a definition that was accepted does not have.
    init?(_ schema: JSON, isResourceRoot: Bool) throws(StructuralSchemaError) {
        let given = schema["x-kubernetes-validations"].arrayValue
        guard !given.isEmpty else { return nil }
        guard let types = ExpressionTypes(schema, isResourceRoot: isResourceRoot) else {
            throw StructuralSchemaError("x-kubernetes-validations stand at a value without a type")
        }
        self.schema = types.schema
        var rules: [ExpressionRule] = []
        for rule in given {
            do { rules.append(try ExpressionRule(rule, types)) } catch {
                throw StructuralSchemaError("\(error.field): \(error.detail)")
            }
        }
        self.rules = rules
        hasTransitions = rules.contains { $0.isTransition }
    }
}
