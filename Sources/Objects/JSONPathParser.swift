/// Reads the text of a `JSONPath`.
struct JSONPathParser {
    private let text: [UInt8]
    private var position = 0

    init(_ text: String) { self.text = Array(text.utf8) }

    private init(_ text: ArraySlice<UInt8>) { self.text = Array(text) }

    private func problem(_ what: String) -> JSONPath.ParseError {
        JSONPath.ParseError(description: "\(what) in \"\(String(decoding: text, as: UTF8.self))\"")
    }

    mutating func parse() throws(JSONPath.ParseError) -> [JSONPath.Step] {
        var steps: [JSONPath.Step] = []
        if text.first == UInt8(ascii: "$") || text.first == UInt8(ascii: "@") { position = 1 }
        while position < text.count {
            switch text[position] {
            case UInt8(ascii: "."):
                position += 1
                if position < text.count, text[position] == UInt8(ascii: ".") {
                    position += 1
                    steps.append(.descend)
                    guard position < text.count else { throw problem("nothing follows ..") }
                }
                if position < text.count, text[position] != UInt8(ascii: "[") { steps += try member() }
            case UInt8(ascii: "["): steps.append(try bracket())
            default: steps += try member()
            }
        }
        return steps
    }

    /// A name up to the next dot or bracket; a backslash lets either be part of it.
    private mutating func member() throws(JSONPath.ParseError) -> [JSONPath.Step] {
        var name: [UInt8] = []
        while position < text.count {
            let byte = text[position]
            if byte == UInt8(ascii: "."), !name.isEmpty { break }
            if byte == UInt8(ascii: "[") { break }
            if byte == UInt8(ascii: "\\"), position + 1 < text.count { position += 1 }
            name.append(text[position])
            position += 1
        }
        guard !name.isEmpty else { throw problem("a name is missing") }
        return [name == [UInt8(ascii: "*")] ? .all : .member(String(decoding: name, as: UTF8.self))]
    }

    private mutating func bracket() throws(JSONPath.ParseError) -> JSONPath.Step {
        guard let end = closing() else { throw problem("unterminated array") }
        let inner = text[(position + 1)..<end]
        position = end + 1
        if inner.elementsEqual("*".utf8) { return .all }
        if inner.starts(with: "?(".utf8), inner.last == UInt8(ascii: ")") {
            return .filter(try Self.filter(inner.dropFirst(2).dropLast()))
        }
        if let quote = inner.first, quote == 0x27 || quote == 0x22, inner.count >= 2, inner.last == quote {
            return .member(String(decoding: Self.unescaped(inner.dropFirst().dropLast()), as: UTF8.self))
        }
        let parts = String(decoding: inner, as: UTF8.self).split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 1, let index = Int(parts[0]) { return .index(index) }
        if parts.count == 2, parts.allSatisfy({ $0.isEmpty || Int($0) != nil }) {
            return .slice(from: Int(parts[0]), to: Int(parts[1]))
        }
        throw problem("invalid array index \(String(decoding: inner, as: UTF8.self))")
    }

    /// A backslash stands for what follows it, as in names without quotes.
    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var isEscaped = false
        for byte in text {
            if byte == UInt8(ascii: "\\"), !isEscaped {
                isEscaped = true
                continue
            }
            isEscaped = false
            result.append(byte)
        }
        return result
    }

    /// The position of the bracket that closes the one at hand; those in quotes do not count.
    private func closing() -> Int? {
        var depth = 0
        var quote: UInt8?
        for index in position..<text.count {
            let byte = text[index]
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == 0x27 || byte == 0x22 {
                quote = byte
            } else if byte == UInt8(ascii: "[") {
                depth += 1
            } else if byte == UInt8(ascii: "]") {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }

    private static func filter(_ text: ArraySlice<UInt8>) throws(JSONPath.ParseError) -> JSONPath.Filter {
        let whole = String(decoding: text, as: UTF8.self)
        for comparison in ["==", "!=", "<=", ">=", "<", ">"] {
            guard let found = range(of: comparison, in: text) else { continue }
            var left = JSONPathParser(trimmed(text[text.startIndex..<found]))
            let right = trimmed(text[(found + comparison.utf8.count)...])
            return JSONPath.Filter(path: try left.parse(), comparison: comparison, value: try literal(right, whole))
        }
        var path = JSONPathParser(trimmed(text))
        return JSONPath.Filter(path: try path.parse(), comparison: "", value: .null)
    }

    private static func range(of word: String, in text: ArraySlice<UInt8>) -> Int? {
        let word = Array(word.utf8)
        var quote: UInt8?
        for index in text.indices {
            if let open = quote {
                if text[index] == open { quote = nil }
            } else if text[index] == 0x27 || text[index] == 0x22 {
                quote = text[index]
            } else if text[index...].starts(with: word) {
                return index
            }
        }
        return nil
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        while text.first == 0x20 { text = text.dropFirst() }
        while text.last == 0x20 { text = text.dropLast() }
        return text
    }

    private static func literal(
        _ text: ArraySlice<UInt8>, _ whole: String
    ) throws(JSONPath.ParseError) -> JSON {
        if let quote = text.first, quote == 0x27 || quote == 0x22, text.count >= 2, text.last == quote {
            return .string(String(decoding: text.dropFirst().dropLast(), as: UTF8.self))
        }
        do { return try JSON(parsing: Array(text)) } catch {
            throw JSONPath.ParseError(description: "\"\(whole)\" compares with what is no value")
        }
    }
}
