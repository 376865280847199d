import PluginKit

/// A selector over index bytes ("name\0value\0…"): "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2". The empty one matches
/// everything.
struct Selector {
    private enum Test {
        case among([String])
        case notAmong([String])
        case exists
        case absent
        case above(Int64)
        case below(Int64)
    }

    private var requirements: [(name: String, test: Test)] = []
    var isEmpty: Bool { requirements.isEmpty }

    init(_ bytes: [UInt8]) throws {
        guard bytes.count <= 65_536, let text = String(validating: bytes, as: UTF8.self) else {
            throw PluginError.invalid("the selector is not text of at most 65,536 bytes")
        }
        var parser = Parser(rest: text[...])
        parser.skipSpace()
        while !parser.rest.isEmpty {
            guard let requirement = parser.requirement(),
                parser.rest.isEmpty || (parser.take(",") && !parser.rest.isEmpty)
            else { throw PluginError.invalid("\"\(text.prefix(100))\" is no selector") }
            requirements.append(requirement)
        }
    }

    func matches(_ index: [UInt8]) -> Bool {
        if requirements.isEmpty { return true }
        var values: [String: String] = [:]
        let parts = index.split(separator: 0, omittingEmptySubsequences: false)
        for place in stride(from: 0, to: parts.count - 1, by: 2) {
            values[String(decoding: parts[place], as: UTF8.self)] = String(decoding: parts[place + 1], as: UTF8.self)
        }
        return requirements.allSatisfy { name, test in
            let value = values[name]
            return switch test {
            case .exists: value != nil
            case .absent: value == nil
            case .among(let wanted): value.map(wanted.contains) ?? false
            case .notAmong(let refused): !(value.map(refused.contains) ?? false)
            case .above(let bound): value.flatMap { Int64($0) }.map { $0 > bound } ?? false
            case .below(let bound): value.flatMap { Int64($0) }.map { $0 < bound } ?? false
            }
        }
    }

    private struct Parser {
        var rest: Substring

        mutating func skipSpace() { rest = rest.drop { $0 == " " || $0 == "\t" } }

        mutating func take(_ word: String) -> Bool {
            guard rest.hasPrefix(word) else { return false }
            rest = rest.dropFirst(word.count)
            skipSpace()
            return true
        }

        mutating func word() -> String {
            let word = rest.prefix { !" \t\r\n,()=!<>\u{7f}".contains($0) }
            rest = rest[word.endIndex...]
            skipSpace()
            return String(word)
        }

        mutating func requirement() -> (name: String, test: Test)? {
            let isAbsent = take("!")
            let name = word()
            if name.isEmpty { return nil }
            if isAbsent { return (name, .absent) }
            if rest.isEmpty || rest.hasPrefix(",") { return (name, .exists) }
            if take("!=") { return (name, .notAmong([word()])) }
            if take("==") || take("=") { return (name, .among([word()])) }
            if take(">") { return Int64(word()).map { (name, .above($0)) } }
            if take("<") { return Int64(word()).map { (name, .below($0)) } }
            switch word() {
            case "in": return list().map { (name, .among($0)) }
            case "notin": return list().map { (name, .notAmong($0)) }
            default: return nil
            }
        }

        private mutating func list() -> [String]? {
            guard take("(") else { return nil }
            var values: [String] = []
            repeat { values.append(word()) } while take(",")
            return take(")") ? values : nil
        }
    }
}
