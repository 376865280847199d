/// Macros of one iteration variable, `has` and `cel.bind`; see `Macros+TwoVariables.swift` for the others.
/// See https://github.com/google/cel-spec/blob/master/doc/langdef.md#macros.
extension Parser {
    static let accumulator = "@result"

    /// What a call expands to; nil when it is no macro.
    mutating func expand(
        _ name: String, target: Expression?, _ arguments: [Expression], _ offset: Int
    ) throws(CELIssues) -> Expression? {
        guard let target else {
            return name == "has" && arguments.count == 1 ? try presence(arguments[0], offset) : nil
        }
        switch (name, arguments.count) {
        case ("bind", 3) where target.qualifiedName == "cel":
            return try bind(arguments, offset)
        case ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("map", 2), ("filter", 2):
            let variable = try simpleName(arguments[0])
            return try loop(over: target, (variable, nil), name, nil, arguments[1], offset)
        case ("map", 3):
            let variable = try simpleName(arguments[0])
            return try loop(over: target, (variable, nil), name, arguments[1], arguments[2], offset)
        case ("all", 3), ("exists", 3), ("exists_one", 3), ("existsOne", 3), ("transformList", 3), ("transformList", 4),
            ("transformMap", 3), ("transformMap", 4), ("transformMapEntry", 3), ("transformMapEntry", 4):
            return try twoVariables(name, target, arguments, offset)
        case ("optMap", 2): return try optionalMap(target, arguments, isFlat: false, offset)
        case ("optFlatMap", 2): return try optionalMap(target, arguments, isFlat: true, offset)
        default: return nil
        }
    }

    private mutating func presence(_ operand: Expression, _ offset: Int) throws(CELIssues) -> Expression {
        guard case .select(let inner, let field, false) = operand.kind else {
            throw failure("invalid argument to has() macro", operand.offset)
        }
        return try node(offset, .select(inner, field: field, isTest: true))
    }

    func simpleName(_ argument: Expression) throws(CELIssues) -> String {
        guard case .identifier(let name) = argument.kind else {
            throw failure("argument must be a simple name", argument.offset)
        }
        return name
    }

    // MARK: - Nodes

    mutating func call(_ function: String, _ arguments: [Expression], _ offset: Int) throws(CELIssues) -> Expression {
        try node(offset, .call(function, target: nil, arguments: arguments))
    }

    mutating func constant(_ value: CELValue, _ offset: Int) throws(CELIssues) -> Expression {
        try node(offset, .constant(value))
    }

    mutating func accumulated(_ offset: Int) throws(CELIssues) -> Expression {
        try node(offset, .identifier(Self.accumulator))
    }

    // MARK: - Loops

    /// The loop of a macro with its test or transformation `body`, and the `filter` in front of it if there is one.
    mutating func loop(
        over range: Expression, _ variables: (String, String?), _ name: String, _ filter: Expression?,
        _ body: Expression, _ offset: Int
    ) throws(CELIssues) -> Expression {
        for variable in [variables.0, variables.1] where variable == Self.accumulator {
            throw failure("iteration variable overwrites accumulator variable", offset)
        }
        let always = try constant(.bool(true), offset)
        let parts: (initial: Expression, condition: Expression, step: Expression, result: Expression)
        switch name {
        case "all":
            let goesOn = try call(Operator.notStrictlyFalse, [try accumulated(offset)], offset)
            let step = try call(Operator.and, [try accumulated(offset), body], offset)
            parts = (try constant(.bool(true), offset), goesOn, step, try accumulated(offset))
        case "exists":
            let negated = try call(Operator.not, [try accumulated(offset)], offset)
            let goesOn = try call(Operator.notStrictlyFalse, [negated], offset)
            let step = try call(Operator.or, [try accumulated(offset), body], offset)
            parts = (try constant(.bool(false), offset), goesOn, step, try accumulated(offset))
        case "exists_one", "existsOne":
            let more = try call(Operator.add, [try accumulated(offset), try constant(.int(1), offset)], offset)
            let step = try call(Operator.conditional, [body, more, try accumulated(offset)], offset)
            let isOne = try call(Operator.equals, [try accumulated(offset), try constant(.int(1), offset)], offset)
            parts = (try constant(.int(0), offset), always, step, isOne)
        case "filter":
            let variable = try node(offset, .identifier(variables.0))
            let step = try appended(variable, filter: body, offset)
            parts = (try node(offset, .list([], optional: [])), always, step, try accumulated(offset))
        default:
            let step = try appended(body, filter: filter, offset)
            parts = (try node(offset, .list([], optional: [])), always, step, try accumulated(offset))
        }
        return try node(
            offset,
            .comprehension(
                .init(
                    range: range, variable: variables.0, secondVariable: variables.1, accumulator: Self.accumulator,
                    initial: parts.initial, condition: parts.condition, step: parts.step, result: parts.result)))
    }

    /// The accumulated list and one element, if the filter allows.
    private mutating func appended(
        _ element: Expression, filter: Expression?, _ offset: Int
    ) throws(CELIssues) -> Expression {
        let single = try node(offset, .list([element], optional: []))
        let longer = try call(Operator.add, [try accumulated(offset), single], offset)
        guard let filter else { return longer }
        return try call(Operator.conditional, [filter, longer, try accumulated(offset)], offset)
    }

    /// `cel.bind(name, value, expression)`: a loop of no turns whose accumulator is the name.
    private mutating func bind(_ arguments: [Expression], _ offset: Int) throws(CELIssues) -> Expression {
        let name = try simpleName(arguments[0])
        return try bound(name, arguments[1], in: arguments[2], offset)
    }

    private mutating func bound(
        _ name: String, _ value: Expression, in body: Expression, _ offset: Int
    ) throws(CELIssues) -> Expression {
        try node(
            offset,
            .comprehension(
                .init(
                    range: try node(offset, .list([], optional: [])), variable: "#unused", secondVariable: nil,
                    accumulator: name, initial: value, condition: try constant(.bool(false), offset),
                    step: try node(offset, .identifier(name)), result: body)))
    }

    /// `target.optMap(name, expression)`, `optFlatMap` when the expression is an optional itself.
    private mutating func optionalMap(
        _ target: Expression, _ arguments: [Expression], isFlat: Bool, _ offset: Int
    ) throws(CELIssues) -> Expression {
        let name = try simpleName(arguments[0])
        let hasValue = try node(offset, .call("hasValue", target: target, arguments: []))
        let value = try node(offset, .call("value", target: target, arguments: []))
        var mapped = try bound(name, value, in: arguments[1], offset)
        if !isFlat { mapped = try call("optional.of", [mapped], offset) }
        return try call(Operator.conditional, [hasValue, mapped, try call("optional.none", [], offset)], offset)
    }
}
