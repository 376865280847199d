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
        checkAnnotations(metadata["annotations"], at: "metadata.annotations", &errors)
        checkFinalizers(metadata["finalizers"], isOwn: node.structure == nil, &errors)
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
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{\(added.sorted().map { "\"\($0)\"" }.joined(separator: ", "))}"
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

    static func checkAnnotations(
        _ annotations: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        var total = 0
        for (key, value) in annotations.objectValue ?? [:] {
            errors += NameChecks.qualifiedName(key.lowercased()).map {
                .invalid(place(), .string(key), $0)
            }
            total += key.utf8.count + (value.stringValue?.utf8.count ?? 0)
        }
        if total > maximumAnnotationBytes {
            errors.append(.tooLong(place(), limit: maximumAnnotationBytes))
        }
    }

    private static let knownFinalizers: Set = ["kubernetes", "orphan", "foregroundDeletion"]

    /// - Parameter isOwn: Whether the kind is the server's own: of custom resources the names are free.
    private static func checkFinalizers(_ finalizers: JSON, isOwn: Bool, _ errors: inout [FieldError]) {
        let names = finalizers.arrayValue
        for (index, name) in names.enumerated() {
            let text = name.stringValue ?? ""
            errors += NameChecks.qualifiedName(text).map { .invalid("metadata.finalizers", name, $0) }
            if isOwn { checkFinalizer(text, at: "metadata.finalizers[\(index)]", &errors) }
        }
        if names.contains("orphan"), names.contains("foregroundDeletion") {
            errors.append(
                .invalid(
                    "metadata.finalizers", finalizers,
                    "finalizer orphan and foregroundDeletion cannot be both set"))
        }
    }

    /// A name without a domain is one of Kubernetes' own.
    static func checkFinalizer(
        _ name: String, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        guard !name.contains("/"), !knownFinalizers.contains(name) else { return }
        errors.append(
            .invalid(
                place(), .string(name), "name is neither a standard finalizer name nor is it fully qualified"))
    }

    /// Owners are told of without their place in the list.
    private static func checkOwners(_ owners: JSON, _ errors: inout [FieldError]) {
        let place = "metadata.ownerReferences"
        var controller: String?
        for owner in owners.arrayValue {
            let (version, kind) = (owner["apiVersion"].stringValue ?? "", owner["kind"].stringValue ?? "")
            if version.isEmpty || version.hasSuffix("/") {
                errors.append(.invalid("\(place).apiVersion", .string(version), "version must not be empty"))
            }
            for field in ["kind", "name", "uid"] where owner[field].isEmpty {
                errors.append(.invalid("\(place).\(field)", "", "must not be empty"))
            }
            if version == "v1", kind == "Event" {
                errors.append(.invalid(place, owner, "/v1, Kind=Event is disallowed from being an owner"))
            }
            guard owner["controller"].boolValue == true else { continue }
            let name = "\(kind)/\(owner["name"].stringValue ?? "")"
            if let controller {
                errors.append(
                    .invalid(
                        place, owners,
                        "Only one reference can have Controller set to true. Found \"true\" in references for \(controller) and \(name)"
                    ))
            } else {
                controller = name
            }
        }
    }
}
