import Objects

/// Makes an expression's tree, and expands its macros.
/// See https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax.
struct Parser {
    /// Of brackets within brackets, and half of the depth of the tree, chains of operators included: what a thread with a
    /// stack of 1 MiB can walk in a build without optimization.
    static let depthLimit = 100

    let text: SourceText
    private let tokens: [Token]
    private var position = 0
    private var depth = 0
    /// How many nodes were made; their numbers are below it.
    private(set) var nodeCount = 0

    init(_ text: SourceText) throws(CELIssues) {
        self.text = text
        guard text.scalars.count <= SourceText.codePointLimit else {
            let message =
                "expression code point size exceeds limit: size: \(text.scalars.count), limit "
                + "\(SourceText.codePointLimit)"
            throw CELIssues(issues: [CELIssue(message: message, line: 1, column: 0, snippet: "")])
        }
        tokens = try Lexer.tokens(of: text)
    }

    mutating func parse() throws(CELIssues) -> Expression {
        let expression = try self.expression()
        guard case .end = current.kind else {
            throw failure(
                "Syntax error: extraneous input '\(spelled(current))' expecting <EOF>", current.range.lowerBound)
        }
        return expression
    }

    // MARK: - Tokens

    private var current: Token { tokens[position] }

    private func spelled(_ token: Token) -> String {
        if case .end = token.kind { return "<EOF>" }
        return text.substring(token.range)
    }

    func failure(_ message: String, _ offset: Int) -> CELIssues {
        CELIssues(issues: [text.issue(message, at: offset)])
    }

    private mutating func accept(_ symbol: String) -> Bool {
        guard current.isSymbol(symbol) else { return false }
        position += 1
        return true
    }

    @discardableResult
    private mutating func expect(_ symbol: String) throws(CELIssues) -> Token {
        let token = current
        guard accept(symbol) else {
            throw failure(
                "Syntax error: mismatched input '\(spelled(token))' expecting '\(symbol)'", token.range.lowerBound)
        }
        return token
    }

    private mutating func identifier() throws(CELIssues) -> String {
        guard case .identifier(let name) = current.kind else {
            throw failure(
                "Syntax error: mismatched input '\(spelled(current))' expecting IDENTIFIER", current.range.lowerBound)
        }
        position += 1
        return name
    }

    mutating func node(_ offset: Int, _ kind: Expression.Kind) throws(CELIssues) -> Expression {
        let expression = Expression(id: nodeCount, offset: offset, kind: kind)
        nodeCount += 1
        // What macros add to a bracket's level counts too.
        guard expression.depth <= 2 * Self.depthLimit else {
            throw failure("expression recursion limit exceeded: \(Self.depthLimit)", offset)
        }
        return expression
    }

    // MARK: - Operators

    mutating func expression() throws(CELIssues) -> Expression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else {
            throw failure("expression recursion limit exceeded: \(Self.depthLimit)", current.range.lowerBound)
        }
        let condition = try binary(1)
        guard current.isSymbol("?") else { return condition }
        let offset = current.range.lowerBound
        position += 1
        let whenTrue = try binary(1)
        try expect(":")
        let whenFalse = try expression()
        return try node(
            offset, .call(Operator.conditional, target: nil, arguments: [condition, whenTrue, whenFalse]))
    }

    private func binaryOperator() -> (level: Int, function: String)? {
        switch current.kind {
        case .symbol(let symbol): Operator.precedence[symbol]
        case .keyword("in"): Operator.precedence["in"]
        default: nil
        }
    }

    /// Operators of at least a level, by precedence climbing. Chains of `&&` and of `||` become one node each.
    private mutating func binary(_ level: Int) throws(CELIssues) -> Expression {
        var left = try unary()
        while let found = binaryOperator(), found.level >= level {
            let offset = current.range.lowerBound
            position += 1
            var arguments = [left, try binary(found.level + 1)]
            if found.level <= 2 {
                while let next = binaryOperator(), next.function == found.function {
                    position += 1
                    arguments.append(try binary(found.level + 1))
                }
            }
            left = try node(offset, .call(found.function, target: nil, arguments: arguments))
        }
        return left
    }

    private mutating func unary() throws(CELIssues) -> Expression {
        let offset = current.range.lowerBound
        guard current.isSymbol("!") || current.isSymbol("-") else { return try member() }
        let symbol = current
        var count = 0
        while current.kind == symbol.kind {
            position += 1
            count += 1
        }
        if symbol.isSymbol("-"), count == 1, let literal = try number(isNegative: true) {
            return try members(of: try node(offset, .constant(literal)))
        }
        let operand = try member()
        guard count % 2 == 1 else { return operand }
        let function = symbol.isSymbol("!") ? Operator.not : Operator.negate
        return try node(offset, .call(function, target: nil, arguments: [operand]))
    }

    // MARK: - Members

    private mutating func member() throws(CELIssues) -> Expression { try members(of: try primary()) }

    private mutating func members(of operand: Expression) throws(CELIssues) -> Expression {
        var operand = operand
        while true {
            let offset = current.range.lowerBound
            if accept(".") {
                operand = try select(operand, offset)
            } else if current.isSymbol("[") {
                position += 1
                let isOptional = accept("?")
                let index = try expression()
                try expect("]")
                let function = isOptional ? Operator.optionalIndex : Operator.index
                operand = try node(offset, .call(function, target: nil, arguments: [operand, index]))
            } else if current.isSymbol("{"), let name = operand.qualifiedName {
                operand = try object(name, operand.offset)
            } else {
                return operand
            }
        }
    }

    private mutating func select(_ operand: Expression, _ offset: Int) throws(CELIssues) -> Expression {
        if accept("?") {
            let name = try identifier()
            let field = try node(offset, .constant(.string(name)))
            return try node(offset, .call(Operator.optionalSelect, target: nil, arguments: [operand, field]))
        }
        let name = try identifier()
        guard current.isSymbol("(") else {
            return try node(offset, .select(operand, field: name, isTest: false))
        }
        let open = current.range.lowerBound
        position += 1
        let arguments = try self.arguments(")")
        if let expanded = try expand(name, target: operand, arguments, open) { return expanded }
        return try node(open, .call(name, target: operand, arguments: arguments))
    }

    private mutating func arguments(_ end: String) throws(CELIssues) -> [Expression] {
        var arguments: [Expression] = []
        if accept(end) { return arguments }
        repeat { arguments.append(try expression()) } while accept(",")
        try expect(end)
        return arguments
    }

    // MARK: - Primaries

    private mutating func primary() throws(CELIssues) -> Expression {
        let token = current
        let offset = token.range.lowerBound
        if let number = try number(isNegative: false) { return try node(offset, .constant(number)) }
        position += 1
        switch token.kind {
        case .string(let value): return try node(offset, .constant(.string(value)))
        case .bytes(let value): return try node(offset, .constant(.bytes(value)))
        case .keyword("true"): return try node(offset, .constant(.bool(true)))
        case .keyword("false"): return try node(offset, .constant(.bool(false)))
        case .keyword("null"): return try node(offset, .constant(.null))
        case .identifier(let name): return try named(name, offset)
        case .symbol("."): return try named(try identifier(), offset)
        case .symbol("("):
            let inner = try expression()
            try expect(")")
            return inner
        case .symbol("["): return try list(offset)
        case .symbol("{"): return try map(offset)
        default:
            throw failure(
                "Syntax error: mismatched input '\(spelled(token))' expecting {'[', '{', '(', '.', '-', '!', 'true', "
                    + "'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}", offset)
        }
    }

    private mutating func named(_ name: String, _ offset: Int) throws(CELIssues) -> Expression {
        guard !ReservedWords.identifiers.contains(name) else {
            throw failure("reserved identifier: \(name)", offset)
        }
        guard current.isSymbol("(") else { return try node(offset, .identifier(name)) }
        let open = current.range.lowerBound
        position += 1
        let arguments = try self.arguments(")")
        if let expanded = try expand(name, target: nil, arguments, open) { return expanded }
        return try node(open, .call(name, target: nil, arguments: arguments))
    }

    private mutating func number(isNegative: Bool) throws(CELIssues) -> CELValue? {
        let offset = current.range.lowerBound
        let sign = isNegative ? "-" : ""
        switch current.kind {
        case .integer(let digits):
            position += 1
            let value =
                digits.hasPrefix("0x") || digits.hasPrefix("0X")
                ? Int64(sign + digits.dropFirst(2), radix: 16) : Int64(sign + digits)
            guard let value else { throw failure("invalid int literal", offset) }
            return .int(value)
        case .floating(let digits):
            position += 1
            guard let value = Double(sign + digits), value.isFinite else {
                throw failure("invalid double literal", offset)
            }
            return .double(value)
        case .unsigned(let digits) where !isNegative:
            position += 1
            let value =
                digits.hasPrefix("0x") || digits.hasPrefix("0X")
                ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits)
            guard let value else { throw failure("invalid uint literal", offset) }
            return .uint(value)
        default: return nil
        }
    }

    // MARK: - Aggregates

    private mutating func list(_ offset: Int) throws(CELIssues) -> Expression {
        var elements: [Expression] = []
        var optional: Set<Int> = []
        while !current.isSymbol("]") {
            if accept("?") { optional.insert(elements.count) }
            elements.append(try expression())
            if !accept(",") { break }
        }
        try expect("]")
        return try node(offset, .list(elements, optional: optional))
    }

    private mutating func map(_ offset: Int) throws(CELIssues) -> Expression {
        var entries: [Expression.Entry] = []
        while !current.isSymbol("}") {
            let isOptional = accept("?")
            let key = try expression()
            try expect(":")
            entries.append(.init(key: key, value: try expression(), isOptional: isOptional))
            if !accept(",") { break }
        }
        try expect("}")
        return try node(offset, .map(entries))
    }

    private mutating func object(_ name: String, _ offset: Int) throws(CELIssues) -> Expression {
        try expect("{")
        var fields: [Expression.Field] = []
        while !current.isSymbol("}") {
            let isOptional = accept("?")
            let place = current.range.lowerBound
            let field = try identifier()
            try expect(":")
            fields.append(.init(name: field, offset: place, value: try expression(), isOptional: isOptional))
            if !accept(",") { break }
        }
        try expect("}")
        return try node(offset, .object(name, fields))
    }
}
