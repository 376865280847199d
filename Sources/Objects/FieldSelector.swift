/// A condition over fields of an object: all requirements must hold.
/// See https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/.
public struct FieldSelector: Sendable, Hashable {
    public struct Requirement: Sendable, Hashable {
        /// "metadata.name".
        public let path: String
        /// Whether the field must equal the value, or must not.
        public let equals: Bool
        public let value: String
    }

    public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    public let requirements: [Requirement]

    public static let everything = FieldSelector(requirements: [])

    public init(requirements: [Requirement]) { self.requirements = requirements }

    /// Parses "metadata.name=a,status.phase!=Running". In a value, a backslash escapes itself, the comma and the
    /// equals sign. Empty text selects everything.
    public init(parsing text: String) throws(ParseError) {
        var requirements: [Requirement] = []
        for term in Self.split(Array(text.utf8)) where !term.isEmpty {
            requirements.append(try Self.requirement(term))
        }
        self.requirements = requirements
    }

    public var isEmpty: Bool { requirements.isEmpty }

    /// Tests an object's fields. An absent field equals the empty text, "false" and "0", as its type's zero value.
    public func matches(object: JSON) -> Bool {
        requirements.allSatisfy { requirement in
            let field = object[path: requirement.path.split(separator: ".").map(String.init)]
            let isEqual =
                switch field {
                case .string(let text): text.hasSameBytes(as: requirement.value)
                case .null: ["", "false", "0"].contains(requirement.value)
                default: field.serializedString() == requirement.value
                }
            return isEqual == requirement.equals
        }
    }

    /// The value that a field must have when the selector fixes it to one.
    public func requiredValue(of path: String) -> String? {
        requirements.first { $0.path == path && $0.equals }?.value
    }

    private static func split(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
        var terms: [ArraySlice<UInt8>] = []
        var start = 0
        var position = 0
        while position < text.count {
            if text[position] == UInt8(ascii: "\\") {
                position += 2
            } else {
                if text[position] == UInt8(ascii: ",") {
                    terms.append(text[start..<position])
                    start = position + 1
                }
                position += 1
            }
        }
        terms.append(text[start...])
        return terms
    }

    private static func requirement(_ term: ArraySlice<UInt8>) throws(ParseError) -> Requirement {
        let text = String(decoding: term, as: UTF8.self)
        guard let sign = term.firstIndex(of: UInt8(ascii: "=")) else {
            throw ParseError(description: "invalid selector: '\(text)'; can't understand '\(text)'")
        }
        let isNegated = sign > term.startIndex && term[sign - 1] == UInt8(ascii: "!")
        var valueStart = sign + 1
        if !isNegated, valueStart < term.endIndex, term[valueStart] == UInt8(ascii: "=") { valueStart += 1 }
        let path = String(decoding: term[..<(isNegated ? sign - 1 : sign)], as: UTF8.self)
        guard !path.isEmpty else { throw ParseError(description: "invalid selector: '\(text)'; the field is missing") }
        var value: [UInt8] = []
        var position = valueStart
        while position < term.endIndex {
            switch term[position] {
            case UInt8(ascii: "\\"):
                position += 1
                guard position < term.endIndex,
                    [UInt8(ascii: "\\"), UInt8(ascii: ","), UInt8(ascii: "=")].contains(term[position])
                else { throw ParseError(description: "invalid field selector: invalid escape sequence in '\(text)'") }
            case UInt8(ascii: "="):
                throw ParseError(description: "invalid field selector: unescaped character in value: '='")
            default: break
            }
            value.append(term[position])
            position += 1
        }
        return Requirement(path: path, equals: !isNegated, value: String(decoding: value, as: UTF8.self))
    }
}

extension FieldSelector: CustomStringConvertible {
    public var description: String {
        requirements.map { requirement in
            var value: [UInt8] = []
            for byte in requirement.value.utf8 {
                if [UInt8(ascii: "\\"), UInt8(ascii: ","), UInt8(ascii: "=")].contains(byte) {
                    value.append(UInt8(ascii: "\\"))
                }
                value.append(byte)
            }
            return requirement.path + (requirement.equals ? "=" : "!=") + String(decoding: value, as: UTF8.self)
        }.joined(separator: ",")
    }
}
