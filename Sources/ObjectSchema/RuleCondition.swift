import Objects

/// The "when" part of a row of defaults.txt or validation.txt: tests joined by "&", all of which must hold for the
/// object that the row's path is relative to.
struct RuleCondition: Sendable {
    struct Test: Sendable {
        enum Relation: Sendable {
            case exists
            case isAbsent
            case isOneOf([String])
            case isNoneOf([String])
        }

        let path: [String]
        let relation: Relation
    }

    let tests: [Test]

    static let always = RuleCondition(tests: [])

    init(tests: [Test]) { self.tests = tests }

    /// Parses "a.b", "!a.b", "a=x,y", "a!=x,y".
    init(_ text: Substring) {
        tests = text.split(separator: "&").map { part in
            let part = part.filter { $0 != " " }
            if let range = part.firstRange(of: "!=") {
                return Test(
                    path: Self.path(part[..<range.lowerBound]),
                    relation: .isNoneOf(Self.values(part[range.upperBound...])))
            }
            if let sign = part.firstIndex(of: "=") {
                return Test(
                    path: Self.path(part[..<sign]), relation: .isOneOf(Self.values(part[part.index(after: sign)...])))
            }
            if part.hasPrefix("!") { return Test(path: Self.path(part.dropFirst()), relation: .isAbsent) }
            return Test(path: Self.path(part[...]), relation: .exists)
        }
    }

    static func path(_ text: Substring) -> [String] { text == "." ? [] : text.split(separator: ".").map(String.init) }
    private static func values(_ text: Substring) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    func holds(for object: JSON) -> Bool {
        tests.allSatisfy { test in
            let value = object[path: test.path]
            switch test.relation {
            case .exists: return value.exists
            case .isAbsent: return value.isNull
            case .isOneOf(let texts): return texts.contains(Self.text(value))
            case .isNoneOf(let texts): return !texts.contains(Self.text(value))
            }
        }
    }

    private static func text(_ value: JSON) -> String {
        switch value {
        case .null: ""
        case .string(let text): text
        default: value.serializedString()
        }
    }
}

/// The sections of a rule table: "[TYPE TYPE …]" and the rows below it, up to the next section. Rows are parsed when
/// their type is asked for.
struct RuleTable<Row: Sendable>: Sendable {
    private let text: EmbeddedText
    private let parse: @Sendable (String) -> Row
    private var lines: [String: [Range<Int>]] = [:]

    /// A type is named without the prefix "io.k8s.api." that most have; hostd's own in full.
    init(_ text: EmbeddedText, _ parse: @escaping @Sendable (_ line: String) -> Row) {
        self.text = text
        self.parse = parse
        var section: [String] = []
        text.forEachLine { offset, line in
            if line.first == UInt8(ascii: "[") {
                section = line.dropFirst().dropLast().parts(" ").map {
                    $0.hasPrefix("io.k8s.") || $0.hasPrefix("dev.hostd.") ? $0 : "io.k8s.api." + $0
                }
            } else {
                for type in section { lines[type, default: []].append(offset..<(offset + line.count)) }
            }
        }
    }

    func rows(for type: String) -> [Row] {
        (lines[type] ?? []).map { parse(text.string($0.lowerBound, $0.upperBound)) }
    }

    var types: [String] { lines.keys.sorted() }
}
