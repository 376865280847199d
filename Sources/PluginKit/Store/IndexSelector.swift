import PluginAPI

/// A selector over a record's index, in the text form that the store takes: comma-separated requirements `a=b`, `a!=b`,
/// `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, `a>1`, `a<1`, where names of fields begin with a dot. An absent name satisfies `!=` and
/// `notin`, as in Kubernetes.
public struct IndexSelector: Sendable, Equatable {
    enum Requirement: Sendable, Equatable {
        case exists(String)
        case absent(String)
        case anyOf(String, [String])
        case noneOf(String, [String])
        case above(String, Int64)
        case below(String, Int64)
    }
    let requirements: [Requirement]

    /// - Throws: INVALID_ARGUMENT that names the requirement which cannot be read.
    public init(parsing text: String) throws(PluginError) {
        var requirements: [Requirement] = []
        for part in IndexSelector.split(text) { requirements.append(try IndexSelector.requirement(part)) }
        self.requirements = requirements
    }

    /// The empty selector matches everything.
    public var isEmpty: Bool { requirements.isEmpty }

    public func matches(_ value: (String) -> String?) -> Bool {
        requirements.allSatisfy { requirement in
            switch requirement {
            case .exists(let name): value(name) != nil
            case .absent(let name): value(name) == nil
            case .anyOf(let name, let values): value(name).map(values.contains) ?? false
            case .noneOf(let name, let values): !(value(name).map(values.contains) ?? false)
            case .above(let name, let bound): value(name).flatMap { Int64($0) }.map { $0 > bound } ?? false
            case .below(let name, let bound): value(name).flatMap { Int64($0) }.map { $0 < bound } ?? false
            }
        }
    }

    /// Splits at the commas that are not inside parentheses.
    private static func split(_ text: String) -> [Substring] {
        var parts: [Substring] = []
        var depth = 0
        var start = text.startIndex
        for index in text.indices {
            switch text[index] {
            case "(": depth += 1
            case ")": depth -= 1
            case "," where depth == 0:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        parts.append(text[start...])
        let words = parts.map(trimmed)
        return words == [""] ? [] : words
    }

    private static func requirement(_ text: Substring) throws(PluginError) -> Requirement {
        guard !text.isEmpty else { throw .invalid("selector: nothing stands beside a comma; write a=b,c=d") }
        if let set = try setRequirement(text) { return set }
        if let comparison = try comparison(text) { return comparison }
        if let equals = text.firstIndex(of: "=") {
            let isNegated = equals > text.startIndex && text[text.index(before: equals)] == "!"
            let name = trimmed(text[..<(isNegated ? text.index(before: equals) : equals)])
            var value = text[text.index(after: equals)...]
            if !isNegated, value.first == "=" { value = value.dropFirst() }
            guard !name.isEmpty else {
                throw .invalid("selector: \"\(text)\" names nothing; write a=b")
            }
            return isNegated
                ? .noneOf(String(name), [String(trimmed(value))]) : .anyOf(String(name), [String(trimmed(value))])
        }
        if text.first == "!" {
            let name = trimmed(text.dropFirst())
            if !name.isEmpty { return .absent(String(name)) }
        }
        guard !text.contains(where: { " ()!".contains($0) }) else {
            throw .invalid("selector: \"\(text)\" is no requirement; write a=b, a in (b,c), a or !a")
        }
        return .exists(String(text))
    }

    private static func setRequirement(_ text: Substring) throws(PluginError) -> Requirement? {
        guard text.last == ")", let open = text.firstIndex(of: "(") else { return nil }
        let words = text[..<open].split(separator: " ")
        guard words.count == 2, words[1] == "in" || words[1] == "notin" else {
            throw .invalid("selector: \"\(text)\" is no requirement; write a in (b,c) or a notin (b,c)")
        }
        let values = text[text.index(after: open)...].dropLast().split(separator: ",", omittingEmptySubsequences: false)
            .map { String(trimmed($0)) }
        return words[1] == "in" ? .anyOf(String(words[0]), values) : .noneOf(String(words[0]), values)
    }

    private static func comparison(_ text: Substring) throws(PluginError) -> Requirement? {
        guard let sign = text.firstIndex(where: { $0 == ">" || $0 == "<" }) else { return nil }
        let name = String(trimmed(text[..<sign]))
        guard !name.isEmpty, let bound = Int64(trimmed(text[text.index(after: sign)...])) else {
            throw .invalid("selector: \"\(text)\" is no requirement; write a>1 or a<1 with a whole number")
        }
        return text[sign] == ">" ? .above(name, bound) : .below(name, bound)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " { text = text.dropFirst() }
        while text.last == " " { text = text.dropLast() }
        return text
    }
}
