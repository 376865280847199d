import Objects

/// A group, a version and a kind, such as ("apps", "v1", "Deployment"); the core group is empty.
public struct GroupVersionKind: Sendable, Hashable, CustomStringConvertible {
    public var group: String
    public var version: String
    public var kind: String

    public init(group: String, version: String, kind: String) {
        self.group = group
        self.version = version
        self.kind = kind
    }

    /// From an object's `apiVersion` and `kind`.
    public init(apiVersion: String, kind: String) {
        let parts = apiVersion.split(separator: "/", maxSplits: 1)
        self.init(
            group: parts.count == 2 ? String(parts[0]) : "", version: parts.last.map(String.init) ?? "", kind: kind)
    }

    /// "apps/v1", or "v1" for the core group.
    public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    public var description: String { "\(apiVersion), Kind=\(kind)" }
}

/// The type of a value: one of the definitions of the table, a part of a custom resource's schema, or a list, map or
/// scalar inside one.
public final class SchemaNode: Sendable {
    public enum Shape: Sendable, Hashable {
        case string
        /// A string of base 64.
        case bytes
        /// RFC 3339.
        case time
        /// RFC 3339 with six digits of fraction.
        case microTime
        case quantity
        case intOrString
        case integer32
        case integer64
        case number
        case boolean
        /// Fixed fields.
        case object
        /// Any object, kept as it is.
        case freeObject
        /// Anything, kept as it is.
        case any
        case array
        case map
    }

    public let shape: Shape
    /// The definition's full name, such as io.k8s.api.core.v1.PodSpec; empty for what is written in place.
    public let name: String
    /// The kinds that this definition stands for, if any.
    public let kinds: [GroupVersionKind]
    /// Whether the fields of the object are replaced together by server-side apply.
    public let isAtomic: Bool
    /// In the order of their names' bytes.
    public let properties: [SchemaProperty]
    /// The field whose value selects which of `unionFields` may be set, if this is a union.
    public let unionDiscriminator: String
    public let unionFields: [String]
    let element: SchemaReference?
    /// The first eight bytes of each property's name as a number, for the search by name.
    private let prefixes: [UInt64]
    let defaultRules: [DefaultRule]
    let validationRules: [ValidationRule]
    let special: SpecialType?
    /// What the schema of a custom resource says beyond types; nil for definitions of the table.
    let structure: StructuralFacts?

    init(
        shape: Shape, name: String = "", kinds: [GroupVersionKind] = [], isAtomic: Bool = false,
        properties: [SchemaProperty] = [], unionDiscriminator: String = "", unionFields: [String] = [],
        element: SchemaReference? = nil, structure: StructuralFacts? = nil
    ) {
        self.shape = shape
        self.name = name
        self.kinds = kinds
        self.isAtomic = isAtomic
        self.properties = properties
        self.unionDiscriminator = unionDiscriminator
        self.unionFields = unionFields
        self.element = element
        prefixes = properties.map { Self.prefix(of: $0.name) }
        defaultRules = name.isEmpty ? [] : DefaultRule.table.rows(for: name)
        validationRules = name.isEmpty ? [] : ValidationRule.table.rows(for: name)
        special = SpecialType(typeName: name)
        self.structure = structure
    }

    /// Whether an object may have members that its schema does not name.
    public var keepsUnknown: Bool { structure?.keepsUnknown ?? false }

    /// How a list of a custom resource is divided; lists of the table say it at their property.
    public var listType: SchemaProperty.ListType? { structure?.listType }

    /// The fields that tell the elements of a custom resource's list of type map apart.
    public var mapKeys: [String] { structure?.mapKeys ?? [] }

    /// Big-endian, so that numbers are in the order of the names' bytes.
    private static func prefix(of name: String) -> UInt64 {
        var prefix: UInt64 = 0
        var count = 0
        for byte in name.utf8 {
            if count == 8 { return prefix }
            prefix = prefix << 8 | UInt64(byte)
            count += 1
        }
        return prefix << UInt64(8 * (8 - count))
    }

    /// Whether there can be objects with rules inside.
    var isContainer: Bool { shape == .object || shape == .array || shape == .map }

    /// The type of an array's elements.
    public var items: SchemaNode? { shape == .array ? element?.node : nil }

    /// The type of a map's values.
    public var additionalProperties: SchemaNode? { shape == .map ? element?.node : nil }

    /// The last part of the name: "PodSpec".
    public var shortName: String { name.split(separator: ".").last.map(String.init) ?? "" }

    /// Complexity: O(log count).
    public func property(_ name: String) -> SchemaProperty? {
        let prefix = Self.prefix(of: name)
        var low = 0
        var high = prefixes.count
        while low < high {
            let middle = (low + high) / 2
            if prefixes[middle] < prefix { low = middle + 1 } else { high = middle }
        }
        while low < prefixes.count, prefixes[low] == prefix {
            if properties[low].name == name { return properties[low] }
            low += 1
        }
        return nil
    }

    /// The type at a path of field names; lists and maps on the way stand for their elements.
    public func node(at path: [String]) -> SchemaNode? {
        var current: SchemaNode? = self
        for step in path {
            while let element = current?.items { current = element }
            if let values = current?.additionalProperties {
                current = values
            } else {
                current = current?.property(step)?.node
            }
        }
        return current
    }
}

/// A field of an object.
public final class SchemaProperty: Sendable {
    public enum ListType: Sendable, Hashable {
        case atomic
        /// Unique scalars.
        case set
        /// Objects that are told apart by `mapKeys`.
        case map
    }

    public enum MapType: Sendable, Hashable {
        case atomic, granular
    }

    public let name: String
    public let isRequired: Bool
    /// The default that the OpenAPI document states; nil when none.
    public let defaultValue: JSON?
    public let listType: ListType?
    /// The fields that tell the elements of a list of type map apart.
    public let mapKeys: [String]
    /// Whether a strategic merge patch merges a list instead of replacing it.
    public let mergesList: Bool
    /// Whether `$retainKeys` of a strategic merge patch has a meaning here.
    public let retainsKeys: Bool
    /// Whether a strategic merge patch replaces an object instead of merging it.
    public let replaces: Bool
    /// The field that tells elements apart in a strategic merge patch; nil for lists of scalars.
    public let mergeKey: String?
    public let mapType: MapType?
    private let reference: SchemaReference
    private let resolved = NodeReference()

    init(
        name: String, isRequired: Bool, defaultValue: JSON?, listType: ListType?, mapKeys: [String], mergesList: Bool,
        retainsKeys: Bool, replaces: Bool, mergeKey: String?, mapType: MapType?, reference: SchemaReference
    ) {
        self.name = name
        self.isRequired = isRequired
        self.defaultValue = defaultValue
        self.listType = listType
        self.mapKeys = mapKeys
        self.mergesList = mergesList
        self.retainsKeys = retainsKeys
        self.replaces = replaces
        self.mergeKey = mergeKey
        self.mapType = mapType
        self.reference = reference
    }

    public var node: SchemaNode { resolved.load() ?? resolved.storeIfNil(reference.node) }

    /// The default, unless it only states the zero value of the type.
    var effectiveDefault: JSON? {
        guard let defaultValue, !defaultValue.isEmpty, defaultValue != 0, defaultValue != false else { return nil }
        return defaultValue
    }
}

/// A type in place, or a definition of the table that is parsed when it is first asked for.
enum SchemaReference: Sendable {
    case inline(SchemaNode)
    case definition(Int)

    var node: SchemaNode {
        switch self {
        case .inline(let node): node
        case .definition(let index): Schema.shared.definition(at: index)
        }
    }
}
