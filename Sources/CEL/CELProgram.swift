/// A checked expression, ready to be evaluated as often as wanted, from any thread at once.
public final class CELProgram: Sendable {
    /// The type that the checker found.
    public let resultType: CELType
    let checked: CheckedExpression
    let variables: [CELEnvironment.Variable]
    private let root: any Step
    private let slotCount: Int
    /// Positions in the environment of the variables that the expression reads.
    private let used: [Int]

    init(_ checked: CheckedExpression, environment: CELEnvironment, text: SourceText) throws(CELIssues) {
        self.checked = checked
        variables = environment.variables
        resultType = checked.type(of: checked.root)
        var planner = Planner(checked, text, environment.variables)
        root = try planner.plan(checked.root)
        slotCount = planner.slotCount
        used = planner.usedVariables.sorted()
    }

    /// Whether the expression reads a variable: a validation rule that reads `oldSelf` is one of transitions.
    public func reads(_ variable: String) -> Bool { used.contains { variables[$0].name == variable } }

    /// Whether the expression selects a field of a variable, `variable.field` or `variable.?field`, anywhere.
    /// - Complexity: O(*n*), *n* the nodes of the expression.
    public func selects(_ field: String, of variable: String) -> Bool {
        var open = [checked.root]
        while let node = open.popLast() {
            switch node.kind {
            case .select(let operand, field, _):
                if case .identifier(variable) = operand.kind { return true }
            case .call(Operator.optionalSelect, _, let arguments):
                if arguments.count == 2, case .identifier(variable) = arguments[0].kind,
                    case .constant(.string(field)) = arguments[1].kind
                {
                    return true
                }
            default: break
            }
            open += Expression.children(of: node.kind)
        }
        return false
    }

    /// Evaluates the expression.
    ///
    /// - Parameters:
    ///   - costLimit: The most units of Kubernetes' runtime cost that the evaluation may take.
    /// - Returns: The value and the units that were taken.
    /// - Throws: What the expression ends with instead of a value; also the cost limit.
    public func evaluate(
        _ activation: CELActivation, costLimit: UInt64 = CELCost.perExpression
    ) throws(CELError) -> CELResult {
        var values = [CELValue?](repeating: nil, count: variables.count)
        for position in used { values[position] = activation[variables[position].name] }
        let frame = Frame(variables: values, slotCount: slotCount, costLimit: costLimit)
        let value = try root.evaluate(frame)
        return CELResult(value: value, cost: frame.cost)
    }
}

/// What an evaluation gave.
public struct CELResult: Sendable {
    public let value: CELValue
    /// In units of Kubernetes' runtime cost.
    public let cost: UInt64
}

/// Kubernetes' limits of cost. See https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints.
public enum CELCost {
    /// Of one evaluation of one expression.
    public static let perExpression: UInt64 = 1_000_000
    /// Of all expressions of one object's validation, or of one policy.
    public static let perObject: UInt64 = 10_000_000
    /// Of one rule of a schema as estimated when the schema is written.
    public static let estimatedPerRule: UInt64 = 10_000_000
    /// Of all rules of one schema as estimated when it is written.
    public static let estimatedPerSchema: UInt64 = 100_000_000
    /// Of the match conditions of one webhook or policy: a quarter of one object's.
    public static let perMatchConditions: UInt64 = 2_500_000
}
