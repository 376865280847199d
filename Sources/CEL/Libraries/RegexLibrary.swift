extension CELLibrary {
    /// `find` and `findAll`.
    public static let regex = CELLibrary(
        "regex",
        [
            .binary("string . find(string): string", cost: .regex) { text, pattern throws(CELError) in
                let scalars = Array(try text.string().unicodeScalars)
                let match = try RegularExpression(evaluating: try pattern.string()).firstMatch(scalars)
                return .string(match.map { String(scalars: scalars[$0]) } ?? "")
            },
            .binary("string . findAll(string): list(string)", cost: .regex) { text, pattern throws(CELError) in
                try found(try text.string(), try pattern.string(), .max)
            },
            .variadic("string . findAll(string, int): list(string)", cost: .regex) { values throws(CELError) in
                let limit = try values[2].int()
                return try found(try values[0].string(), try values[1].string(), limit < 0 ? .max : Int(limit))
            },
        ])

    private static func found(_ text: String, _ pattern: String, _ limit: Int) throws(CELError) -> CELValue {
        let scalars = Array(text.unicodeScalars)
        let matches = try RegularExpression(evaluating: pattern).allMatches(scalars, limit: limit)
        return .list(.values(matches.map { .string(String(scalars: scalars[$0])) }))
    }
}

extension String {
    init(scalars: some Sequence<Unicode.Scalar>) {
        self = ""
        unicodeScalars.append(contentsOf: scalars)
    }
}
