import Objects

extension Schema {
    /// What is wrong with an object that has been pruned and defaulted; nothing when it is valid.
    public func validate(_ object: JSON, as node: SchemaNode) -> [FieldError] {
        if node.structure != nil { return validate(object, before: nil, asCustom: node) }
        var errors = MetadataValidation.errors(in: object, node)
        var pass = ValidationPass()
        pass.validate(ImpliedParts.filled(object, node), node)
        errors += pass.errors
        return errors
    }

    /// What is wrong with an update: the rules of new objects and those about what may not change.
    public func validateUpdate(from old: JSON, to new: JSON, as node: SchemaNode) -> [FieldError] {
        var errors = MetadataValidation.updateErrors(from: old, to: new)
        if node.structure != nil { return errors + validate(new, before: old, asCustom: node) }
        errors += validate(new, as: node)
        var pass = ValidationPass()
        pass.compare(old, new, node, "")
        errors += pass.errors
        UpdateValidation.review(from: old, to: new, type: node.name, &errors)
        errors += UpdateValidation.errors(from: old, to: new, type: node.name)
        return errors
    }

    /// What is wrong with an update's metadata alone, where the rest is not the client's.
    public func metadataErrors(from old: JSON, to new: JSON, as node: SchemaNode) -> [FieldError] {
        guard new["metadata"] != old["metadata"] else { return [] }
        return MetadataValidation.updateErrors(from: old, to: new) + MetadataValidation.errors(in: new, node)
    }

    /// Whether a list of type set or map has an element twice. An object that was so before may stay so.
    private func hasRepeatedElements(_ object: JSON?, _ node: SchemaNode) -> Bool {
        guard let object else { return false }
        var pass = StructuralValidation()
        pass.validate(object, node)
        return !pass.listErrors.isEmpty
    }

    private func validate(_ object: JSON, before: JSON?, asCustom node: SchemaNode) -> [FieldError] {
        var pass = StructuralValidation()
        pass.validate(object, node, before: before)
        var errors = MetadataValidation.errors(in: object, node) + pass.errors
        if !pass.listErrors.isEmpty, !hasRepeatedElements(before, node) { errors += pass.listErrors }
        guard node.structure?.hasExpressions == true else { return errors }
        // Rules are written for objects that have the types and sizes of their schema.
        let blocking: [FieldError.Kind] = [.notSupported, .required, .tooLong, .tooMany, .typeInvalid]
        guard !errors.contains(where: { blocking.contains($0.kind) }) else {
            errors.append(
                .invalid(
                    "<nil>", "null",
                    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
                ))
            return errors
        }
        var rules = ExpressionValidation()
        rules.validate(object, node, before: before)
        return errors + rules.errors
    }
}

private struct ValidationPass {
    var errors: [FieldError] = []

    private var path = FieldPath()

    mutating func validate(_ value: JSON, _ node: SchemaNode) {
        switch node.shape {
        case .object:
            guard case .object(let members) = value else { return }
            check(value, node)
            for (key, member) in members {
                guard let property = node.property(key), property.node.isContainer else { continue }
                visit(.field(key), member, property.node)
            }
            if let special = node.special { ComputedValidation.review(value, special, at: path, &errors) }
        case .array:
            guard let items = node.items, items.isContainer else { return }
            for (index, element) in value.arrayValue.enumerated() { visit(.index(index), element, items) }
        case .map:
            guard let values = node.additionalProperties, values.isContainer else { return }
            for (key, member) in value.objectValue ?? [:] { visit(.key(key), member, values) }
        default: break
        }
    }

    mutating func visit(_ step: FieldPath.Step, _ value: JSON, _ node: SchemaNode) {
        path.push(step)
        validate(value, node)
        path.pop()
    }

    /// Rules report places relative to their object; the way to it is put in front only of what they find.
    private mutating func check(_ value: JSON, _ node: SchemaNode) {
        let before = errors.count
        for rule in node.validationRules { rule.check(value, at: "", &errors) }
        if let special = node.special { ComputedValidation.check(value, special, at: "", &errors) }
        for index in before..<errors.count { errors[index] = errors[index].moved(below: path) }
    }

    /// Walks both objects together along fields; lists have no rules about changes.
    mutating func compare(_ old: JSON, _ new: JSON, _ node: SchemaNode, _ place: String) {
        guard node.shape == .object, case .object = old, case .object(let members) = new else { return }
        for rule in node.validationRules where rule.isAboutChanges {
            guard rule.condition.holds(for: new) else { continue }
            let before = old[path: rule.fieldNames]
            let after = new[path: rule.fieldNames]
            if before == after || (rule.name == "setonce" && before.isEmpty) { continue }
            let path = ((place.isEmpty ? [] : [place]) + rule.fieldNames).joined(separator: ".")
            errors.append(
                rule.name == "fixed"
                    ? .forbidden(path, rule.detail)
                    : .invalid(path, after, rule.detail.isEmpty ? "field is immutable" : rule.detail))
        }
        for (key, member) in members {
            guard let property = node.property(key), property.node.shape == .object else { continue }
            compare(old[key], member, property.node, place.isEmpty ? key : place + "." + key)
        }
    }
}

extension Schema {
    /// What is wrong with a pod that was given its node. All else was found right when it was written: what a binding cannot
    /// change is not looked at again.
    public func bindingErrors(from pod: JSON, to bound: JSON, as node: SchemaNode) -> [FieldError] {
        let name = bound["spec"]["nodeName"]
        var errors = NameChecks.dns1123Subdomain(name.stringValue ?? "").map {
            FieldError.invalid("spec.nodeName", name, $0)
        }
        if bound.labels != pod.labels || bound.annotations != pod.annotations {
            errors += MetadataValidation.errors(in: bound, node)
        }
        return errors
    }

    /// What is wrong with an object that is new, beyond what holds for every object of its kind.
    public func creationErrors(in object: JSON, as node: SchemaNode) -> [FieldError] {
        node.special == .pod ? PodValidation.creation(object) : []
    }

    /// What is wrong with a namespace's finalizers.
    public func finalizerErrors(in object: JSON) -> [FieldError] { NamespaceValidation.finalizers(object) }

    /// What is wrong with the change of a status, of the kinds whose statuses Kubernetes looks at.
    public func statusErrors(from old: JSON, to new: JSON, as node: SchemaNode) -> [FieldError] {
        StatusValidation.errors(from: old, to: new, type: node.name) + statusErrors(in: new, as: node)
    }

    /// By the rules of their fields alone.
    private func statusErrors(in object: JSON, as node: SchemaNode) -> [FieldError] {
        let judged = [
            "core.v1.Service", "networking.v1.Ingress", "policy.v1.PodDisruptionBudget",
            "admissionregistration.v1.ValidatingAdmissionPolicy", "autoscaling.v2.HorizontalPodAutoscaler",
            "autoscaling.v1.HorizontalPodAutoscaler", "storage.v1.VolumeAttachment",
        ]
        guard judged.contains(where: { node.name == "io.k8s.api." + $0 }), let status = node.property("status") else {
            return []
        }
        var pass = ValidationPass()
        pass.visit(.field("status"), object["status"], status.node)
        return pass.errors
    }

    /// What is wrong with a change of a ResourceClaim's status.
    public func claimStatusErrors(from old: JSON, to new: JSON) -> [FieldError] {
        ResourceClaimStatusValidation.errors(in: new, from: old)
    }

    /// What is wrong with the stored versions that a CustomResourceDefinition's status names.
    public func storedVersionErrors(in definition: JSON) -> [FieldError] {
        CustomResourceDefinitionValidation.storedVersions(definition)
    }
}
