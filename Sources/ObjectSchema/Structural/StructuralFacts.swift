import Objects

/// What the schema of a custom resource says of a value beyond its shape. Nodes that are plain scalars have none and are
/// shared, so that most fields of a schema cost no more than their name.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema.
final class StructuralFacts: Sendable {
    let isNullable: Bool
    /// x-kubernetes-preserve-unknown-fields.
    let keepsUnknown: Bool
    /// x-kubernetes-embedded-resource: `apiVersion`, `kind` and `metadata` go without saying.
    let isEmbedded: Bool
    /// The object itself, which has the same three members.
    let isRoot: Bool
    let listType: SchemaProperty.ListType?
    let mapKeys: [String]
    /// Whether there is a default in it or below.
    let hasDefaults: Bool
    /// Whether there is a rule in CEL in it or below.
    let hasExpressions: Bool
    let rules: ValueRules?
    /// x-kubernetes-validations.
    let expressions: ExpressionRules?

    init(
        isNullable: Bool, keepsUnknown: Bool, isEmbedded: Bool, isRoot: Bool, listType: SchemaProperty.ListType?,
        mapKeys: [String], hasDefaults: Bool, hasExpressions: Bool, rules: ValueRules?, expressions: ExpressionRules?
    ) {
        self.isNullable = isNullable
        self.keepsUnknown = keepsUnknown
        self.isEmbedded = isEmbedded
        self.isRoot = isRoot
        self.listType = listType
        self.mapKeys = mapKeys
        self.hasDefaults = hasDefaults
        self.hasExpressions = hasExpressions
        self.rules = rules
        self.expressions = expressions
    }
}

/// The conditions that a schema puts on a value: bounds, patterns, formats, and combinations of schemas. Inside such
/// combinations it also tells of the members and elements of the value.
final class ValueRules: Sendable {
    /// The bounds of a number.
    struct Bounds: Sendable {
        var minimum: JSON
        var maximum: JSON
        var excludesMinimum: Bool
        var excludesMaximum: Bool
        var multipleOf: JSON
    }

    /// The bounds of a length or of a number of elements or members; negative for none.
    struct Sizes: Sendable {
        var minimumLength: Int64 = -1
        var maximumLength: Int64 = -1
        var minimumItems: Int64 = -1
        var maximumItems: Int64 = -1
        var minimumMembers: Int64 = -1
        var maximumMembers: Int64 = -1

        var isEmpty: Bool {
            minimumLength < 0 && maximumLength < 0 && minimumItems < 0 && maximumItems < 0 && minimumMembers < 0
                && maximumMembers < 0
        }
    }

    /// Only inside combinations; elsewhere the node says it. Empty when it is not said.
    let type: String
    let allowed: [JSON]
    let pattern: TextPattern?
    let format: ValueFormat?
    let bounds: Bounds?
    let sizes: Sizes?
    let required: [String]
    let allOf: [ValueRules]
    let anyOf: [ValueRules]
    let oneOf: [ValueRules]
    let not: ValueRules?
    /// Only inside combinations.
    let members: [(name: String, rules: ValueRules)]
    /// Only inside combinations.
    let elements: ValueRules?
    /// Only inside combinations: of members that are not named.
    let others: ValueRules?

    /// Nil when the schema says nothing of the kind. `isInside` tells that it stands in a combination.
    /// Throws for a pattern that is none.
    init?(_ schema: JSON, isInside: Bool) throws(StructuralSchemaError) {
        let type = isInside ? schema["type"].stringValue ?? "" : ""
        self.type = type == "object" && !isInside ? "" : type
        allowed = schema["enum"].arrayValue
        pattern = try schema["pattern"].stringValue.map(TextPattern.make)
        format = schema["format"].stringValue.flatMap { ValueFormat(rawValue: $0) }
        bounds = Self.bounds(schema)
        let sizes = Self.sizes(schema)
        self.sizes = sizes.isEmpty ? nil : sizes
        required = schema["required"].arrayValue.compactMap(\.stringValue)
        allOf = try Self.list(schema["allOf"])
        anyOf = try Self.list(schema["anyOf"])
        oneOf = try Self.list(schema["oneOf"])
        not = schema["not"].isNull ? nil : try ValueRules(schema["not"], isInside: true) ?? .everything
        var members: [(name: String, rules: ValueRules)] = []
        if isInside {
            for (name, member) in schema["properties"].objectValue ?? [:] {
                if let rules = try ValueRules(member, isInside: true) { members.append((name, rules)) }
            }
            elements = schema["items"].isNull ? nil : try ValueRules(schema["items"], isInside: true)
            let rest = schema["additionalProperties"]
            others = rest.objectValue == nil ? nil : try ValueRules(rest, isInside: true)
        } else {
            (elements, others) = (nil, nil)
        }
        self.members = members
        let isSilent =
            self.type.isEmpty && allowed.isEmpty && pattern == nil && format == nil && bounds == nil && sizes.isEmpty
            && required.isEmpty && allOf.isEmpty && anyOf.isEmpty && oneOf.isEmpty && not == nil && members.isEmpty
            && elements == nil && others == nil
        if isSilent { return nil }
    }

    /// Rules that every value follows.
    private init() {
        (type, allowed, pattern, format, bounds, sizes, required) = ("", [], nil, nil, nil, nil, [])
        (allOf, anyOf, oneOf, not, members, elements, others) = ([], [], [], nil, [], nil, nil)
    }

    private static let everything = ValueRules()

    private static func list(_ schemas: JSON) throws(StructuralSchemaError) -> [ValueRules] {
        var result: [ValueRules] = []
        for schema in schemas.arrayValue { result.append(try ValueRules(schema, isInside: true) ?? everything) }
        return result
    }

    private static func bounds(_ schema: JSON) -> Bounds? {
        let bounds = Bounds(
            minimum: schema["minimum"], maximum: schema["maximum"],
            excludesMinimum: schema["exclusiveMinimum"].boolValue ?? false,
            excludesMaximum: schema["exclusiveMaximum"].boolValue ?? false, multipleOf: schema["multipleOf"])
        return bounds.minimum.isNull && bounds.maximum.isNull && bounds.multipleOf.isNull ? nil : bounds
    }

    private static func sizes(_ schema: JSON) -> Sizes {
        func size(_ key: String) -> Int64 { schema[key].integerValue ?? -1 }
        return Sizes(
            minimumLength: size("minLength"), maximumLength: size("maxLength"), minimumItems: size("minItems"),
            maximumItems: size("maxItems"), minimumMembers: size("minProperties"), maximumMembers: size("maxProperties")
        )
    }
}

/// Why a schema cannot be used.
public struct StructuralSchemaError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
