/// A regular expression with RE2's syntax and semantics: matching takes time linear in the text, whatever the pattern.
/// See https://github.com/google/re2/wiki/Syntax.
///
/// Unicode scripts (`\p{Greek}`) are not known, general categories (`\p{Lu}`) are.
public struct RegularExpression: Sendable {
    /// A pattern that is none.
    public struct SyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String

        init(_ problem: String, _ place: String) {
            description = "error parsing regexp: \(problem): `\(place)`"
        }
    }

    let program: RegexProgram

    /// Complexity: O(length of the pattern), but for counted repetitions.
    public init(_ pattern: String) throws(SyntaxError) {
        var parser = RegexParser(pattern)
        program = try RegexCompiler.compile(try parser.parse(), pattern)
    }

    /// Whether some part of the text matches.
    public func matches(_ text: String) -> Bool {
        var machine = RegexMachine(program)
        return machine.hasMatch(Array(text.unicodeScalars))
    }

    /// The first match, and the leftmost alternatives' of those that begin there; in code points.
    func firstMatch(_ text: [Unicode.Scalar], from start: Int = 0) -> Range<Int>? {
        var machine = RegexMachine(program)
        return machine.firstMatch(text, from: start)
    }

    /// At most `limit` matches that do not overlap, from left to right.
    func allMatches(_ text: [Unicode.Scalar], limit: Int) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var position = 0
        var lastEnd = -1
        while found.count < limit, position <= text.count, let match = firstMatch(text, from: position) {
            // An empty match right behind another is none.
            if !match.isEmpty || match.lowerBound != lastEnd { found.append(match) }
            lastEnd = match.upperBound
            position = match.isEmpty ? match.upperBound + 1 : match.upperBound
        }
        return found
    }
}
