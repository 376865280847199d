/// The grammar of label selectors in text form: requirements joined by commas.
struct LabelSelectorParser {
    private enum Token: Equatable {
        case word(String)
        case sign(UInt8)
        case notEqual
        case doubleEqual
        case end

        var text: String {
            switch self {
            case .word(let word): word
            case .sign(let byte): String(UnicodeScalar(byte))
            case .notEqual: "!="
            case .doubleEqual: "=="
            case .end: ""
            }
        }
    }

    private let text: [UInt8]
    private let allowsFieldNames: Bool
    private var cursor = 0
    private var token = Token.end

    init(_ text: String, allowsFieldNames: Bool) {
        self.text = Array(text.utf8)
        self.allowsFieldNames = allowsFieldNames
    }

    mutating func parse() throws(LabelSelector.ParseError) -> [LabelSelector.Requirement] {
        var requirements: [LabelSelector.Requirement] = []
        advance()
        if token == .end { return [] }
        guard beginsRequirement else { throw unexpected("!, identifier, or 'end of string'") }
        while true {
            do throws(LabelSelector.ParseError) { requirements.append(try requirement()) } catch {
                throw LabelSelector.ParseError(description: "unable to parse requirement: \(error)")
            }
            switch token {
            case .end: return requirements
            case .sign(UInt8(ascii: ",")):
                advance()
                guard beginsRequirement else { throw unexpected("identifier after ','") }
            default: throw unexpected("',' or 'end of string'")
            }
        }
    }

    private var beginsRequirement: Bool {
        if case .word = token { return true }
        return token == .sign(UInt8(ascii: "!"))
    }

    private mutating func requirement() throws(LabelSelector.ParseError) -> LabelSelector.Requirement {
        if token == .sign(UInt8(ascii: "!")) {
            advance()
            return try LabelSelector.Requirement(try key(), .doesNotExist, [])
        }
        let key = try key()
        let `operator`: LabelSelector.Operator
        switch token {
        case .end, .sign(UInt8(ascii: ",")): return try LabelSelector.Requirement(key, .exists, [])
        case .sign(UInt8(ascii: "=")), .doubleEqual: `operator` = .equals
        case .notEqual: `operator` = .notEquals
        case .sign(UInt8(ascii: ">")): `operator` = .greaterThan
        case .sign(UInt8(ascii: "<")): `operator` = .lessThan
        case .word("in"): `operator` = .isIn
        case .word("notin"): `operator` = .isNotIn
        default: throw unexpected("in, notin, =, ==, !=, gt, lt")
        }
        advance()
        let values = `operator` == .isIn || `operator` == .isNotIn ? try set() : [try singleValue()]
        return try LabelSelector.Requirement(key, `operator`, values)
    }

    private mutating func key() throws(LabelSelector.ParseError) -> String {
        guard case .word(let key) = token else { throw unexpected("identifier") }
        if key.hasPrefix("."), !allowsFieldNames {
            throw LabelSelector.ParseError(description: "\"\(key)\": \(NameChecks.qualifiedName(key).first ?? "")")
        }
        advance()
        return key
    }

    private mutating func singleValue() throws(LabelSelector.ParseError) -> String {
        switch token {
        case .end, .sign(UInt8(ascii: ",")): return ""
        case .word(let value):
            advance()
            return value
        default: throw unexpected("identifier")
        }
    }

    private mutating func set() throws(LabelSelector.ParseError) -> [String] {
        guard token == .sign(UInt8(ascii: "(")) else { throw unexpected("'('") }
        advance()
        var values: [String] = []
        var expectsValue = true
        while true {
            switch token {
            case .word(let value) where expectsValue:
                values.append(value)
                expectsValue = false
            case .sign(UInt8(ascii: ",")):
                if expectsValue { values.append("") }
                expectsValue = true
            case .sign(UInt8(ascii: ")")):
                if expectsValue { values.append("") }
                advance()
                return values
            default: throw unexpected("',', or ')'")
            }
            advance()
        }
    }

    private func unexpected(_ expected: String) -> LabelSelector.ParseError {
        LabelSelector.ParseError(description: "found '\(token.text)', expected: \(expected)")
    }

    /// What ends a word unless it is escaped.
    static func needsEscape(_ byte: UInt8) -> Bool {
        byte <= 0x20 || isSign(byte) || byte == UInt8(ascii: "\\")
    }

    private static func isSign(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","),
            UInt8(ascii: "<"), UInt8(ascii: ">"):
            true
        default: false
        }
    }

    private mutating func advance() {
        while cursor < text.count, text[cursor] <= 0x20 { cursor += 1 }
        guard cursor < text.count else {
            token = .end
            return
        }
        let byte = text[cursor]
        let next = cursor + 1 < text.count ? text[cursor + 1] : 0
        if Self.isSign(byte) {
            cursor += 1
            token = .sign(byte)
            if next == UInt8(ascii: "="), byte == UInt8(ascii: "=") || byte == UInt8(ascii: "!") {
                cursor += 1
                token = byte == UInt8(ascii: "=") ? .doubleEqual : .notEqual
            }
            return
        }
        var word: [UInt8] = []
        while cursor < text.count, text[cursor] > 0x20, !Self.isSign(text[cursor]) {
            if allowsFieldNames, text[cursor] == UInt8(ascii: "\\"), cursor + 1 < text.count { cursor += 1 }
            word.append(text[cursor])
            cursor += 1
        }
        token = .word(String(decoding: word, as: UTF8.self))
    }
}
