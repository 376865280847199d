import Objects

/// One step from a value to one inside it, as field ownership names it.
///
/// Written as FieldsV1 does: `f:NAME`, `k:{"KEY":VALUE,…}`, `v:VALUE`, `i:NUMBER`.
/// See https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management and the FieldsV1 type of
/// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/.
public enum FieldStep: Hashable, Sendable {
    /// A member of an object or an entry of a map.
    case field(String)
    /// An element of a list of type map, by the values of its keys in the order of their names.
    case key([KeyField])
    /// An element of a list of type set.
    case value(JSON)
    /// An element of any other list.
    case index(Int)

    /// One key of an element and its value.
    public struct KeyField: Hashable, Sendable {
        public let name: String
        public let value: JSON

        public init(name: String, value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// Reads a member name of FieldsV1. Nil when it is none.
    public init?(text: String) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon == text.utf8.index(after: text.startIndex)
        else { return nil }
        let rest = String(text[text.utf8.index(after: colon)...])
        switch text.utf8.first {
        case UInt8(ascii: "f"): self = .field(rest)
        case UInt8(ascii: "i"):
            guard let index = Int(rest), index >= 0 else { return nil }
            self = .index(index)
        case UInt8(ascii: "v"):
            guard let value = Self.parse(rest) else { return nil }
            self = .value(value)
        case UInt8(ascii: "k"):
            guard let members = Self.parse(rest)?.objectValue, !members.isEmpty else { return nil }
            self = .key(members.sortedByKey().map { KeyField(name: $0.key, value: $0.value) })
        default: return nil
        }
    }

    private static func parse(_ text: String) -> JSON? {
        do { return try JSON(parsing: text) } catch { return nil }
    }

    /// The member name of FieldsV1.
    public var text: String {
        switch self {
        case .field(let name): "f:\(name)"
        case .key(let fields):
            "k:" + JSON.object(JSONObject(fields.map { ($0.name, $0.value) })).serializedString()
        case .value(let value): "v:\(value.serializedString())"
        case .index(let index): "i:\(index)"
        }
    }
}

extension FieldStep: CustomStringConvertible {
    /// As paths in messages show it: `.spec`, `[name="web"]`, `[="x"]`, `[0]`.
    public var description: String {
        switch self {
        case .field(let name): ".\(name)"
        case .key(let fields):
            "[" + fields.map { "\($0.name)=\($0.value.serializedString())" }.joined(separator: ",") + "]"
        case .value(let value): "[=\(value.serializedString())]"
        case .index(let index): "[\(index)]"
        }
    }
}

extension FieldStep: Comparable {
    /// Fields come first, then keys, values and indices, each in the order of their text or number.
    public static func < (left: FieldStep, right: FieldStep) -> Bool {
        switch (left, right) {
        case (.field(let a), .field(let b)): a.precedesByBytes(b)
        case (.index(let a), .index(let b)): a < b
        case (.key, .key), (.value, .value): left.text.precedesByBytes(right.text)
        default: left.rank < right.rank
        }
    }

    private var rank: Int {
        switch self {
        case .field: 0
        case .key: 1
        case .value: 2
        case .index: 3
        }
    }
}
