import Objects

/// What is known of calls with literals before they are evaluated: regular expressions are compiled, sets are made, and
/// malformed literals are found.
enum Literals {
    /// A step that makes use of literals; nil when the call has none of use.
    static func step(
        _ function: String, _ forms: [Overload], _ steps: [any Step], _ node: Expression, _ text: SourceText
    ) throws(CELIssues) -> (any Step)? {
        switch (function, steps.count) {
        case ("matches", 2):
            guard case .string(let pattern)? = steps[1].constant, forms.count == 1 else { return nil }
            let regex = try compiled(pattern, node, text)
            return MatchStep(operand: steps[0], pattern: steps[1], regex: regex, cost: forms[0].cost)
        case ("find", 2), ("findAll", 2), ("findAll", 3):
            guard case .string(let pattern)? = steps[1].constant else { return nil }
            _ = try compiled(pattern, node, text)
            return nil
        case (Operator.membership, 2):
            guard case .list(.values(let elements))? = steps[1].constant else { return nil }
            var set: Set<CELDictionary.Key> = []
            for element in elements {
                guard let key = CELDictionary.Key(element) else { return nil }
                set.insert(key)
            }
            return MembershipStep(operand: steps[0], set: set)
        case ("duration", 1):
            guard case .string(let literal)? = steps[0].constant else { return nil }
            if (try? GoDuration(parsing: literal)) == nil { throw issue("invalid duration argument", node, text) }
            return nil
        case ("timestamp", 1):
            guard case .string(let literal)? = steps[0].constant else { return nil }
            if (try? Timestamp(parsing: literal)) == nil { throw issue("invalid timestamp argument", node, text) }
            return nil
        default: return nil
        }
    }

    private static func compiled(
        _ pattern: String, _ node: Expression, _ text: SourceText
    ) throws(CELIssues) -> RegularExpression {
        do {
            return try RegularExpression(pattern)
        } catch {
            throw issue("invalid matches argument: \(error)", node, text)
        }
    }

    private static func issue(_ message: String, _ node: Expression, _ text: SourceText) -> CELIssues {
        let arguments: [Expression] = if case .call(_, _, let arguments) = node.kind { arguments } else { [] }
        return CELIssues(issues: [text.issue(message, at: arguments.first?.offset ?? node.offset)])
    }
}

/// `operand.matches(pattern)` with a literal pattern.
struct MatchStep: Step {
    let operand: any Step
    let pattern: any Step
    let regex: RegularExpression
    let cost: CallCost

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        let value = try operand.evaluate(frame)
        guard case .string(let text) = value else { throw .noSuchOverload }
        try frame.charge(cost.units(beforeCall: value, try pattern.evaluate(frame)))
        return .bool(regex.matches(text))
    }
}

/// `operand in [literal, …]`.
struct MembershipStep: Step {
    let operand: any Step
    let set: Set<CELDictionary.Key>

    func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
        guard let key = CELDictionary.Key(try operand.evaluate(frame)) else { return .bool(false) }
        return .bool(set.contains(key))
    }
}
