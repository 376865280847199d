/// An expression's text as code points, by whose offsets places in it are told.
struct SourceText: Sendable {
    /// As in cel-go.
    static let codePointLimit = 100_000

    let scalars: [Unicode.Scalar]

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    /// A mistake at a place.
    func issue(_ message: String, at offset: Int) -> CELIssue {
        let offset = min(offset, scalars.count)
        let start = (scalars[..<offset].lastIndex(of: "\n") ?? -1) + 1
        let end = scalars[offset...].firstIndex(of: "\n") ?? scalars.count
        let line = 1 + scalars[..<start].count { $0 == "\n" }
        var snippet = ""
        // A tab would move the caret away from its place.
        snippet.unicodeScalars.append(contentsOf: scalars[start..<end].map { $0 == "\t" ? " " : $0 })
        return CELIssue(message: message, line: line, column: offset - start, snippet: snippet)
    }

    func substring(_ range: Range<Int>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars[range])
        return text
    }
}
