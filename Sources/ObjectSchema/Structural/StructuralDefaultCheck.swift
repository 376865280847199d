import Objects

/// Whether the defaults of a schema are values that the schema itself allows.
enum StructuralDefaultCheck {
    /// The schema is structural.
    static func errors(in schema: JSON, at path: String) -> [FieldError] {
        var errors: [FieldError] = []
        check(schema, path, isRoot: true, &errors)
        return errors
    }

    private static func check(_ schema: JSON, _ path: String, isRoot: Bool, _ errors: inout [FieldError]) {
        if schema["default"].exists || schema.objectValue?.contains("default") == true {
            if isRoot {
                errors.append(.forbidden("\(path).default", "must be undefined at the root"))
            } else {
                checkDefault(schema, path, &errors)
            }
        }
        let hidesMetadata = isRoot || schema["x-kubernetes-embedded-resource"].boolValue == true
        for (name, member) in schema["properties"].objectValue ?? [:] where !(hidesMetadata && name == "metadata") {
            check(member, "\(path).properties[\(name)]", isRoot: false, &errors)
        }
        for key in ["items", "additionalProperties"] where schema[key].objectValue != nil {
            check(schema[key], "\(path).\(key)", isRoot: false, &errors)
        }
    }

    private static func checkDefault(_ schema: JSON, _ path: String, _ errors: inout [FieldError]) {
        let place = "\(path).default"
        let node: SchemaNode
        do throws(StructuralSchemaError) { node = try StructuralCompiler.compilePart(schema) } catch { return }
        var value = schema["default"]
        if value.isNull, !node.isNullable {
            errors.append(.forbidden(place, "null is not allowed unless the field is nullable"))
            return
        }
        var pruning = StructuralPruning()
        do throws(SchemaTypeError) { try pruning.prune(&value, node) } catch {
            errors.append(.invalid(place, schema["default"], error.description))
            return
        }
        if !pruning.unknown.isEmpty {
            errors.append(.invalid(place, schema["default"], "must not have unknown fields"))
            return
        }
        StructuralDefaults.apply(to: &value, node)
        var validation = StructuralValidation(at: FieldPath(text: place))
        validation.validate(value, node)
        errors += validation.errors + validation.listErrors
    }
}
