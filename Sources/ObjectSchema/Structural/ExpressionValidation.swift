import CEL
import Objects

/// Evaluates the rules of a schema over an object, within a limit of cost for all of them together.
struct ExpressionValidation {
    private(set) var errors: [FieldError] = []
    private var path = FieldPath()
    private var budget = CELCost.perObject
    private var isOver = false

    init() {}

    /// - Parameter before: what was at this place, if that can be told: rules that compare with it are evaluated only then,
    ///   and others only where the value is another one.
    mutating func validate(_ value: JSON, _ node: SchemaNode, before: JSON?) {
        guard let facts = node.structure, facts.hasExpressions, !isOver, value.exists else { return }
        if let rules = facts.expressions { evaluate(rules, value, before) }
        switch value {
        case .object(let members):
            let earlier = before?.objectValue
            if let element = node.additionalProperties {
                for (key, member) in members { inside(.key(key), member, element, earlier?[key]) }
                return
            }
            for (key, member) in members {
                guard let property = node.property(key) else { continue }
                inside(.field(key), member, property.node, earlier?[key])
            }
        case .array(let elements):
            guard let element = node.items, element.structure?.hasExpressions == true else { return }
            let earlier = before.flatMap { EarlierElements($0.arrayValue, facts) }
            for (index, member) in elements.enumerated() {
                inside(.index(index), member, element, earlier?.element(like: member))
            }
        default: break
        }
    }

    private mutating func inside(_ step: FieldPath.Step, _ value: JSON, _ node: SchemaNode, _ before: JSON?) {
        path.push(step)
        validate(value, node, before: before)
        path.pop()
    }

    private mutating func evaluate(_ rules: ExpressionRules, _ value: JSON, _ before: JSON?) {
        let isUnchanged = before == value
        if isUnchanged, !rules.hasTransitions { return }
        let own: CELValue
        var earlier: CELValue?
        do throws(CELError) {
            own = try CELValue(value, rules.schema)
            if let before, before.exists { earlier = try CELValue(before, rules.schema) }
        } catch {
            return add(.invalid, value, "internal runtime error: \(error)")
        }
        for rule in rules.rules where !isOver {
            if rule.isTransition {
                if earlier == nil, !rule.hasOptionalOldSelf { continue }
            } else if isUnchanged {
                continue
            }
            var activation: CELActivation = ["self": own]
            activation["oldSelf"] = rule.hasOptionalOldSelf ? .optional(earlier) : earlier
            evaluate(rule, value, activation)
        }
    }

    private mutating func evaluate(_ rule: ExpressionRule, _ value: JSON, _ activation: CELActivation) {
        let result: CELResult
        do throws(CELError) {
            result = try rule.program.evaluate(activation, costLimit: min(budget, CELCost.perExpression))
        } catch {
            guard error.kind == .evaluation else {
                isOver = true
                let detail =
                    budget < CELCost.perExpression
                    ? "validation failed due to running out of cost budget, no further validation rules will be run"
                    : "'operation cancelled: actual cost limit exceeded': "
                        + "no further validation rules will be run due to call cost exceeds limit for rule: \(rule.shownText)"
                return add(.invalid, value, detail)
            }
            // Where a rule points to, and the reason that it gives, are for values that it finds wrong.
            let detail =
                error.message.hasPrefix("no such overload")
                ? "'\(error.message)': call arguments did not match a supported operator, function or macro signature "
                    + "for rule: \(rule.shownText)"
                : "\(error.message) evaluating rule: \(rule.shownText)"
            return add(.invalid, value, detail)
        }
        guard spend(result.cost, value) else { return }
        if result.value.boolValue == true { return }
        add(rule.reason, value, message(of: rule, activation), below: rule.fieldPath)
    }

    private mutating func spend(_ cost: UInt64, _ value: JSON) -> Bool {
        if cost <= budget {
            budget -= cost
            return true
        }
        isOver = true
        add(
            .invalid, value,
            "validation failed due to running out of cost budget, no further validation rules will be run")
        return false
    }

    /// The longest message that an expression may make, in bytes.
    private static let messageLimit = 5120

    private mutating func message(of rule: ExpressionRule, _ activation: CELActivation) -> String {
        let standing = rule.message.isEmpty ? "failed rule: \(rule.shownText)" : rule.shownText
        guard let program = rule.messageProgram else { return standing }
        do throws(CELError) {
            let result = try program.evaluate(activation, costLimit: min(budget, CELCost.perExpression))
            budget -= min(result.cost, budget)
            // As in Kubernetes, a text that cannot be shown gives way to the one that stands in the schema.
            guard let text = result.value.stringValue, text.utf8.count <= Self.messageLimit,
                !text.contains(where: \.isNewline), text.contains(where: { !$0.isWhitespace })
            else { return standing }
            return text
        } catch {
            return standing
        }
    }

    private mutating func add(_ kind: FieldError.Kind, _ value: JSON, _ detail: String, below field: String = "") {
        let place = field.isEmpty ? path.text : path.appending(field)
        switch kind {
        case .required: errors.append(.required(place, detail))
        case .forbidden: errors.append(.forbidden(place, detail))
        case .duplicate: errors.append(.duplicate(place, .string(value.typeName)))
        default: errors.append(.invalid(place, .string(value.typeName), detail))
        }
    }
}
