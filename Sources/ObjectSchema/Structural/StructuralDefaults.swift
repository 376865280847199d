import Objects

/// Gives absent fields of custom resources the defaults of their schema.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting.
enum StructuralDefaults {
    /// A null where none may be counts as absent: it gets the default, and without one it goes.
    static func apply(to value: inout JSON, _ node: SchemaNode) {
        switch node.shape {
        case .object:
            guard case .object(var members) = value else { return }
            value = .null
            defer { value = .object(members) }
            apply(to: &members, node)
        case .map:
            guard let element = node.additionalProperties, case .object(var members) = value else { return }
            value = .null
            defer { value = .object(members) }
            if !element.isNullable { members.removeAll { _, member in member.isNull } }
            guard element.hasDefaultsOrObjects else { return }
            members.updateValues { (_, member: inout JSON) throws(Never) in apply(to: &member, element) }
        case .array:
            guard let element = node.items, element.hasDefaultsOrObjects else { return }
            value.updateElements { (_, member: inout JSON) throws(Never) in apply(to: &member, element) }
        default: break
        }
    }

    private static func apply(to members: inout JSONObject, _ node: SchemaNode) {
        var nulls = false
        for property in node.properties {
            let present = members[property.name]
            if let given = property.defaultValue,
                present == nil || (present?.isNull == true && !property.node.isNullable)
            {
                members[property.name] = given
            } else if present?.isNull == true, !property.node.isNullable {
                nulls = true
            }
            guard property.node.hasDefaultsOrObjects else { continue }
            members.withMutableValue(of: property.name) { apply(to: &$0, property.node) }
        }
        if nulls {
            members.removeAll { key, member in
                guard member.isNull, let property = node.property(key) else { return false }
                return !property.node.isNullable
            }
        }
    }
}

extension SchemaNode {
    /// Whether null is a value of this type. Nodes without further facts are plain scalars, which have no null.
    var isNullable: Bool { structure?.isNullable ?? false }

    /// Whether defaulting has anything to do below; types of the table are not defaulted here.
    fileprivate var hasDefaultsOrObjects: Bool { structure != nil && isContainer }
}
