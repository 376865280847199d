import Objects

/// Which parts all versions of a CustomResourceDefinition have in common: Kubernetes keeps these once for all, and names them so
/// in what it has to say.
struct SharedVersionParts {
    static let names = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"]

    private let shared: Set<String>

    init(_ versions: [JSON]) {
        shared = Set(
            Self.names.filter { name in
                guard let first = versions.first?[name], !first.isEmpty || name == "subresources" && first.exists else {
                    return false
                }
                return versions.allSatisfy { $0[name] == first }
            })
    }

    func contains(_ name: String) -> Bool { shared.contains(name) }
}

/// The rules of one version of a CustomResourceDefinition: schema, subresources, columns, selectable fields.
enum CustomVersionValidation {
    /// What is the version's own.
    static func check(
        _ version: JSON, _ path: String, shared: SharedVersionParts, _ errors: inout [FieldError]
    ) {
        deprecation(version, "\(path).deprecationWarning", &errors)
        let hasStatus = version["subresources"]["status"].exists
        if !shared.contains("schema") {
            checkSchema(version, "\(path).schema.openAPIV3Schema", hasStatus: hasStatus, &errors)
        }
        for name in SharedVersionParts.names.dropFirst() where !shared.contains(name) {
            check(part: name, of: version, "\(path).\(name)", &errors)
        }
    }

    /// What all versions have in common.
    static func checkShared(_ versions: [JSON], _ errors: inout [FieldError]) {
        let shared = SharedVersionParts(versions)
        guard let version = versions.first else { return }
        if shared.contains("schema") {
            let hasStatus = versions.contains { $0["subresources"]["status"].exists }
            checkSchema(version, "spec.validation.openAPIV3Schema", hasStatus: hasStatus, &errors)
        }
        for name in SharedVersionParts.names.dropFirst() where shared.contains(name) {
            check(part: name, of: version, "spec.\(name)", &errors)
        }
    }

    private static func check(part: String, of version: JSON, _ path: String, _ errors: inout [FieldError]) {
        switch part {
        case "subresources": checkScale(version["subresources"]["scale"], "\(path).scale", &errors)
        case "additionalPrinterColumns": checkColumns(version["additionalPrinterColumns"], path, &errors)
        default:
            checkSelectable(version["selectableFields"], version["schema"]["openAPIV3Schema"], path, &errors)
        }
    }

    private static func deprecation(_ version: JSON, _ path: String, _ errors: inout [FieldError]) {
        guard let text = version["deprecationWarning"].stringValue else { return }
        func complain(_ detail: String) { errors.append(.invalid(path, .string(text), detail)) }
        guard version["deprecated"].boolValue == true else {
            return complain("can only be set for deprecated versions")
        }
        if text.utf8.count > 256 { complain("must be <= 256 characters long") }
        if text.isEmpty { complain("must not be an empty string") }
        guard let index = text.unicodeScalars.firstIndex(where: { !isPrintable($0) }) else { return }
        let offset = text.utf8.distance(from: text.utf8.startIndex, to: index)
        complain("must only contain printable UTF-8 characters; non-printable character found at index \(offset)")
    }

    /// Letters, marks, numbers, punctuation, symbols and the plain space.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: scalar == " "
        default: true
        }
    }

    /// What may stand at the root beside the fields when status is a subresource.
    private static let besideFields: Set = [
        "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
        "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items",
        "properties", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
    ]

    private static func checkSchema(
        _ version: JSON, _ path: String, hasStatus: Bool, _ errors: inout [FieldError]
    ) {
        let schema = version["schema"]["openAPIV3Schema"]
        guard schema.exists else { return }
        if hasStatus {
            let others = (schema.objectValue ?? [:]).keys.filter { !besideFields.contains($0) && $0 != "nullable" }
            if !others.isEmpty {
                errors.append(
                    .invalid(
                        path, JSON(others.sorted { $0.precedesByBytes($1) }),
                        "only \(besideFields.sorted().joined(separator: ", ")) fields are allowed at the root of the schema if the status subresource is enabled"
                    ))
            }
        }
        let problems = StructuralCheck.errors(in: schema, at: path)
        errors += problems
        // A default is judged by its schema, so that must be right first; and rules stand in a schema that is right.
        guard problems.isEmpty else { return }
        let mistakes = StructuralDefaultCheck.errors(in: schema, at: path)
        errors += mistakes
        if mistakes.isEmpty { errors += ExpressionCheck.errors(in: schema, at: path) }
    }

    private static func checkPath(
        _ value: JSON, _ path: String, below roots: [String], _ errors: inout [FieldError]
    ) {
        let text = value.stringValue ?? ""
        if !text.hasPrefix(".") {
            errors.append(.invalid(path, value.isNull ? "" : value, "must be a simple json path starting with ."))
            return
        }
        do throws(JSONPath.ParseError) { _ = try JSONPath(parsing: text) } catch {
            errors.append(.invalid(path, value, "is an invalid path: \(error)"))
            return
        }
        guard !roots.isEmpty, !roots.contains(where: { text.hasPrefix($0 + ".") }) else { return }
        let wanted = roots.count == 1 ? "under \(roots[0])" : "under either \(roots.joined(separator: " or "))"
        errors.append(.invalid(path, value, "should be a json path \(wanted)"))
    }

    private static func checkScale(_ scale: JSON, _ path: String, _ errors: inout [FieldError]) {
        guard scale.exists else { return }
        for (key, root) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
            if scale[key].isEmpty {
                errors.append(.required("\(path).\(key)"))
            } else {
                checkPath(scale[key], "\(path).\(key)", below: [root], &errors)
            }
        }
        if !scale["labelSelectorPath"].isEmpty {
            checkPath(
                scale["labelSelectorPath"], "\(path).labelSelectorPath", below: [".spec", ".status"], &errors)
        }
    }

    private static let columnTypes = ["boolean", "date", "integer", "number", "string"]
    private static let columnFormats = [
        "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
    ]

    private static func checkColumns(_ columns: JSON, _ path: String, _ errors: inout [FieldError]) {
        for (index, column) in columns.arrayValue.enumerated() {
            let path = "\(path)[\(index)]"
            if column["name"].isEmpty { errors.append(.required("\(path).name")) }
            if column["type"].isEmpty {
                errors.append(.required("\(path).type", "must be one of \(columnTypes.joined(separator: ","))"))
            } else if !columnTypes.contains(column["type"].stringValue ?? "") {
                errors.append(
                    .invalid(
                        "\(path).type", column["type"], "must be one of \(columnTypes.joined(separator: ","))"))
            }
            if let format = column["format"].stringValue, !format.isEmpty, !columnFormats.contains(format) {
                errors.append(
                    .invalid(
                        "\(path).format", column["format"], "must be one of \(columnFormats.joined(separator: ","))"))
            }
            if column["jsonPath"].isEmpty {
                errors.append(.required("\(path).JSONPath"))
            } else {
                checkPath(column["jsonPath"], "\(path).JSONPath", below: [], &errors)
            }
        }
    }

    private static func checkSelectable(
        _ fields: JSON, _ schema: JSON, _ path: String, _ errors: inout [FieldError]
    ) {
        var seen: Set<String> = []
        for (index, field) in fields.arrayValue.enumerated() {
            let place = "\(path)[\(index)].jsonPath"
            let text = field["jsonPath"].stringValue ?? ""
            guard !text.isEmpty else {
                errors.append(.required(place))
                continue
            }
            guard text.hasPrefix("."), let parsed = try? JSONPath(parsing: text), let names = parsed.memberNames else {
                errors.append(.invalid(place, .string(text), "is an invalid path: must be a simple path of fields"))
                continue
            }
            if names.first == "metadata" {
                errors.append(.invalid(place, .string(text), "must not point to fields in metadata"))
                continue
            }
            var part = schema
            for name in names { part = part["properties"][name] }
            let type = part["type"].stringValue ?? ""
            if part.isNull {
                errors.append(.invalid(place, .string(text), "is an invalid path: does not refer to a valid field"))
            } else if !["string", "integer", "boolean"].contains(type) {
                errors.append(
                    .invalid(
                        place, .string(text),
                        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
                    ))
            }
            if part.exists, !seen.insert(text).inserted { errors.append(.duplicate(place, .string(text))) }
        }
        if seen.count > 8 { errors.append(.tooMany(path, seen.count, limit: 8)) }
    }
}
