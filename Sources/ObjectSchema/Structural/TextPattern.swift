/// A regular expression of a schema, which must occur in a text.
final class TextPattern: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): immutable after it was made; matching changes nothing in it.
    let text: String
    private let expression: Regex<AnyRegexOutput>

    private init(_ text: String) throws {
        self.text = text
        expression = try Regex(text)
    }

    /// Throws with what is wrong with the expression.
    static func make(_ text: String) throws(StructuralSchemaError) -> TextPattern {
        do { return try TextPattern(text) } catch {
            throw StructuralSchemaError("must be a valid regular expression, but isn't: \(error)")
        }
    }

    func occurs(in value: String) -> Bool { value.firstMatch(of: expression) != nil }
}
