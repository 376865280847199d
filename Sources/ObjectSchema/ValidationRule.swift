import CObjectSchema
import Objects

/// A row of validation.txt: a condition that a field of a type must fulfil.
final class ValidationRule: Sendable {
    enum Step: Sendable, Equatable {
        case field(String)
        /// Every element of a list.
        case elements
        /// Every value of a map.
        case values
        /// Every key of a map, as a string.
        case keys
    }

    let path: [Step]
    let name: String
    let arguments: [String]
    /// Replaces the detail of the message when not empty.
    let detail: String
    let condition: RuleCondition
    /// The field names of the path.
    let fieldNames: [String]
    /// What a rule about text has to say of one; nil for the other rules.
    let textCheck: (@Sendable (String) -> [String])?

    /// Whether it compares an object with what it was, rather than looking at one alone.
    var isAboutChanges: Bool {
        switch name {
        case "immutable", "setonce", "fixed": true
        default: false
        }
    }

    static let table = RuleTable(EmbeddedText(hostd_validation_text())) { ValidationRule($0) }

    /// Parses `PATH RULE [ARGUMENT …] [: DETAIL] [when CONDITION]`.
    init(_ line: String) {
        // A detail may hold the word as well, so it is the last one that counts.
        let mark = line.ranges(of: " when ").last
        condition = mark.map { RuleCondition(line[$0.upperBound...]) } ?? .always
        let parts = line[..<(mark?.lowerBound ?? line.endIndex)].parts(separatedBy: " : ", maxSplits: 1)
        detail = parts.count > 1 ? String(parts[1]) : ""
        let words = parts[0].split(separator: " ").map(String.init)
        path = Self.steps(words[0])
        name = words[1]
        arguments = Array(words.dropFirst(2))
        textCheck = Self.textCheck(words[1])
        fieldNames = path.compactMap { if case .field(let name) = $0 { name } else { nil } }
    }

    private static func steps(_ text: String) -> [Step] {
        if text == "." { return [] }
        var steps: [Step] = []
        for part in text.split(separator: ".") {
            var name = part
            var suffixes: [Step] = []
            while true {
                if name.hasSuffix("[]") {
                    name = name.dropLast(2)
                    suffixes.append(.elements)
                } else if name.hasSuffix("{}") {
                    name = name.dropLast(2)
                    suffixes.append(.values)
                } else if name.hasSuffix("{key}") {
                    name = name.dropLast(5)
                    suffixes.append(.keys)
                } else {
                    break
                }
            }
            if !name.isEmpty { steps.append(.field(String(name))) }
            steps += suffixes.reversed()
        }
        return steps
    }

    /// Calls `body` with each value at the path and its place. An absent field is visited as null when the object
    /// that would hold it is there.
    func forEachValue(in object: JSON, at place: String, _ body: (JSON, String) -> Void) {
        visit(object, path[...], place, body)
    }

    private func visit(_ value: JSON, _ rest: ArraySlice<Step>, _ place: String, _ body: (JSON, String) -> Void) {
        guard let step = rest.first else { return body(value, place) }
        switch step {
        case .field(let name):
            let next = value[name]
            // What is required below an absent object is missing as well; other rules have nothing to look at there.
            if next.isNull, rest.count > 1, self.name != "required" { return }
            visit(next, rest.dropFirst(), place.isEmpty ? name : place + "." + name, body)
        case .elements:
            for (index, element) in value.arrayValue.enumerated() {
                visit(element, rest.dropFirst(), "\(place)[\(index)]", body)
            }
        case .values:
            for (key, member) in value.objectValue ?? [:] { visit(member, rest.dropFirst(), "\(place)[\(key)]", body) }
        case .keys:
            for (key, _) in value.objectValue ?? [:] { visit(.string(key), rest.dropFirst(), place, body) }
        }
    }
}
