import ObjectSchema
import Objects

extension FieldSet {
    /// The value without the members of this set. Nil when nothing is left of it.
    func removed(from value: JSON, _ type: FieldType) -> JSON? {
        guard !isEmpty else { return value }
        let division = type.division(of: value)
        switch division {
        case .leaf: return value
        case .members:
            guard let members = value.objectValue, !members.isEmpty else { return value }
            var result = JSONObject(minimumCapacity: members.count)
            for (name, member) in members {
                result[name] = remains(of: member, .field(name), type.member(name))
            }
            return result.isEmpty ? nil : .object(result)
        case .elements, .keyedElements:
            guard !value.arrayValue.isEmpty else { return value }
            var result: [JSON] = []
            for (position, element) in value.arrayValue.enumerated() {
                let step = type.stepOrIndex(to: element, at: position, division)
                if let rest = remains(of: element, step, type.element) { result.append(rest) }
            }
            return result.isEmpty ? nil : .array(result)
        }
    }

    private func remains(of value: JSON, _ step: FieldStep, _ type: FieldType) -> JSON? {
        guard let entry = self[step] else { return value }
        return entry.isMember ? nil : entry.children.removed(from: value, type)
    }
}
