import ObjectSchema
import Objects

/// What the schema says of a value for ownership: which node describes it, and what the field that holds it adds.
///
/// Where the schema is silent (free objects, unknown kinds), objects are owned member by member and lists as a whole.
struct FieldType: Sendable {
    var node: SchemaNode?
    var property: SchemaProperty?

    /// How ownership of a value is divided.
    enum Division: Equatable {
        /// As a whole.
        case leaf
        /// By its members.
        case members
        /// By its elements, told apart by their values.
        case elements
        /// By its elements, told apart by these keys.
        case keyedElements([String])
    }

    /// The division of a value; nil stands for null, for which the type alone decides.
    func division(of value: JSON) -> Division {
        switch value {
        case .object: return isAtomicMap ? .leaf : .members
        case .array: return listDivision
        case .null:
            switch node?.shape {
            case .object, .map: return isAtomicMap ? .leaf : .members
            case .array: return listDivision
            default: return .leaf
            }
        default: return .leaf
        }
    }

    /// What the field says goes before what its type says: a reference is owned as a whole nearly everywhere.
    private var isAtomicMap: Bool { property?.mapType.map { $0 == .atomic } ?? node?.isAtomic ?? false }

    private var listDivision: Division {
        switch property?.listType ?? node?.listType {
        case .set: .elements
        case .map: .keyedElements(property?.listType == nil ? node?.mapKeys ?? [] : property?.mapKeys ?? [])
        case .atomic, nil: .leaf
        }
    }

    /// Whether this is an object with this field in its schema; entries of maps are not fields.
    func hasField(_ name: String) -> Bool { node?.shape == .object && node?.property(name) != nil }

    /// Whether the schema knows all that may be inside, so that another member is a mistake.
    var isClosed: Bool { node?.shape == .object && node?.keepsUnknown != true }

    func member(_ name: String) -> FieldType {
        if let property = node?.property(name) { return FieldType(node: property.node, property: property) }
        return FieldType(node: node?.additionalProperties, property: nil)
    }

    var element: FieldType { FieldType(node: node?.items, property: nil) }

    func inside(_ step: FieldStep) -> FieldType {
        if case .field(let name) = step { return member(name) }
        return element
    }

    /// The step to an element: by its keys that are there or have defaults. Throws where there are none.
    func step(to element: JSON, at position: Int, _ division: Division) throws(FieldTypeError) -> FieldStep {
        switch division {
        case .elements:
            guard !element.isNull, element.objectValue == nil, !element.isArray else {
                throw FieldTypeError("associative list of scalars may not contain \(element.typeName)")
            }
            return .value(element)
        case .keyedElements(let keys):
            guard element.objectValue != nil else {
                throw FieldTypeError("associative list with keys may not contain \(element.typeName)")
            }
            var fields: [FieldStep.KeyField] = []
            for key in keys.sorted(by: { $0.precedesByBytes($1) }) {
                let value = element[key].exists ? element[key] : self.element.node?.property(key)?.defaultValue ?? .null
                if !value.isNull { fields.append(FieldStep.KeyField(name: key, value: value)) }
            }
            guard !fields.isEmpty else {
                let names = keys.map { "\"\($0)\"" }.joined(separator: " ")
                throw FieldTypeError(
                    "associative list with keys has an element that omits all key fields [\(names)] "
                        + "(and doesn't have default values for any key fields)")
            }
            return .key(fields)
        case .leaf, .members: return .index(position)
        }
    }

    /// The step to an element of a stored list; without its keys it counts by its position.
    func stepOrIndex(to element: JSON, at position: Int, _ division: Division) -> FieldStep {
        do throws(FieldTypeError) { return try step(to: element, at: position, division) } catch {
            return .index(position)
        }
    }
}

/// Why a list cannot be told apart into elements.
struct FieldTypeError: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

extension JSON {
    var isArray: Bool { if case .array = self { true } else { false } }
}
