/// Macros over index and element, or key and value.
/// See https://pkg.go.dev/github.com/google/cel-go/ext#TwoVarComprehensions.
extension Parser {
    mutating func twoVariables(
        _ name: String, _ target: Expression, _ arguments: [Expression], _ offset: Int
    ) throws(CELIssues) -> Expression {
        let variables = (try simpleName(arguments[0]), try simpleName(arguments[1]))
        guard variables.0 != variables.1 else {
            throw failure("duplicate variable name: \(variables.1)", arguments[1].offset)
        }
        let filter = arguments.count == 4 ? arguments[2] : nil
        let body = arguments[arguments.count - 1]
        switch name {
        case "transformMap":
            let key = try node(offset, .identifier(variables.0))
            return try mapLoop(target, variables, filter, [key, body], offset)
        case "transformMapEntry": return try mapLoop(target, variables, filter, [body], offset)
        default: return try loop(over: target, variables, name, filter, body, offset)
        }
    }

    /// A loop that inserts into a map: a key and a value, or the entries of a map.
    private mutating func mapLoop(
        _ range: Expression, _ variables: (String, String), _ filter: Expression?, _ inserted: [Expression],
        _ offset: Int
    ) throws(CELIssues) -> Expression {
        var step = try call("cel.@mapInsert", [try accumulated(offset)] + inserted, offset)
        if let filter {
            step = try call(Operator.conditional, [filter, step, try accumulated(offset)], offset)
        }
        return try node(
            offset,
            .comprehension(
                .init(
                    range: range, variable: variables.0, secondVariable: variables.1, accumulator: Self.accumulator,
                    initial: try node(offset, .map([])), condition: try constant(.bool(true), offset), step: step,
                    result: try accumulated(offset))))
    }
}
