/// Cuts an expression's text into tokens.
/// See https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax.
struct Lexer {
    private let text: SourceText
    private var position = 0
    private var tokens: [Token] = []

    /// - Throws: the first text that is no token.
    static func tokens(of text: SourceText) throws(CELIssues) -> [Token] {
        var lexer = Lexer(text: text)
        return try lexer.run()
    }

    private init(text: SourceText) { self.text = text }

    private mutating func run() throws(CELIssues) -> [Token] {
        while let next = peek() {
            if next.properties.isWhitespace {
                position += 1
            } else if next == "/", peek(1) == "/" {
                while let scalar = peek(), scalar != "\n" { _ = scalar; position += 1 }
            } else {
                try token(next)
            }
        }
        tokens.append(Token(kind: .end, range: position..<position))
        return tokens
    }

    private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
        position + ahead < text.scalars.count ? text.scalars[position + ahead] : nil
    }

    private mutating func token(_ first: Unicode.Scalar) throws(CELIssues) {
        let start = position
        if let literal = try stringLiteral() {
            tokens.append(Token(kind: literal, range: start..<position))
        } else if Self.isLetter(first) {
            while let scalar = peek(), Self.isLetter(scalar) || Self.isDigit(scalar) { position += 1 }
            let word = text.substring(start..<position)
            let kind: Token.Kind = ReservedWords.keywords.contains(word) ? .keyword(word) : .identifier(word)
            tokens.append(Token(kind: kind, range: start..<position))
        } else if Self.isDigit(first) || (first == "." && peek(1).map(Self.isDigit) == true) {
            tokens.append(Token(kind: number(), range: start..<position))
        } else {
            tokens.append(Token(kind: try symbol(first), range: start..<position))
        }
    }

    private static let pairs: Set<String> = ["==", "!=", "<=", ">=", "&&", "||"]
    private static let singles: Set<Unicode.Scalar> = [
        "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]", "{", "}",
    ]

    private mutating func symbol(_ first: Unicode.Scalar) throws(CELIssues) -> Token.Kind {
        if let second = peek(1), second == "=" || second == first {
            let pair = String(scalars: [first, second])
            if Self.pairs.contains(pair) {
                position += 2
                return .symbol(pair)
            }
        }
        guard Self.singles.contains(first) else {
            throw failure("Syntax error: token recognition error at: '\(first)'", position)
        }
        position += 1
        return .symbol(String(Character(first)))
    }

    private func failure(_ message: String, _ offset: Int) -> CELIssues {
        CELIssues(issues: [text.issue(message, at: offset)])
    }

    private mutating func number() -> Token.Kind {
        let start = position
        if peek() == "0", peek(1) == "x" || peek(1) == "X" {
            position += 2
            while let scalar = peek(), scalar.properties.isASCIIHexDigit { position += 1 }
            return integer(text.substring(start..<position))
        }
        digits()
        var isFloating = false
        if peek() == ".", peek(1).map(Self.isDigit) == true {
            isFloating = true
            position += 1
            digits()
        }
        if peek() == "e" || peek() == "E" {
            let signed = peek(1) == "+" || peek(1) == "-"
            if peek(signed ? 2 : 1).map(Self.isDigit) == true {
                isFloating = true
                position += signed ? 2 : 1
                digits()
            }
        }
        let digits = text.substring(start..<position)
        return isFloating ? .floating(digits) : integer(digits)
    }

    private mutating func integer(_ digits: String) -> Token.Kind {
        guard peek() == "u" || peek() == "U" else { return .integer(digits) }
        position += 1
        return .unsigned(digits)
    }

    private mutating func digits() {
        while let scalar = peek(), Self.isDigit(scalar) { position += 1 }
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
}

// MARK: - Strings

extension Lexer {
    /// A string or bytes literal at the present position; nil when there is none.
    private mutating func stringLiteral() throws(CELIssues) -> Token.Kind? {
        var ahead = 0
        var isRaw = false
        var isBytes = false
        while let scalar = peek(ahead), ahead < 2 {
            if (scalar == "r" || scalar == "R") && !isRaw {
                isRaw = true
            } else if (scalar == "b" || scalar == "B") && !isBytes {
                isBytes = true
            } else {
                break
            }
            ahead += 1
        }
        guard let quote = peek(ahead), quote == "\"" || quote == "'" else { return nil }
        let start = position
        position += ahead
        let isLong = peek(1) == quote && peek(2) == quote
        position += isLong ? 3 : 1
        var unescaper = StringUnescaper(isBytes: isBytes)
        while true {
            guard let scalar = peek(), isLong || (scalar != "\n" && scalar != "\r") else {
                throw failure("Syntax error: token recognition error at: '\(text.substring(start..<position))'", start)
            }
            if scalar == quote, !isLong || (peek(1) == quote && peek(2) == quote) {
                position += isLong ? 3 : 1
                return isBytes ? .bytes(unescaper.bytes) : .string(unescaper.string)
            }
            if scalar == "\\", !isRaw {
                let consumed = unescaper.escape(text.scalars[(position + 1)...])
                guard consumed > 0 else {
                    let end = min(position + 2, text.scalars.count)
                    throw failure(
                        "Syntax error: token recognition error at: '\(text.substring(start..<end))'", start)
                }
                position += 1 + consumed
            } else {
                // In a raw string a backslash keeps the quote after it from ending the string.
                unescaper.append(scalar)
                position += 1
                if isRaw, scalar == "\\", let next = peek(), next == quote, !isLong {
                    unescaper.append(next)
                    position += 1
                }
            }
        }
    }
}
