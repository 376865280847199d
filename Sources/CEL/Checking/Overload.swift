/// One form of a function: what it takes, gives and does.
struct Overload: Sendable {
    typealias Unary = @Sendable (CELValue) throws(CELError) -> CELValue
    typealias Binary = @Sendable (CELValue, CELValue) throws(CELError) -> CELValue
    typealias Variadic = @Sendable ([CELValue]) throws(CELError) -> CELValue

    enum Body: Sendable {
        case unary(Unary)
        case binary(Binary)
        case variadic(Variadic)
    }

    let signature: Signature
    let body: Body
    let cost: CallCost

    var parameters: [CELType] { signature.parameters }
    var isMember: Bool { signature.isMember }

    static func unary(_ signature: String, cost: CallCost = .one, _ body: @escaping Unary) -> Overload {
        Overload(signature: Signature(signature), body: .unary(body), cost: cost)
    }

    static func binary(_ signature: String, cost: CallCost = .one, _ body: @escaping Binary) -> Overload {
        Overload(signature: Signature(signature), body: .binary(body), cost: cost)
    }

    static func variadic(_ signature: String, cost: CallCost = .one, _ body: @escaping Variadic) -> Overload {
        Overload(signature: Signature(signature), body: .variadic(body), cost: cost)
    }
}

/// The types of a function's form, written like `isIP(string): bool`, or with the target of a member function in front
/// of a dot that stands alone: `string . split(string, int): list(string)`. A name of one letter is a type parameter.
struct Signature: Sendable {
    let function: String
    /// With the target of a member function in front.
    let parameters: [CELType]
    let isMember: Bool
    let result: CELType

    /// The text is a constant of this library, and a mistake in it is found by the first test that runs.
    init(_ text: String) {
        var reader = SignatureReader(text)
        var target: CELType?
        if text.contains(" . ") {
            target = reader.type()
            reader.expect(" . ")
        }
        function = reader.name()
        reader.expect("(")
        var parameters = target.map { [$0] } ?? []
        parameters += reader.types()
        reader.expect(": ")
        self.parameters = parameters
        isMember = target != nil
        result = reader.type()
    }
}

private struct SignatureReader {
    private var rest: Substring

    init(_ text: String) { rest = Substring(text) }

    private mutating func take(_ text: String) -> Bool {
        guard rest.hasPrefix(text) else { return false }
        rest = rest.dropFirst(text.count)
        return true
    }

    mutating func expect(_ text: String) {
        guard take(text) else { preconditionFailure("a signature that lacks \(text) in front of \(rest)") }
    }

    mutating func name() -> String {
        let name = rest.prefix { $0 != "(" && $0 != ")" && $0 != "," && $0 != " " }
        rest = rest.dropFirst(name.count)
        return String(name)
    }

    /// Types up to the closing bracket.
    mutating func types() -> [CELType] {
        var types: [CELType] = []
        while !take(")") {
            types.append(type())
            _ = take(", ")
        }
        return types
    }

    mutating func type() -> CELType {
        let name = name()
        guard take("(") else { return Self.named(name) }
        let parameters = types()
        switch name {
        case "list": return .list(parameters[0])
        case "map": return .map(parameters[0], parameters[1])
        case "optional": return .optional(parameters[0])
        case "type": return .type(parameters[0])
        default: preconditionFailure("an unknown type in a signature: \(name)")
        }
    }

    private static let names: [String: CELType] = [
        "dyn": .dyn, "null": .null, "bool": .bool, "int": .int, "uint": .uint, "double": .double, "string": .string,
        "bytes": .bytes, "timestamp": .timestamp, "duration": .duration,
    ]

    private static func named(_ name: String) -> CELType {
        if let known = names[name] { return known }
        return name.count == 1 ? .parameter(name) : .opaque(name)
    }
}
