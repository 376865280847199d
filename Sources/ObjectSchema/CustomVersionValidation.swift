import Objects

/// The rules of one version of a CustomResourceDefinition: schema, subresources, columns, selectable fields.
enum CustomVersionValidation {
    static func check(_ version: JSON, _ path: String, _ errors: inout [FieldError]) {
        let warning = version["deprecationWarning"]
        if let text = warning.stringValue {
            if version["deprecated"].boolValue != true {
                errors.append(
                    .invalid("\(path).deprecationWarning", warning, "can only be set for deprecated versions"))
            } else if text.isEmpty {
                errors.append(.invalid("\(path).deprecationWarning", warning, "must not be an empty string"))
            } else if text.utf8.count > 256 {
                errors.append(
                    .invalid("\(path).deprecationWarning", warning, "must be <= 256 characters in length"))
            }
        }
        let schema = version["schema"]["openAPIV3Schema"]
        if schema.isNull {
            errors.append(.required("\(path).schema.openAPIV3Schema", "schemas are required"))
        } else {
            checkSchema(schema, version, "\(path).schema.openAPIV3Schema", &errors)
        }
        checkScale(version["subresources"]["scale"], "\(path).subresources.scale", &errors)
        checkColumns(version["additionalPrinterColumns"], "\(path).additionalPrinterColumns", &errors)
        checkSelectable(version["selectableFields"], schema, "\(path).selectableFields", &errors)
    }

    /// What may stand at the root beside the fields when status is a subresource.
    private static let besideFields: Set = [
        "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
        "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items",
        "properties", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
    ]

    private static func checkSchema(_ schema: JSON, _ version: JSON, _ path: String, _ errors: inout [FieldError]) {
        if version["subresources"]["status"].exists {
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
        // A default is judged by its schema, so that must be right first.
        guard problems.isEmpty else { return }
        let mistakes = ExpressionCheck.errors(in: schema, at: path)
        errors += mistakes
        if mistakes.isEmpty { errors += StructuralDefaultCheck.errors(in: schema, at: path) }
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
                errors.append(.required("\(path).jsonPath"))
            } else {
                checkPath(column["jsonPath"], "\(path).jsonPath", below: [], &errors)
            }
        }
    }

    private static func checkSelectable(
        _ fields: JSON, _ schema: JSON, _ path: String, _ errors: inout [FieldError]
    ) {
        if fields.count > 8 { errors.append(.tooMany(path, fields.count, limit: 8)) }
        var seen: Set<String> = []
        for (index, field) in fields.arrayValue.enumerated() {
            let place = "\(path)[\(index)].jsonPath"
            let text = field["jsonPath"].stringValue ?? ""
            guard !text.isEmpty else {
                errors.append(.required(place))
                continue
            }
            if !seen.insert(text).inserted { errors.append(.duplicate(place, .string(text))) }
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
        }
    }
}
