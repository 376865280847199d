import Objects

extension Schema {
    /// What is wrong with an object that has been pruned and defaulted; nothing when it is valid.
    public func validate(_ object: JSON, as node: SchemaNode) -> [FieldError] {
        var errors = MetadataValidation.errors(in: object, type: node.name)
        var pass = ValidationPass()
        pass.validate(object, node, "")
        errors += pass.errors
        return errors
    }

    /// What is wrong with an update: the rules of new objects and those about what may not change.
    public func validateUpdate(from old: JSON, to new: JSON, as node: SchemaNode) -> [FieldError] {
        var errors = MetadataValidation.updateErrors(from: old, to: new)
        errors += validate(new, as: node)
        var pass = ValidationPass()
        pass.compare(old, new, node, "")
        errors += pass.errors
        errors += UpdateValidation.errors(from: old, to: new, type: node.name)
        return errors
    }
}

private struct ValidationPass {
    var errors: [FieldError] = []

    mutating func validate(_ value: JSON, _ node: SchemaNode, _ place: String) {
        switch node.shape {
        case .object:
            guard case .object(let members) = value else { return }
            for rule in ValidationRule.table.rows(for: node.name) { rule.check(value, at: place, &errors) }
            ComputedValidation.check(value, type: node.name, at: place, &errors)
            for (key, member) in members {
                guard let property = node.property(key) else { continue }
                validate(member, property.node, place.isEmpty ? key : place + "." + key)
            }
        case .array:
            guard let items = node.items, items.shape == .object else { return }
            for (index, element) in value.arrayValue.enumerated() { validate(element, items, "\(place)[\(index)]") }
        case .map:
            guard let values = node.additionalProperties, values.shape == .object else { return }
            for (key, member) in value.objectValue ?? [:] { validate(member, values, "\(place)[\(key)]") }
        default: break
        }
    }

    /// Walks both objects together along fields; lists have no rules about changes.
    mutating func compare(_ old: JSON, _ new: JSON, _ node: SchemaNode, _ place: String) {
        guard node.shape == .object, case .object = old, case .object(let members) = new else { return }
        for rule in ValidationRule.table.rows(for: node.name) where rule.name == "immutable" || rule.name == "setonce" {
            guard rule.condition.holds(for: new) else { continue }
            let before = old[path: rule.fieldNames]
            let after = new[path: rule.fieldNames]
            if before == after || (rule.name == "setonce" && before.isEmpty) { continue }
            let path = (place.isEmpty ? [] : [place]) + rule.fieldNames
            errors.append(.invalid(path.joined(separator: "."), after, rule.detail.isEmpty ? "field is immutable" : rule.detail))
        }
        for (key, member) in members {
            guard let property = node.property(key), property.node.shape == .object else { continue }
            compare(old[key], member, property.node, place.isEmpty ? key : place + "." + key)
        }
    }
}
