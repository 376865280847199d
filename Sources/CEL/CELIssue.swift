/// One mistake in an expression's text, found before it is evaluated.
public struct CELIssue: Error, Sendable, Hashable {
    public let message: String
    /// From 1.
    public let line: Int
    /// From 0, in code points.
    public let column: Int
    /// The text of that line.
    public let snippet: String
}

/// The mistakes of an expression, at least one.
public struct CELIssues: Error, Sendable, Hashable, CustomStringConvertible {
    public let issues: [CELIssue]

    /// All mistakes with their lines and a caret below each place, in the form that users of CEL know:
    ///
    ///     ERROR: <input>:1:6: undefined field 'x'
    ///      | self.x
    ///      | .....^
    public var description: String { issues.map(\.description).joined(separator: "\n") }
}

extension CELIssue: CustomStringConvertible {
    public var description: String {
        let place = "ERROR: <input>:\(line):\(column + 1): \(message)"
        return place + "\n | \(snippet)\n | " + String(repeating: ".", count: column) + "^"
    }
}
