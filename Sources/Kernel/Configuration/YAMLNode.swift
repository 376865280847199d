import Objects

/// A value of a YAML document with its place in the file.
public struct YAMLNode: Sendable {
    public typealias Mark = ConfigurationError.Mark

    public struct Entry: Sendable {
        public var key: String
        public var mark: Mark
        public var value: YAMLNode
    }

    public enum Content: Sendable {
        /// `isPlain`: written without quotes, so that it may mean a number, a truth value or null.
        case scalar(text: String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    public var mark: Mark
    public var content: Content

    public init(mark: Mark, content: Content) {
        self.mark = mark
        self.content = content
    }

    /// An empty mapping at a place.
    static func emptyMapping(at mark: Mark) -> YAMLNode { YAMLNode(mark: mark, content: .mapping([])) }

    /// The scalar by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema); collections as they
    /// are. Numbers that JSON cannot express (.inf, .nan) stay text.
    public var json: JSON {
        switch content {
        case .scalar(let text, let isPlain): isPlain ? Self.resolve(text) : .string(text)
        case .sequence(let elements): .array(elements.map(\.json))
        case .mapping(let entries):
            .object(
                entries.reduce(into: JSONObject()) { object, entry in object[entry.key] = entry.value.json })
        }
    }

    /// A value that came from elsewhere than a file.
    init(_ json: JSON) {
        mark = .none
        switch json {
        case .object(let members):
            content = .mapping(
                members.map { Entry(key: $0.0, mark: .none, value: YAMLNode($0.1)) })
        case .array(let elements): content = .sequence(elements.map { YAMLNode($0) })
        case .string(let text): content = .scalar(text: text, isPlain: false)
        default: content = .scalar(text: json.serializedString(), isPlain: true)
        }
    }

    /// How messages name what stands here: "the text \"x\"", "a list", ….
    var description: String {
        switch content {
        case .scalar(let text, let isPlain):
            switch isPlain ? Self.resolve(text) : .string(text) {
            case .null: "nothing"
            case .string: "the text \"\(text.count > 80 ? text.prefix(80) + "…" : text[...])\""
            default: text
            }
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    private static func resolve(_ text: String) -> JSON {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        let bytes = Array(text.utf8)
        guard bytes.contains(where: { (0x30...0x39).contains($0) }) else { return .string(text) }
        if text.hasPrefix("0x"), let value = Int64(text.dropFirst(2), radix: 16) { return .integer(value) }
        if text.hasPrefix("0o"), let value = Int64(text.dropFirst(2), radix: 8) { return .integer(value) }
        let isNumeric = bytes.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
        guard isNumeric else { return .string(text) }
        if let value = Int64(text) { return .integer(value) }
        if let value = Double(text), value.isFinite { return .number(value) }
        return .string(text)
    }
}
