/// A type with declared fields: an object of a schema, or one that a library's values have.
///
/// Types are compared by name, so names are unique within an environment.
public final class CELObjectType: Sendable {
    /// A declared field.
    public struct Field: Sendable {
        /// The member of the JSON object, of which the field's identifier may be an escaped form.
        public let jsonName: String
        public let schema: CELSchema

        public init(jsonName: String, schema: CELSchema) {
            self.jsonName = jsonName
            self.schema = schema
        }
    }

    public let name: String
    /// By identifier, as expressions write it.
    public let fields: [String: Field]
    /// Whether every other identifier is a field too, of any type.
    public let isOpen: Bool
    /// Whether expressions may make such objects: `Name{field: value}`.
    public let isConstructible: Bool

    public init(name: String, fields: [String: Field], isOpen: Bool = false, isConstructible: Bool = false) {
        self.name = name
        self.fields = fields
        self.isOpen = isOpen
        self.isConstructible = isConstructible
    }

    /// The type of a field; nil when there is none of that name.
    func type(of field: String) -> CELType? {
        fields[field]?.schema.type ?? (isOpen ? .dyn : nil)
    }
}

extension CELObjectType: Hashable {
    public static func == (left: CELObjectType, right: CELObjectType) -> Bool {
        left === right || left.name == right.name
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
