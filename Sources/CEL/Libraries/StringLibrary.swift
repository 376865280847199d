extension CELLibrary {
    /// `charAt`, `indexOf`, `join`, `lowerAscii`, `replace`, `reverse`, `split`, `substring`, `trim`, `format`, `strings.quote`
    /// and the like.
    /// See https://pkg.go.dev/github.com/google/cel-go/ext#Strings.
    public static let strings = CELLibrary("strings", parts + searches + changes + listChanges + formatting)

    private static let parts: [Overload] = [
        .binary("string . charAt(int): string") { text, index throws(CELError) in
            let scalars = Array(try text.string().unicodeScalars)
            let index = try index.int()
            guard index >= 0, index <= scalars.count else { throw CELError("index out of range: \(index)") }
            return .string(index == scalars.count ? "" : String(Character(scalars[Int(index)])))
        },
        .binary("string . substring(int): string", cost: .traversal(of: 0, times: 1)) { text, start throws(CELError) in
            let scalars = Array(try text.string().unicodeScalars)
            return try substring(scalars, try start.int(), Int64(scalars.count))
        },
        .variadic("string . substring(int, int): string", cost: .traversal(of: 0, times: 1)) {
            values throws(CELError) in
            let scalars = Array(try values[0].string().unicodeScalars)
            return try substring(scalars, try values[1].int(), try values[2].int())
        },
    ]

    private static func substring(
        _ scalars: [Unicode.Scalar], _ start: Int64, _ end: Int64
    ) throws(CELError) -> CELValue {
        guard start <= end else { throw CELError("invalid substring range. start: \(start), end: \(end)") }
        guard start >= 0, start <= scalars.count else { throw CELError("index out of range: \(start)") }
        guard end <= scalars.count else { throw CELError("index out of range: \(end)") }
        return .string(String(scalars: scalars[Int(start)..<Int(end)]))
    }

    // MARK: - Searches

    private static let searches: [Overload] = [
        .binary("string . indexOf(string): int", cost: .traversal(of: 0, times: 1)) { text, part throws(CELError) in
            try firstPosition(text, part, 0)
        },
        .variadic("string . indexOf(string, int): int", cost: .traversal(of: 0, times: 1)) { values throws(CELError) in
            try firstPosition(values[0], values[1], try values[2].int())
        },
        .binary("string . lastIndexOf(string): int", cost: .traversal(of: 0, times: 1)) { text, part throws(CELError) in
            let (text, part) = (Array(try text.string().unicodeScalars), Array(try part.string().unicodeScalars))
            return .int(Int64(TextSearch.last(part, in: text, from: text.count) ?? -1))
        },
        .variadic("string . lastIndexOf(string, int): int", cost: .traversal(of: 0, times: 1)) {
            values throws(CELError) in
            let text = Array(try values[0].string().unicodeScalars)
            let start = try values[2].int()
            guard start >= 0, start <= text.count else { throw CELError("index out of range: \(start)") }
            let part = Array(try values[1].string().unicodeScalars)
            return .int(Int64(TextSearch.last(part, in: text, from: Int(start)) ?? -1))
        },
    ]

    private static func firstPosition(
        _ text: CELValue, _ part: CELValue, _ start: Int64
    ) throws(CELError) -> CELValue {
        let text = Array(try text.string().unicodeScalars)
        guard start >= 0, start <= text.count else { throw CELError("index out of range: \(start)") }
        let part = Array(try part.string().unicodeScalars)
        return .int(Int64(TextSearch.first(part, in: text, from: Int(start)) ?? -1))
    }

    // MARK: - Changes

    private static let changes: [Overload] = [
        .unary("string . lowerAscii(): string", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .string(String(decoding: try text.string().utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self))
        },
        .unary("string . upperAscii(): string", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .string(String(decoding: try text.string().utf8.map { $0 &- 0x61 < 26 ? $0 & 0xDF : $0 }, as: UTF8.self))
        },
        .unary("string . trim(): string", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            let scalars = Array(try text.string().unicodeScalars)
            guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
                let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
            else { return .string("") }
            return .string(String(scalars: scalars[first...last]))
        },
        .unary("string . reverse(): string", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .string(String(scalars: try text.string().unicodeScalars.reversed()))
        },
        .variadic("string . replace(string, string): string", cost: .traversal(of: 0, times: 2)) {
            values throws(CELError) in
            .string(try replaced(try values[0].string(), try values[1].string(), try values[2].string(), -1))
        },
        .variadic("string . replace(string, string, int): string", cost: .traversal(of: 0, times: 2)) {
            values throws(CELError) in
            let limit = try values[3].int()
            return .string(try replaced(try values[0].string(), try values[1].string(), try values[2].string(), limit))
        },
    ]

    /// A result of more bytes than this is refused: each replacement can be longer than what it replaces.
    private static let lengthLimit = 16 << 20

    private static func replaced(
        _ text: String, _ old: String, _ new: String, _ limit: Int64
    ) throws(CELError) -> String {
        let pieces = pieces(text, old, limit < 0 ? .max : limit == .max ? .max : limit + 1)
        let length = text.utf8.count + (pieces.count - 1) * new.utf8.count
        guard length <= lengthLimit else { throw CELError("the result of replace is too long: \(length) bytes") }
        // An empty text stands in front of each code point, and at the end.
        guard old.isEmpty, pieces.count > 0 else { return pieces.joined(separator: new) }
        if limit == 0 { return text }
        let scalars = Array(text.unicodeScalars)
        var result = ""
        for (index, scalar) in scalars.enumerated() {
            if limit < 0 || index < limit { result += new }
            result.unicodeScalars.append(scalar)
        }
        return limit < 0 || scalars.count < limit ? result + new : result
    }

    /// The texts between at most `limit - 1` separators; each code point when the separator is empty.
    static func pieces(_ text: String, _ separator: String, _ limit: Int64) -> [String] {
        if limit == 0 { return [] }
        if limit == 1 { return [text] }
        let scalars = Array(text.unicodeScalars)
        if separator.isEmpty {
            let single = limit < 0 ? scalars.count : Int(min(limit - 1, Int64(scalars.count)))
            var pieces = scalars.prefix(single).map { String(Character($0)) }
            if single < scalars.count { pieces.append(String(scalars: scalars[single...])) }
            return pieces
        }
        let needle = Array(separator.unicodeScalars)
        var pieces: [String] = []
        var start = 0
        while limit < 0 || pieces.count < limit - 1, let found = TextSearch.first(needle, in: scalars, from: start) {
            pieces.append(String(scalars: scalars[start..<found]))
            start = found + needle.count
        }
        return pieces + [String(scalars: scalars[start...])]
    }

    // MARK: - Lists

    private static let listChanges: [Overload] = [
        .binary("string . split(string): list(string)", cost: .traversal(of: 0, times: 2)) {
            text, separator throws(CELError) in
            .list(.values(pieces(try text.string(), try separator.string(), -1).map { .string($0) }))
        },
        .variadic("string . split(string, int): list(string)", cost: .traversal(of: 0, times: 2)) {
            values throws(CELError) in
            let pieces = pieces(try values[0].string(), try values[1].string(), try values[2].int())
            return .list(.values(pieces.map { .string($0) }))
        },
        .unary("list(string) . join(): string", cost: .resultTraversal(times: 2)) { list throws(CELError) in
            .string(try list.strings().joined())
        },
        .binary("list(string) . join(string): string", cost: .resultTraversal(times: 2)) {
            list, separator throws(CELError) in
            .string(try list.strings().joined(separator: try separator.string()))
        },
    ]

    private static let formatting: [Overload] = [
        .binary("string . format(list(dyn)): string", cost: .traversal(of: 0, times: 1)) {
            text, values throws(CELError) in
            .string(try StringFormat.formatted(try text.string(), try values.elements()))
        },
        .unary("strings.quote(string): string", cost: .traversal(of: 0, times: 1)) { text throws(CELError) in
            .string(StringFormat.quoted(try text.string()))
        },
    ]
}
