/// A condition over labels: all requirements must hold.
/// See https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors.
public struct LabelSelector: Sendable, Hashable {
    public enum Operator: Sendable, Hashable {
        case equals, notEquals, isIn, isNotIn, exists, doesNotExist, greaterThan, lessThan
    }

    public struct Requirement: Sendable, Hashable {
        public let key: String
        public let `operator`: Operator
        /// In the order of their bytes.
        public let values: [String]
    }

    public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// In the order of their keys' bytes.
    public let requirements: [Requirement]

    /// Whether this selects nothing at all, as an absent selector of a Service or ReplicaSet does.
    public let matchesNothing: Bool

    /// Selects everything.
    public static let everything = LabelSelector(sorted: [])
    public static let nothing = LabelSelector(sorted: [], matchesNothing: true)

    /// Requirements are taken as valid.
    public init(requirements: [Requirement]) { self.init(sorted: requirements.sortedByKey()) }

    private init(sorted: [Requirement], matchesNothing: Bool = false) {
        requirements = sorted
        self.matchesNothing = matchesNothing
    }

    public var isEmpty: Bool { requirements.isEmpty && !matchesNothing }

    /// Parses "a=b,c in (d,e),!f,g>1". Empty text selects everything.
    ///
    /// With `allowsFieldNames`, as the state store needs it, a key may begin with a dot and then names a field
    /// (".spec.nodeName"); such a key and its values follow no syntax rules.
    public init(parsing text: String, allowsFieldNames: Bool = false) throws(ParseError) {
        var parser = LabelSelectorParser(text, allowsFieldNames: allowsFieldNames)
        self.init(requirements: try parser.parse())
    }

    /// Reads an object with `matchLabels` and `matchExpressions`. Null selects nothing, an empty object everything.
    public init(object: JSON) throws(ParseError) {
        guard let members = object.objectValue else {
            guard object.isNull else { throw ParseError(description: "a label selector must be an object") }
            self = .nothing
            return
        }
        var requirements: [Requirement] = []
        for (key, value) in members["matchLabels"]?.objectValue ?? [:] {
            guard let text = value.stringValue else {
                throw ParseError(description: "matchLabels.\(key): Invalid value: must be a string")
            }
            requirements.append(try Requirement(key, .equals, [text]))
        }
        for expression in members["matchExpressions"]?.arrayValue ?? [] {
            requirements.append(try Requirement(expression: expression))
        }
        self.init(requirements: requirements)
    }

    /// Selects the labels of an object of strings exactly, as a Service's or ReplicationController's selector does.
    /// Null and an empty object select nothing.
    public init(map: JSON) throws(ParseError) {
        if map.isEmpty {
            self = .nothing
        } else {
            try self.init(object: ["matchLabels": map])
        }
    }

    public func matches(_ label: (String) -> String?) -> Bool {
        !matchesNothing && requirements.allSatisfy { $0.matches(label($0.key)) }
    }

    /// Null has no labels.
    public func matches(labels: JSON) -> Bool { matches { labels[$0].stringValue } }

    /// The text that `init(parsing:)` reads. Undefined for `nothing`, which has no text form: check it before.
    public var selectorText: String { requirements.map(\.description).joined(separator: ",") }
}

extension LabelSelector: CustomStringConvertible {
    /// The text form, in the canonical order.
    public var description: String { matchesNothing ? "<nothing>" : selectorText }
}

extension LabelSelector.Requirement: CustomStringConvertible {
    public var description: String {
        switch self.operator {
        case .equals: "\(key)=\(written(values[0]))"
        case .notEquals: "\(key)!=\(written(values[0]))"
        case .isIn: "\(key) in (\(values.map(written).joined(separator: ",")))"
        case .isNotIn: "\(key) notin (\(values.map(written).joined(separator: ",")))"
        case .exists: key
        case .doesNotExist: "!\(key)"
        case .greaterThan: "\(key)>\(values[0])"
        case .lessThan: "\(key)<\(values[0])"
        }
    }

    /// A field's value may hold the signs of the grammar; they are escaped with a backslash.
    private func written(_ value: String) -> String {
        guard key.hasPrefix("."), value.utf8.contains(where: LabelSelectorParser.needsEscape) else { return value }
        var bytes: [UInt8] = []
        for byte in value.utf8 {
            if LabelSelectorParser.needsEscape(byte) { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension LabelSelector.Requirement {
    /// Checks the key, the values and their number.
    public init(_ key: String, _ operator: LabelSelector.Operator, _ values: [String]) throws(LabelSelector.ParseError)
    {
        let isField = key.hasPrefix(".")
        func fail(_ text: String) -> LabelSelector.ParseError { LabelSelector.ParseError(description: text) }
        if !isField, let complaint = NameChecks.qualifiedName(key).first {
            throw fail("key: Invalid value: \"\(key)\": \(complaint)")
        }
        switch `operator` {
        case .isIn, .isNotIn:
            if values.isEmpty {
                throw fail("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
            }
        case .equals, .notEquals:
            if values.count != 1 {
                throw fail("values: Invalid value: exact-match compatibility requires one single value")
            }
        case .exists, .doesNotExist:
            if !values.isEmpty {
                throw fail("values: Invalid value: values set must be empty for exists and does not exist")
            }
        case .greaterThan, .lessThan:
            if values.count != 1 {
                throw fail("values: Invalid value: for 'Gt', 'Lt' operators, exactly one value is required")
            }
            if Int64(values[0]) == nil {
                throw fail(
                    "values[0]: Invalid value: \"\(values[0])\": for 'Gt', 'Lt' operators, the value must be an integer"
                )
            }
        }
        for (index, value) in values.enumerated() where !isField {
            if let complaint = NameChecks.labelValue(value).first {
                throw fail("values[\(index)][\(key)]: Invalid value: \"\(value)\": \(complaint)")
            }
        }
        self.key = key
        self.operator = `operator`
        self.values = values.count > 1 ? Array(Set(values)).sorted { $0.precedesByBytes($1) } : values
    }

    /// One element of `matchExpressions`.
    init(expression: JSON) throws(LabelSelector.ParseError) {
        let operators: [String: LabelSelector.Operator] = [
            "In": .isIn, "NotIn": .isNotIn, "Exists": .exists, "DoesNotExist": .doesNotExist, "Gt": .greaterThan,
            "Lt": .lessThan,
        ]
        let name = expression["operator"].stringValue ?? ""
        guard let `operator` = operators[name] else {
            throw LabelSelector.ParseError(description: "\"\(name)\" is not a valid label selector operator")
        }
        try self.init(
            expression["key"].stringValue ?? "", `operator`, expression["values"].arrayValue.compactMap(\.stringValue))
    }

    /// Whether a label's value, nil when the label is absent, fulfils this.
    public func matches(_ value: String?) -> Bool {
        switch self.operator {
        case .equals, .isIn: value.map { text in values.contains { $0.hasSameBytes(as: text) } } ?? false
        case .notEquals, .isNotIn: value.map { text in !values.contains { $0.hasSameBytes(as: text) } } ?? true
        case .exists: value != nil
        case .doesNotExist: value == nil
        case .greaterThan: compare(value) { $0 > $1 }
        case .lessThan: compare(value) { $0 < $1 }
        }
    }

    private func compare(_ value: String?, _ order: (Int64, Int64) -> Bool) -> Bool {
        guard let value, let left = Int64(value), let right = Int64(values[0]) else { return false }
        return order(left, right)
    }
}

extension [LabelSelector.Requirement] {
    fileprivate func sortedByKey() -> Self {
        count < 2 ? self : sorted { $0.key.precedesByBytes($1.key) }
    }
}
