/// Finds the types of an expression's nodes and what its names mean; every mistake is told.
/// See https://github.com/google/cel-spec/blob/master/doc/langdef.md#gradual-type-checking.
struct Checker {
    let environment: CELEnvironment
    let text: SourceText
    var substitution = TypeSubstitution()
    private(set) var issues: [CELIssue] = []
    private var types: [CELType]
    private var references: [Int: CheckedExpression.Reference] = [:]
    private var constructed: [Int: CELObjectType] = [:]
    /// Whether the list being checked may have elements of several types: the arguments of `format`.
    var allowsMixedLists = false
    /// Variables of the loops around the present node, the innermost last.
    private var scopes: [(name: String, type: CELType)] = []

    init(environment: CELEnvironment, text: SourceText, nodeCount: Int) {
        self.environment = environment
        self.text = text
        types = [CELType](repeating: .error, count: nodeCount)
    }

    mutating func check(_ root: Expression) throws(CELIssues) -> CheckedExpression {
        check(node: root)
        guard issues.isEmpty else {
            throw CELIssues(issues: issues.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
        }
        return CheckedExpression(
            root: root, types: types.map { substitution.resolved($0, isFinal: true) }, references: references,
            constructed: constructed)
    }

    // MARK: - Notes

    mutating func report(_ message: String, _ offset: Int) { issues.append(text.issue(message, at: offset)) }

    func type(of expression: Expression) -> CELType { substitution.resolved(types[expression.id]) }

    mutating func refer(_ expression: Expression, to reference: CheckedExpression.Reference) {
        references[expression.id] = reference
    }

    /// Reports that a node has another type than it must have.
    mutating func require(_ wanted: CELType, of expression: Expression) {
        let given = type(of: expression)
        if !substitution.assign(given, to: wanted) {
            report("expected type '\(substitution.resolved(wanted))' but found '\(given)'", expression.offset)
        }
    }

    // MARK: - Nodes

    mutating func check(node: Expression) {
        types[node.id] = typed(node)
    }

    private mutating func typed(_ node: Expression) -> CELType {
        switch node.kind {
        case .constant(let value): return value.type
        case .identifier(let name): return identifier(name, node)
        case .select(let operand, let field, let isTest): return select(operand, field, isTest, node)
        case .call(let function, let target, let arguments): return call(function, target, arguments, node)
        case .list(let elements, let optional): return list(elements, optional)
        case .map(let entries): return map(entries)
        case .object(let name, let fields): return object(name, fields, node)
        case .comprehension(let loop): return comprehension(loop)
        }
    }

    private static let typeNames: [String: CELType] = [
        "bool": .bool, "int": .int, "uint": .uint, "double": .double, "string": .string, "bytes": .bytes,
        "list": .list(.dyn), "map": .map(.dyn, .dyn), "null_type": .null, "type": .type(.dyn),
        "optional_type": .optional(.dyn), "google.protobuf.Timestamp": .timestamp,
        "google.protobuf.Duration": .duration, "net.IP": .opaque("net.IP"), "net.CIDR": .opaque("net.CIDR"),
        "kubernetes.Quantity": .opaque("kubernetes.Quantity"), "kubernetes.URL": .opaque("kubernetes.URL"),
        "kubernetes.Semver": .opaque("kubernetes.Semver"),
    ]

    /// The type of a name that is declared.
    private mutating func declared(_ name: String, _ node: Expression) -> CELType? {
        if let local = scopes.last(where: { $0.name == name }) {
            refer(node, to: .local(name))
            return local.type
        }
        if let position = environment.variablePositions[name] {
            refer(node, to: .variable(position))
            return environment.variables[position].schema.type
        }
        guard let named = Self.typeNames[name] ?? environment.objectTypes(name).map({ .object($0) }) else { return nil }
        refer(node, to: .constant(.type(named)))
        return .type(named)
    }

    private mutating func identifier(_ name: String, _ node: Expression) -> CELType {
        if let type = declared(name, node) { return type }
        report("undeclared reference to '\(name)' (in container '')", node.offset)
        return .error
    }

    private mutating func select(_ operand: Expression, _ field: String, _ isTest: Bool, _ node: Expression) -> CELType
    {
        if !isTest, let name = node.qualifiedName, isQualifiedName(name), let type = declared(name, node) {
            return type
        }
        check(node: operand)
        let type = fieldType(field, of: type(of: operand), node.offset)
        return isTest ? .bool : type
    }

    /// Whether a name with dots is declared as a whole; a type gives way to a variable of the name's first part.
    private func isQualifiedName(_ name: String) -> Bool {
        let first = name.prefix { $0 != "." }
        if scopes.contains(where: { $0.name == first }) { return false }
        if environment.variablePositions[name] != nil { return true }
        return environment.variablePositions[String(first)] == nil
            && (Self.typeNames[name] != nil || environment.objectTypes(name) != nil)
    }

    /// The type of a field; an optional's fields are optional too.
    mutating func fieldType(_ field: String, of type: CELType, _ offset: Int) -> CELType {
        switch type {
        case .dyn, .error: return .dyn
        case .parameter:
            _ = substitution.assign(.dyn, to: type)
            return .dyn
        case .map(let key, let value):
            if !substitution.assign(.string, to: key) {
                report("expected type '\(key)' but found 'string'", offset)
            }
            return value
        case .object(let object):
            if let found = object.type(of: field) { return found }
            report("undefined field '\(field)'", offset)
            return .error
        case .optional(let wrapped):
            let inner = fieldType(field, of: substitution.resolved(wrapped), offset)
            if case .optional = inner { return inner }
            return .optional(inner)
        default:
            report("type '\(type)' does not support field selection", offset)
            return .error
        }
    }

    // MARK: - Aggregates

    private mutating func list(_ elements: [Expression], _ optional: Set<Int>) -> CELType {
        var common: CELType?
        for (index, element) in elements.enumerated() {
            check(node: element)
            let type = optional.contains(index) ? unwrapped(element) : type(of: element)
            common = joined(common, type, element.offset)
        }
        return .list(common ?? substitution.fresh())
    }

    private mutating func map(_ entries: [Expression.Entry]) -> CELType {
        var key: CELType?
        var value: CELType?
        for entry in entries {
            check(node: entry.key)
            key = joined(key, type(of: entry.key), entry.key.offset)
            check(node: entry.value)
            let type = entry.isOptional ? unwrapped(entry.value) : type(of: entry.value)
            value = joined(value, type, entry.value.offset)
        }
        return .map(key ?? substitution.fresh(), value ?? substitution.fresh())
    }

    /// What an optional element is when it is there.
    private mutating func unwrapped(_ expression: Expression) -> CELType {
        let wrapped = substitution.fresh()
        require(.optional(wrapped), of: expression)
        return substitution.resolved(wrapped)
    }

    /// The elements of a literal have one type.
    private mutating func joined(_ common: CELType?, _ type: CELType, _ offset: Int) -> CELType {
        guard let common else { return type }
        if let joined = substitution.joined(common, type) { return joined }
        if allowsMixedLists { return .dyn }
        report("expected type '\(substitution.resolved(common))' but found '\(type)'", offset)
        return common
    }

    private mutating func object(_ name: String, _ fields: [Expression.Field], _ node: Expression) -> CELType {
        let found = environment.objectTypes(name)
        if found == nil { report("undeclared reference to '\(name)' (in container '')", node.offset) }
        if let found, !found.isConstructible { report("'\(name)' is not a message type", node.offset) }
        for field in fields {
            check(node: field.value)
            let given = field.isOptional ? unwrapped(field.value) : type(of: field.value)
            guard let found else { continue }
            guard let wanted = found.type(of: field.name) else {
                report("undefined field '\(field.name)'", field.offset)
                continue
            }
            if !substitution.assign(given, to: wanted) {
                report(
                    "expected type of field '\(field.name)' is '\(wanted)' but provided type is '\(given)'",
                    field.offset)
            }
        }
        guard let found else { return .error }
        constructed[node.id] = found
        return .object(found)
    }

    // MARK: - Loops

    private mutating func comprehension(_ loop: Expression.Comprehension) -> CELType {
        check(node: loop.range)
        check(node: loop.initial)
        let initial = type(of: loop.initial)
        let depth = scopes.count
        scopes.append((loop.accumulator, initial))
        let variables = iterated(type(of: loop.range), loop)
        scopes.append((loop.variable, variables.first))
        if let second = loop.secondVariable { scopes.append((second, variables.second)) }
        check(node: loop.condition)
        require(.bool, of: loop.condition)
        check(node: loop.step)
        require(initial, of: loop.step)
        scopes.removeSubrange((depth + 1)...)
        check(node: loop.result)
        scopes.removeLast()
        return type(of: loop.result)
    }

    /// The types of the variables of a loop over values of a type.
    private mutating func iterated(
        _ range: CELType, _ loop: Expression.Comprehension
    ) -> (first: CELType, second: CELType) {
        switch range {
        case .list(let element): return loop.secondVariable == nil ? (element, .dyn) : (.int, element)
        case .map(let key, let value): return (key, value)
        case .dyn, .error: return (.dyn, .dyn)
        case .parameter:
            _ = substitution.assign(.dyn, to: range)
            return (.dyn, .dyn)
        default:
            report(
                "expression of type '\(range)' cannot be range of a comprehension (must be list, map, or dynamic)",
                loop.range.offset)
            return (.error, .error)
        }
    }
}
