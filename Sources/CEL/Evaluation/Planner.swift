/// Turns a checked expression into steps.
struct Planner {
    private let checked: CheckedExpression
    private let text: SourceText
    private var scopes: [(name: String, slot: Int)] = []
    private(set) var slotCount = 0
    private(set) var usedVariables: Set<Int> = []
    private let variables: [CELEnvironment.Variable]

    init(_ checked: CheckedExpression, _ text: SourceText, _ variables: [CELEnvironment.Variable]) {
        self.checked = checked
        self.text = text
        self.variables = variables
    }

    /// - Throws: a literal that a function cannot take, such as a malformed regular expression.
    mutating func plan(_ node: Expression) throws(CELIssues) -> any Step {
        switch node.kind {
        case .constant(let value): return ConstantStep(value: value)
        case .identifier: return name(node)
        case .select(let operand, let field, let isTest):
            if checked.references[node.id] != nil { return name(node) }
            let operand = try plan(operand)
            if isTest { return PresenceStep(operand: operand, field: field) }
            return FieldStep(operand: operand, field: field, isOptional: false)
        case .call(let function, let target, let arguments): return try call(function, target, arguments, node)
        case .list(let elements, let optional):
            let steps = try planned(elements)
            // A literal is made once.
            if optional.isEmpty, steps.allSatisfy({ $0.constant != nil }) {
                return ConstantStep(value: .list(.values(steps.compactMap(\.constant))))
            }
            return ListStep(elements: steps, optional: optional)
        case .map(let entries):
            var steps: [MapStep.Entry] = []
            for entry in entries {
                steps.append(
                    .init(key: try plan(entry.key), value: try plan(entry.value), isOptional: entry.isOptional))
            }
            return Self.constantMap(steps) ?? MapStep(entries: steps)
        case .object(_, let fields):
            var steps: [ObjectStep.Field] = []
            for field in fields {
                steps.append(.init(name: field.name, value: try plan(field.value), isOptional: field.isOptional))
            }
            guard let type = checked.constructed[node.id] else { preconditionFailure("an object without a type") }
            return ObjectStep(type: type, fields: steps)
        case .comprehension(let loop): return try self.loop(loop)
        }
    }

    /// A map of literals, which is made once; nil when it is none, or has a key twice.
    private static func constantMap(_ entries: [MapStep.Entry]) -> (any Step)? {
        var map = CELDictionary()
        for entry in entries {
            guard !entry.isOptional, let key = entry.key.constant, let value = entry.value.constant,
                (try? map.insert(value, for: key)) != nil
            else { return nil }
        }
        return ConstantStep(value: .map(.values(map)))
    }

    private mutating func planned(_ nodes: [Expression]) throws(CELIssues) -> [any Step] {
        var steps: [any Step] = []
        for node in nodes { steps.append(try plan(node)) }
        return steps
    }

    private mutating func name(_ node: Expression) -> any Step {
        switch checked.references[node.id] {
        case .variable(let position):
            usedVariables.insert(position)
            return VariableStep(position: position, name: variables[position].name)
        case .local(let name):
            guard let scope = scopes.last(where: { $0.name == name }) else {
                preconditionFailure("a loop's variable outside of it")
            }
            return SlotStep(slot: scope.slot)
        case .constant(let value): return ConstantStep(value: value)
        case .overloads, nil: preconditionFailure("a name that the checker did not resolve")
        }
    }

    // MARK: - Calls

    private mutating func call(
        _ function: String, _ target: Expression?, _ arguments: [Expression], _ node: Expression
    ) throws(CELIssues) -> any Step {
        switch function {
        case Operator.and: return AndStep(terms: try planned(arguments))
        case Operator.or: return OrStep(terms: try planned(arguments))
        case Operator.conditional:
            let steps = try planned(arguments)
            return ConditionalStep(condition: steps[0], whenTrue: steps[1], whenFalse: steps[2])
        case Operator.notStrictlyFalse: return NotStrictlyFalseStep(operand: try plan(arguments[0]))
        case Operator.index, Operator.optionalIndex:
            let steps = try planned(arguments)
            return IndexStep(operand: steps[0], index: steps[1], isOptional: function == Operator.optionalIndex)
        case Operator.optionalSelect:
            guard case .constant(.string(let field)) = arguments[1].kind else {
                preconditionFailure("an optional field without a name")
            }
            return FieldStep(operand: try plan(arguments[0]), field: field, isOptional: true)
        default: break
        }
        guard case .overloads(let forms, let isNamespaced) = checked.references[node.id] else {
            preconditionFailure("a call that the checker did not resolve")
        }
        let steps = try planned((isNamespaced ? [] : target.map { [$0] } ?? []) + arguments)
        return try self.step(function, forms, steps, node)
    }

    private func step(
        _ function: String, _ forms: [Overload], _ steps: [any Step], _ node: Expression
    ) throws(CELIssues) -> any Step {
        if let literal = try Literals.step(function, forms, steps, node, text) { return literal }
        guard forms.count == 1 else { return DispatchStep(function: function, arguments: steps, forms: forms) }
        let form = forms[0]
        switch form.body {
        case .unary(let body): return UnaryStep(argument: steps[0], body: body, cost: form.cost)
        case .binary(let body):
            return BinaryStep(left: steps[0], right: steps[1], body: body, cost: form.cost)
        case .variadic(let body): return VariadicStep(arguments: steps, body: body, cost: form.cost)
        }
    }

    // MARK: - Loops

    private mutating func loop(_ loop: Expression.Comprehension) throws(CELIssues) -> any Step {
        let range = try plan(loop.range)
        let initial = try plan(loop.initial)
        let depth = scopes.count
        let accumulator = slot(loop.accumulator)
        let variable = slot(loop.variable)
        let second = loop.secondVariable.map { slot($0) }
        let condition = try plan(loop.condition)
        let appending = try appending(loop.step, loop.initial, accumulator)
        let step: any Step
        if let appending { step = appending } else { step = try plan(loop.step) }
        scopes.removeSubrange((depth + 1)...)
        let result = try plan(loop.result)
        scopes.removeLast()
        return LoopStep(
            range: range, variable: variable, secondVariable: second, accumulator: accumulator, initial: initial,
            condition: condition, step: step, result: result, absorbsErrors: step is AndStep || step is OrStep)
    }

    private mutating func slot(_ name: String) -> Int {
        scopes.append((name, slotCount))
        slotCount += 1
        return slotCount - 1
    }

    /// A loop's step as one that appends in place, when the macro `map` or `filter` has made it.
    private mutating func appending(
        _ step: Expression, _ initial: Expression, _ accumulator: Int
    ) throws(CELIssues) -> (any Step)? {
        guard case .list(let elements, _) = initial.kind, elements.isEmpty else { return nil }
        if case .call(Operator.conditional, _, let arguments) = step.kind,
            let element = Self.appended(arguments[1]), Self.isAccumulator(arguments[2])
        {
            return AppendStep(accumulator: accumulator, filter: try plan(arguments[0]), element: try plan(element))
        }
        guard let element = Self.appended(step) else { return nil }
        return AppendStep(accumulator: accumulator, filter: nil, element: try plan(element))
    }

    private static func appended(_ node: Expression) -> Expression? {
        guard case .call(Operator.add, _, let arguments) = node.kind, isAccumulator(arguments[0]),
            case .list(let elements, let optional) = arguments[1].kind, elements.count == 1, optional.isEmpty
        else { return nil }
        return elements[0]
    }

    private static func isAccumulator(_ node: Expression) -> Bool {
        if case .identifier(Parser.accumulator) = node.kind { return true }
        return false
    }
}
