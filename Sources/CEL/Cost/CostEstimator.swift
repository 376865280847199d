/// Estimates what an expression costs from what is declared of its variables' sizes.
struct CostEstimator {
    typealias Estimate = CELCostEstimate

    /// What is known of a value's size and parts.
    struct Value {
        /// The declaration, where the value is a part of a variable.
        var schema: CELSchema?
        /// The size, where the expression itself says it.
        var size: Estimate?
        /// The size of a list's elements or a map's values.
        var elementSize: Estimate?
        var keySize: Estimate?
    }

    let checked: CheckedExpression
    private let variables: [CELEnvironment.Variable]
    var values: [Int: Value] = [:]
    private var scopes: [(name: String, value: Value)] = []

    init(_ checked: CheckedExpression, _ variables: [CELEnvironment.Variable]) {
        self.checked = checked
        self.variables = variables
    }

    // MARK: - Sizes

    func value(_ node: Expression) -> Value { values[node.id] ?? Value() }

    /// The size of a node's value, unknown if need be.
    func size(_ node: Expression) -> Estimate {
        if let size = value(node).size { return size }
        switch node.kind {
        case .constant(let value): return Estimate(fixed: value.size)
        case .list(let elements, let optional):
            return Estimate(minimum: UInt64(elements.count - optional.count), maximum: UInt64(elements.count))
        case .map(let entries): return Estimate(fixed: UInt64(entries.count))
        default: break
        }
        if let schema = value(node).schema { return Self.size(schema) }
        switch checked.type(of: node) {
        case .bool, .int, .uint, .double, .timestamp, .duration, .null, .type, .opaque: return .one
        default: return .unknown
        }
    }

    static func size(_ schema: CELSchema) -> Estimate {
        if let maximum = schema.maximumSize { return Estimate(minimum: 0, maximum: maximum) }
        switch schema.shape {
        case .dyn, .value: return .unknown
        default: return .one
        }
    }

    /// The size of the elements of a list, or of the values of a map.
    func elementSize(_ node: Expression) -> Estimate {
        let value = value(node)
        if let size = value.elementSize { return size }
        switch value.schema?.shape {
        case .list(let element, _), .map(let element): return Self.size(element)
        default: return .unknown
        }
    }

    // MARK: - Nodes

    mutating func cost(_ node: Expression) -> Estimate {
        switch node.kind {
        case .constant: return .zero
        case .identifier(let name):
            values[node.id] = named(name, node)
            if case .constant = checked.references[node.id] { return .zero }
            return .one
        case .select(let operand, let field, let isTest): return select(operand, field, isTest, node)
        case .call(let function, let target, let arguments): return call(function, target, arguments, node)
        case .list(let elements, _):
            var sum = Estimate(fixed: 10)
            var element: Estimate?
            for child in elements {
                sum += cost(child)
                element = element.map { $0.union(size(child)) } ?? size(child)
            }
            values[node.id] = Value(elementSize: element ?? .zero, keySize: .one)
            return sum
        case .map(let entries):
            var sum = Estimate(fixed: 30)
            var sizes = Value()
            for entry in entries {
                sum += cost(entry.key) + cost(entry.value)
                sizes.keySize = sizes.keySize.map { $0.union(size(entry.key)) } ?? size(entry.key)
                sizes.elementSize = sizes.elementSize.map { $0.union(size(entry.value)) } ?? size(entry.value)
            }
            values[node.id] = sizes
            return sum
        case .object(_, let fields):
            var sum = Estimate(fixed: 40)
            for field in fields { sum += cost(field.value) }
            return sum
        case .comprehension(let loop): return comprehension(loop, node)
        }
    }

    private func named(_ name: String, _ node: Expression) -> Value {
        switch checked.references[node.id] {
        case .variable(let position): Value(schema: variables[position].schema)
        case .local(let name): scopes.last { $0.name == name }?.value ?? Value()
        default: Value()
        }
    }

    private mutating func select(
        _ operand: Expression, _ field: String, _ isTest: Bool, _ node: Expression
    ) -> Estimate {
        if checked.references[node.id] != nil { return .zero }
        let sum = cost(operand)
        if isTest { return sum }
        values[node.id] = Value(schema: Self.member(field, of: value(operand).schema))
        return sum + .one
    }

    static func member(_ field: String, of schema: CELSchema?) -> CELSchema? {
        switch schema?.shape {
        case .object(let type): type.fields[field]?.schema
        case .map(let value): value
        default: nil
        }
    }

    // MARK: - Loops

    private mutating func comprehension(_ loop: Expression.Comprehension, _ node: Expression) -> Estimate {
        var sum = cost(loop.range) + cost(loop.initial)
        var initial = value(loop.initial)
        initial.size = size(loop.initial)
        if case .constant(.bool(false)) = loop.condition.kind {
            // A name for a value: no turn.
            scopes.append((loop.accumulator, initial))
            sum += cost(loop.result)
            scopes.removeLast()
            values[node.id] = value(loop.result)
            return sum
        }
        let depth = scopes.count
        scopes.append((loop.accumulator, initial))
        let (first, second) = iterated(loop)
        scopes.append((loop.variable, first))
        if let name = loop.secondVariable { scopes.append((name, second)) }
        let turn = cost(loop.condition) + cost(loop.step)
        scopes.removeSubrange((depth + 1)...)
        sum += cost(loop.result)
        scopes.removeLast()
        let count = size(loop.range)
        var result = Value()
        switch loop.initial.kind {
        case .list, .map:
            result.size = Estimate(minimum: 0, maximum: count.maximum)
            result.elementSize = value(loop.step).elementSize
        default: result.size = size(loop.initial)
        }
        values[node.id] = result
        return sum + count * turn
    }

    /// What is known of a loop's variables.
    private func iterated(_ loop: Expression.Comprehension) -> (Value, Value) {
        let range = value(loop.range)
        var element = Value(size: range.elementSize)
        // Kubernetes takes keys to have no length.
        let key = Value(size: range.keySize ?? (range.schema == nil ? nil : .zero))
        switch range.schema?.shape {
        case .list(let schema, _), .map(let schema): element.schema = schema
        default: break
        }
        if case .list = checked.type(of: loop.range) {
            return loop.secondVariable == nil ? (element, Value()) : (Value(size: .one), element)
        }
        return (key, element)
    }
}
