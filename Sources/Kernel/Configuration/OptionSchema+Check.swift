import Glibc
import Objects

extension OptionSchema {
    /// The value of `node` as JSON, with defaults filled in; fails at the place of the first mistake.
    public func check(_ node: YAMLNode, file: String, keyPath: String) throws(ConfigurationError) -> JSON {
        let place = Place(file: file, mark: node.mark, keyPath: keyPath)
        let value: JSON
        switch self {
        case .any: value = node.json
        case .boolean:
            guard case .bool = node.json else { throw place.expected("true or false", node) }
            value = node.json
        case .number(_, let isInteger, let minimum, let maximum):
            value = try Self.number(node, place, isInteger: isInteger, minimum: minimum, maximum: maximum)
        case .string(_, let rules): value = try Self.text(node, place, rules)
        case .array(_, let items, let minimum, let maximum):
            value = try Self.array(node, place, items: items, minimum: minimum, maximum: maximum)
        case .object(_, let rules): value = try Self.object(node, place, rules)
        }
        if !common.allowed.isEmpty, !common.allowed.contains(value) {
            let words = common.allowed.map { $0.stringValue ?? $0.serializedString() }
            throw place.failure(
                "\(node.description) is not possible; allowed: \(list(words))"
                    + suggestion(for: value.stringValue ?? "", among: words))
        }
        return value
    }

    /// Where a value stands.
    private struct Place {
        let file: String
        let mark: YAMLNode.Mark
        let keyPath: String

        func failure(_ message: String) -> ConfigurationError {
            ConfigurationError(file: file, mark: mark, keyPath: keyPath, message: message)
        }

        func expected(_ what: String, _ node: YAMLNode) -> ConfigurationError {
            failure("expected \(what), found \(node.description)")
        }
    }

    private static func number(
        _ node: YAMLNode, _ place: Place, isInteger: Bool, minimum: Double?, maximum: Double?
    ) throws(ConfigurationError) -> JSON {
        let value = node.json
        let range =
            switch (minimum, maximum) {
            case (let low?, let high?): " from \(short(low)) to \(short(high))"
            case (let low?, nil): " of at least \(short(low))"
            case (nil, let high?): " of at most \(short(high))"
            case (nil, nil): ""
            }
        let wanted = (isInteger ? "a whole number" : "a number") + range
        let number: Double
        switch value {
        case .integer(let integer): number = Double(integer)
        case .number(let double) where !isInteger: number = double
        default: throw place.expected(wanted, node)
        }
        guard number >= minimum ?? number, number <= maximum ?? number else { throw place.expected(wanted, node) }
        return value
    }

    private static func short(_ value: Double) -> String {
        Int64(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func text(_ node: YAMLNode, _ place: Place, _ rules: TextRules) throws(ConfigurationError) -> JSON {
        guard case .string(let text) = node.json else {
            guard case .scalar(let text, _) = node.content, node.json != .null else {
                throw place.expected("text", node)
            }
            throw place.failure("expected text, found \(text): put it in quotes")
        }
        guard text.utf8.count >= rules.minimum, text.utf8.count <= rules.maximum else {
            let most = rules.maximum == .max ? "" : " and at most \(rules.maximum)"
            throw place.failure("the text has \(text.utf8.count) bytes; allowed are at least \(rules.minimum)\(most)")
        }
        if let pattern = rules.pattern, !matches(text, pattern) {
            throw place.failure("\(node.description) does not match the pattern \(pattern)")
        }
        return .string(text)
    }

    private static func matches(_ text: String, _ pattern: String) -> Bool {
        var expression = regex_t()
        guard regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) == 0 else { return false }
        defer { regfree(&expression) }
        return regexec(&expression, text, 0, nil, 0) == 0
    }

    private static func array(
        _ node: YAMLNode, _ place: Place, items: OptionSchema?, minimum: Int, maximum: Int
    ) throws(ConfigurationError) -> JSON {
        guard case .sequence(let elements) = node.content else { throw place.expected("a list", node) }
        guard elements.count >= minimum, elements.count <= maximum else {
            let most = maximum == .max ? "" : " and at most \(maximum)"
            throw place.failure("the list has \(elements.count) elements; allowed are at least \(minimum)\(most)")
        }
        var result: [JSON] = []
        for (index, element) in elements.enumerated() {
            result.append(
                try (items ?? .any(Common())).check(
                    element, file: place.file, keyPath: "\(place.keyPath)[\(index)]"))
        }
        return .array(result)
    }

    private static func object(
        _ node: YAMLNode, _ place: Place, _ rules: ObjectRules
    ) throws(ConfigurationError) -> JSON {
        let entries: [YAMLNode.Entry]
        switch node.content {
        case .mapping(let mapping): entries = mapping
        case .scalar("", true): entries = []
        default: throw place.expected("a mapping", node)
        }
        var result = JSONObject()
        for entry in entries {
            let path = "\(place.keyPath).\(entry.key)"
            guard let schema = rules.properties.first(where: { $0.name == entry.key })?.schema ?? rules.additional
            else {
                let names = rules.properties.map(\.name)
                throw ConfigurationError(
                    file: place.file, mark: entry.mark, keyPath: path,
                    message: names.isEmpty
                        ? "unknown option; there are no options here"
                        : "unknown option; allowed are \(list(names))" + suggestion(for: entry.key, among: names))
            }
            result[entry.key] = try schema.check(entry.value, file: place.file, keyPath: path)
        }
        for (name, schema) in rules.properties where result[name] == nil {
            result[name] = schema.defaults
        }
        if let missing = rules.required.first(where: { result[$0] == nil }) {
            throw place.failure("the option \(missing) is missing")
        }
        return .object(result)
    }

    /// What stands for an absent value: its default, or an object of its members' defaults.
    var defaults: JSON? {
        if let value = common.defaultValue { return value }
        guard case .object(_, let rules) = self, rules.required.isEmpty else { return nil }
        var object = JSONObject()
        for (name, schema) in rules.properties { object[name] = schema.defaults }
        return object.isEmpty ? nil : .object(object)
    }
}
