import CEL

/// The types of objects that mutating policies' expressions make: `Object`, `Object.spec`, …, and `JSONPatch`.
enum MutationTypes {
    /// Every field is let through: whether the object has it is seen when the object is merged and validated.
    static func named(_ name: String) -> CELObjectType? {
        if name == "JSONPatch" { return patch }
        guard name == "Object" || name.hasPrefix("Object.") else { return nil }
        return CELObjectType(name: name, fields: [:], isOpen: true, isConstructible: true)
    }

    private static func field(_ name: String, _ type: CELType) -> (String, CELObjectType.Field) {
        (name, .init(jsonName: name, schema: CELSchema(.value(type))))
    }

    static let patch = CELObjectType(
        name: "JSONPatch",
        fields: Dictionary(
            uniqueKeysWithValues: [
                field("op", .string), field("path", .string), field("from", .string), field("value", .dyn),
            ]), isConstructible: true)

    /// Whether objects within an object are of the types that their places say: `Object.spec` at `spec`.
    /// - Throws: a type at a wrong place.
    static func check(_ value: CELValue, _ path: String = "Object") throws(CELError) {
        switch value {
        case .map(.object(let type, let members)):
            guard type.name == path else {
                throw CELError(
                    "unexpected type name \"\(type.name)\", expected \"\(path)\", which matches field name path from root Object type"
                )
            }
            for (key, member) in zip(members.keys, members.values) { try check(member, "\(path).\(key)") }
        case .map(.values(let members)):
            for member in members.values { try check(member, path) }
        case .list(.values(let elements)):
            for element in elements { try check(element, path) }
        default: break
        }
    }
}
