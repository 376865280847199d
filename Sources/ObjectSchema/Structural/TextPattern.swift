import CEL

/// A regular expression of a schema, which must occur in a text. Matching takes time linear in the text.
final class TextPattern: Sendable {
    let text: String
    private let expression: RegularExpression

    private init(_ text: String) throws(RegularExpression.SyntaxError) {
        self.text = text
        expression = try RegularExpression(text)
    }

    /// Throws with what is wrong with the expression.
    static func make(_ text: String) throws(StructuralSchemaError) -> TextPattern {
        do throws(RegularExpression.SyntaxError) { return try TextPattern(text) } catch {
            throw StructuralSchemaError("must be a valid regular expression, but isn't: \(error)")
        }
    }

    func occurs(in value: String) -> Bool { expression.matches(value) }
}
