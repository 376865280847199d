import Objects

/// The rules of CustomResourceDefinitions.
/// See https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/.
enum CustomResourceDefinitionValidation {
    static let typeName = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"

    static func check(_ object: JSON, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        let name = "\(spec["names"]["plural"].stringValue ?? "").\(spec["group"].stringValue ?? "")"
        if !object.name.isEmpty, object.name != name {
            errors.append(
                .invalid("metadata.name", .string(object.name), "must be spec.names.plural+\".\"+spec.group"))
        }
        checkGroup(spec, &errors)
        checkEnumeration(spec["scope"], "spec.scope", ["Cluster", "Namespaced"], &errors)
        if spec["preserveUnknownFields"].boolValue == true {
            errors.append(
                .invalid(
                    "spec.preserveUnknownFields", true,
                    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
                ))
        }
        checkVersions(spec, &errors)
        for key in ["plural", "singular", "kind", "listKind"] where spec["names"][key].isEmpty {
            errors.append(.required("spec.names.\(key)"))
        }
        checkNames(spec["names"], "spec.names", &errors)
        CustomVersionValidation.checkShared(spec["versions"].arrayValue, &errors)
        checkConversion(spec["conversion"], &errors)
        checkApproval(object, &errors)
    }

    private static func checkEnumeration(
        _ value: JSON, _ path: String, _ allowed: [String], _ errors: inout [FieldError]
    ) {
        if value.isEmpty {
            errors.append(.required(path))
        } else if !allowed.contains(value.stringValue ?? "") {
            errors.append(.notSupported(path, value, allowed))
        }
    }

    private static func joined(
        _ complaints: [String], _ path: String, _ value: String, _ errors: inout [FieldError], prefix: String = ""
    ) {
        guard !complaints.isEmpty else { return }
        errors.append(.invalid(path, .string(value), prefix + complaints.joined(separator: ",")))
    }

    private static func checkGroup(_ spec: JSON, _ errors: inout [FieldError]) {
        let group = spec["group"].stringValue ?? ""
        if group.isEmpty {
            errors.append(.required("spec.group"))
        } else if case let complaints = NameChecks.dns1123Subdomain(group), !complaints.isEmpty {
            joined(complaints, "spec.group", group, &errors)
        } else if !group.contains(".") {
            errors.append(.invalid("spec.group", .string(group), "should be a domain with at least one dot"))
        }
    }

    private static func checkVersions(_ spec: JSON, _ errors: inout [FieldError]) {
        let versions = spec["versions"]
        let all = versions.arrayValue
        for (index, version) in all.enumerated() where version["schema"]["openAPIV3Schema"].isNull {
            errors.append(.required("spec.versions[\(index)].schema.openAPIV3Schema", "schemas are required"))
        }
        let shared = SharedVersionParts(all)
        var names: Set<String> = []
        var isUnique = true
        for (index, version) in all.enumerated() {
            let path = "spec.versions[\(index)]"
            let name = version["name"].stringValue ?? ""
            if !names.insert(name).inserted { isUnique = false }
            joined(NameChecks.dns1035Label(name), "\(path).name", name, &errors)
            CustomVersionValidation.check(version, path, shared: shared, &errors)
        }
        let shown = JSON.array(all.map { ["name": $0["name"], "storage": $0["storage"]] })
        if !isUnique { errors.append(.invalid("spec.versions", shown, "must contain unique version names")) }
        if all.count(where: { $0["storage"].boolValue == true }) != 1 {
            errors.append(
                .invalid("spec.versions", shown, "must have exactly one version marked as storage version"))
        }
        // The first version has been a field of its own, which Kubernetes still looks at.
        let first = all.first?["name"].stringValue ?? ""
        if !first.isEmpty { joined(NameChecks.dns1035Label(first), "spec.version", first, &errors) }
    }

    static func checkNames(_ names: JSON, _ path: String, _ errors: inout [FieldError]) {
        for key in ["plural", "singular"] {
            guard let name = names[key].stringValue, !name.isEmpty else { continue }
            joined(NameChecks.dns1035Label(name), "\(path).\(key)", name, &errors)
        }
        for key in ["kind", "listKind"] {
            guard let name = names[key].stringValue, !name.isEmpty else { continue }
            joined(
                NameChecks.dns1035Label(name.lowercased()), "\(path).\(key)", name, &errors,
                prefix: "may have mixed case, but should otherwise match: ")
        }
        for key in ["shortNames", "categories"] {
            for (index, name) in names[key].arrayValue.compactMap(\.stringValue).enumerated() {
                joined(NameChecks.dns1035Label(name), "\(path).\(key)[\(index)]", name, &errors)
            }
        }
        if !names["kind"].isEmpty, names["kind"] == names["listKind"] {
            errors.append(
                .invalid("\(path).listKind", names["listKind"], "kind and listKind may not be the same"))
        }
    }

    private static func checkConversion(_ conversion: JSON, _ errors: inout [FieldError]) {
        guard conversion.exists else { return }
        let path = "spec.conversion"
        checkEnumeration(conversion["strategy"], "\(path).strategy", ["None", "Webhook"], &errors)
        let webhook = conversion["webhook"]
        let (client, versions) = (webhook["clientConfig"], webhook["conversionReviewVersions"])
        guard conversion["strategy"] == "Webhook" else {
            let detail = "should not be set when strategy is not set to Webhook"
            if client.exists { errors.append(.forbidden("\(path).webhookClientConfig", detail)) }
            if !versions.isEmpty { errors.append(.forbidden("\(path).conversionReviewVersions", detail)) }
            return
        }
        if client.isNull {
            errors.append(.required("\(path).webhookClientConfig", "required when strategy is set to Webhook"))
        } else {
            WebhookValidation.client(client, "\(path).webhookClientConfig", &errors)
        }
        if versions.isEmpty {
            errors.append(.required("\(path).conversionReviewVersions"))
        } else {
            WebhookValidation.check(versions: versions, "\(path).conversionReviewVersions", &errors)
        }
    }

    /// Groups of the Kubernetes community need a link to the review of the API.
    private static func checkApproval(_ object: JSON, _ errors: inout [FieldError]) {
        let group = object["spec"]["group"].stringValue ?? ""
        let protected =
            [".k8s.io", ".kubernetes.io"].contains { group.hasSuffix($0) } || group == "k8s.io"
            || group == "kubernetes.io"
        guard protected else { return }
        let key = "api-approved.kubernetes.io"
        let place = "metadata.annotations[\(key)]"
        guard let value = object.annotations[key].stringValue, !value.isEmpty else {
            errors.append(
                .required(
                    place,
                    "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"
                ))
            return
        }
        let isAddress = value.hasPrefix("https://") || value.hasPrefix("http://")
        if !isAddress, !value.hasPrefix("unapproved") {
            errors.append(
                .invalid(
                    place, .string(value),
                    "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
                ))
        }
    }

    // MARK: - Updates

    static func update(from old: JSON, to new: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        func immutable(_ path: [String]) {
            let value = new[path: path]
            if value != old[path: path] {
                errors.append(.invalid(path.joined(separator: "."), value, "field is immutable"))
            }
        }
        let isEstablished = old["status"]["conditions"].arrayValue.contains {
            $0["type"] == "Established" && $0["status"] == "True"
        }
        if isEstablished {
            immutable(["spec", "scope"])
            immutable(["spec", "names", "kind"])
        }
        immutable(["spec", "group"])
        immutable(["spec", "names", "plural"])
        errors += storedVersions(new)
        return errors
    }

    /// A version in which objects may lie in the store must stay.
    static func storedVersions(_ object: JSON) -> [FieldError] {
        let known = Set(object["spec"]["versions"].arrayValue.compactMap { $0["name"].stringValue })
        let stored = object["status"]["storedVersions"].arrayValue.compactMap(\.stringValue)
        if stored.isEmpty { return [.invalid("status.storedVersions", [], "must have at least one stored version")] }
        let missing = object["spec"]["versions"].arrayValue.filter { $0["storage"].boolValue == true }
            .compactMap { $0["name"].stringValue }.filter { !stored.contains($0) }
        return missing.map { .invalid("status.storedVersions", .string($0), "must have the storage version \($0)") }
            + stored.enumerated().filter { !known.contains($0.element) }.map { index, version in
                .invalid(
                    "status.storedVersions[\(index)]", .string(version),
                    "missing from spec.versions; \(version) was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in \(version) and removes \(version) from status.storedVersions"
                )
            }
    }
}
