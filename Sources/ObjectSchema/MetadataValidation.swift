import Objects

/// The rules of `metadata`, which are the same for every kind but for the syntax of names.
enum MetadataValidation {
    static let maximumAnnotationBytes = 262_144

    static func errors(in object: JSON, _ node: SchemaNode) -> [FieldError] {
        guard case .object = object["metadata"] else {
            return object["metadata"].isNull ? [] : [.invalid("metadata", object["metadata"], "must be an object")]
        }
        var errors: [FieldError] = []
        let metadata = object.metadata
        checkName(object, node, &errors)
        if let namespace = metadata["namespace"].stringValue, !namespace.isEmpty {
            errors += NameChecks.dns1123Label(namespace).map { .invalid("metadata.namespace", .string(namespace), $0) }
        }
        if object.generation < 0 {
            errors.append(.invalid("metadata.generation", metadata["generation"], "must be greater than or equal to 0"))
        }
        for (key, value) in metadata["labels"].objectValue ?? [:] {
            errors += NameChecks.qualifiedName(key).map { .invalid("metadata.labels", .string(key), $0) }
            errors += NameChecks.labelValue(value.stringValue ?? "").map { .invalid("metadata.labels", value, $0) }
        }
        checkAnnotations(metadata["annotations"], &errors)
        for (index, finalizer) in metadata["finalizers"].arrayValue.enumerated() {
            errors += NameChecks.qualifiedName(finalizer.stringValue ?? "").map {
                .invalid("metadata.finalizers[\(index)]", finalizer, $0)
            }
        }
        checkOwners(metadata["ownerReferences"], &errors)
        return errors
    }

    static func updateErrors(from old: JSON, to new: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        for field in ["name", "namespace", "uid", "creationTimestamp"] {
            let before = old.metadata[field]
            let after = new.metadata[field]
            if before != after, before.exists || field == "name", after.exists {
                errors.append(.invalid("metadata.\(field)", after, "field is immutable"))
            }
        }
        guard old.deletionTimestamp != nil else { return errors }
        let known = Set(old.finalizers)
        let added = new.finalizers.filter { !known.contains($0) }
        if !added.isEmpty {
            errors.append(
                .forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new finalizers [\(added.map { "\"\($0)\"" }.joined(separator: " "))]"
                ))
        }
        return errors
    }

    private static func checkName(_ object: JSON, _ node: SchemaNode, _ errors: inout [FieldError]) {
        let rule = node.validationRules.first { $0.fieldNames == ["metadata", "name"] }
        let check = rule?.textCheck ?? NameChecks.dns1123Subdomain
        if let prefix = object.metadata["generateName"].stringValue, !prefix.isEmpty {
            // A prefix may end in what a name may not, since something follows.
            let complaints = check(prefix.hasSuffix("-") ? prefix.dropLast() + "a" : prefix)
            errors += complaints.map { .invalid("metadata.generateName", .string(prefix), $0) }
        }
        if object.name.isEmpty {
            errors.append(.required("metadata.name", "name or generateName is required"))
        } else if rule == nil {
            errors += check(object.name).map { .invalid("metadata.name", .string(object.name), $0) }
        }
    }

    private static func checkAnnotations(_ annotations: JSON, _ errors: inout [FieldError]) {
        var total = 0
        for (key, value) in annotations.objectValue ?? [:] {
            errors += NameChecks.qualifiedName(key.lowercased()).map {
                .invalid("metadata.annotations", .string(key), $0)
            }
            total += key.utf8.count + (value.stringValue?.utf8.count ?? 0)
        }
        if total > maximumAnnotationBytes {
            errors.append(.tooLong("metadata.annotations", limit: maximumAnnotationBytes))
        }
    }

    private static func checkOwners(_ owners: JSON, _ errors: inout [FieldError]) {
        var controllers = 0
        for (index, owner) in owners.arrayValue.enumerated() {
            let place = "metadata.ownerReferences[\(index)]"
            for field in ["apiVersion", "kind", "name", "uid"] where owner[field].isEmpty {
                errors.append(
                    .invalid("\(place).\(field)", owner[field].isNull ? "" : owner[field], "must not be empty"))
            }
            if owner["controller"].boolValue == true { controllers += 1 }
        }
        if controllers > 1 {
            errors.append(
                .invalid("metadata.ownerReferences", owners, "Only one reference can have Controller set to true"))
        }
    }
}
