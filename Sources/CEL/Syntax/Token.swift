/// A word of an expression.
struct Token: Sendable {
    enum Kind: Sendable, Hashable {
        case identifier(String)
        /// `true`, `false`, `null`, `in`.
        case keyword(String)
        case integer(String)
        case unsigned(String)
        case floating(String)
        case string(String)
        case bytes([UInt8])
        /// An operator or a bracket.
        case symbol(String)
        case end
    }

    let kind: Kind
    /// Code points from the text's start.
    let range: Range<Int>

    func isSymbol(_ text: String) -> Bool { kind == .symbol(text) }
}

/// Words that CEL keeps for languages that it is embedded in.
enum ReservedWords {
    static let identifiers: Set<String> = [
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ]
    static let keywords: Set<String> = ["true", "false", "null", "in"]
}
