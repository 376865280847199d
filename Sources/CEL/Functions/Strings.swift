import Objects

extension StandardFunctions {
    static let strings: [Overload] =
        sizes + [
            .binary("string . contains(string): bool", cost: .product) { text, part throws(CELError) in
                .bool(
                    TextSearch.first(Array(try part.string().utf8), in: Array(try text.string().utf8), from: 0) != nil)
            },
            .binary("string . startsWith(string): bool", cost: .traversal(of: 0, times: 1)) {
                text, part throws(CELError) in
                .bool(try text.string().utf8.starts(with: try part.string().utf8))
            },
            .binary("string . endsWith(string): bool", cost: .traversal(of: 0, times: 1)) {
                text, part throws(CELError) in
                .bool(try text.string().utf8.reversed().starts(with: try part.string().utf8.reversed()))
            },
        ]
        + ["string . matches(string): bool", "matches(string, string): bool"].map {
            .binary($0, cost: .regex) { text, pattern throws(CELError) in
                .bool(try RegularExpression(evaluating: try pattern.string()).matches(try text.string()))
            }
        }

    private static let sizes: [Overload] = ["string", "bytes", "list(A)", "map(A, B)"].flatMap { type -> [Overload] in
        let body: Overload.Unary = { value throws(CELError) in
            switch value {
            case .string, .bytes, .list, .map: return .int(Int64(value.size))
            default: throw .noSuchOverload
            }
        }
        return [.unary("size(\(type)): int", body), .unary("\(type) . size(): int", body)]
    }
}

extension RegularExpression {
    /// A pattern that an evaluation has made.
    init(evaluating pattern: String) throws(CELError) {
        do {
            try self.init(pattern)
        } catch {
            throw CELError("\(error)")
        }
    }
}

/// Where a text stands within another.
enum TextSearch {
    /// The first place at or after `start`. Complexity: O(n·m) at worst, which the cost of the calls takes into account.
    static func first<Element: Equatable>(_ needle: [Element], in text: [Element], from start: Int) -> Int? {
        guard needle.count <= text.count else { return nil }
        guard let head = needle.first else { return start <= text.count ? start : nil }
        var position = max(start, 0)
        while position + needle.count <= text.count {
            if text[position] == head, text[position..<(position + needle.count)].elementsEqual(needle) {
                return position
            }
            position += 1
        }
        return nil
    }

    /// The last place at or before `start`.
    static func last<Element: Equatable>(_ needle: [Element], in text: [Element], from start: Int) -> Int? {
        var position = min(start, text.count - needle.count)
        while position >= 0 {
            if text[position..<(position + needle.count)].elementsEqual(needle) { return position }
            position -= 1
        }
        return nil
    }
}
