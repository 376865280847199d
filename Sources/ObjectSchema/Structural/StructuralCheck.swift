import Objects

/// Whether the schema of a custom resource is structural: every value has a type outside of combinations of schemas, and
/// nothing is used that a structural schema cannot have.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema.
struct StructuralCheck {
    private(set) var errors: [FieldError] = []

    /// Where in a schema a part of it stands.
    private enum Place {
        case root
        case field
        case item

        var name: String {
            switch self {
            case .root: "at the root"
            case .field: "for specified object fields"
            case .item: "for specified array items"
            }
        }
    }

    static func errors(in schema: JSON, at path: String) -> [FieldError] {
        var check = StructuralCheck()
        if schema["nullable"].boolValue == true {
            check.errors.append(.forbidden("\(path).nullable", "nullable cannot be true at the root"))
        }
        check.check(schema, path, .root)
        return check.errors
    }

    private static let types: Set = ["string", "boolean", "integer", "number", "array", "object"]
    private static let unsupported = [
        "$ref", "$schema", "id", "definitions", "dependencies", "patternProperties", "additionalItems",
    ]

    private mutating func check(_ schema: JSON, _ path: String, _ place: Place) {
        guard schema.objectValue != nil else {
            errors.append(.invalid(path, schema, "must be a schema"))
            return
        }
        checkType(schema, path, place)
        checkCommon(schema, path)
        checkExtensions(schema, path)
        checkChildren(schema, path, place)
        for combination in ["allOf", "anyOf", "oneOf"] {
            for (index, inner) in schema[combination].arrayValue.enumerated() {
                checkInside(inner, "\(path).\(combination)[\(index)]", schema, path, isAlternative(schema, combination))
            }
        }
        if schema["not"].exists { checkInside(schema["not"], "\(path).not", schema, path, false) }
    }

    /// The one form of alternatives that may name types: an integer or a string.
    private func isAlternative(_ schema: JSON, _ combination: String) -> Bool {
        schema["x-kubernetes-int-or-string"].boolValue == true && combination != "oneOf"
    }

    private mutating func checkType(_ schema: JSON, _ path: String, _ place: Place) {
        let type = schema["type"].stringValue ?? ""
        let isIntOrString = schema["x-kubernetes-int-or-string"].boolValue == true
        if type.isEmpty {
            let isOpen = schema["x-kubernetes-preserve-unknown-fields"].boolValue == true && place != .root
            if !isIntOrString, !isOpen {
                errors.append(.required("\(path).type", "must not be empty \(place.name)"))
            }
        } else if !Self.types.contains(type) {
            errors.append(.notSupported("\(path).type", .string(type), Self.types.sorted()))
            if type == "null" {
                errors.append(
                    .forbidden("\(path).type", "type cannot be set to null, use nullable as an alternative"))
            }
        } else if isIntOrString {
            errors.append(
                .forbidden("\(path).type", "must be empty if x-kubernetes-int-or-string is true"))
        }
        if place == .root, !type.isEmpty, type != "object" {
            errors.append(.invalid("\(path).type", .string(type), "must be object at the root"))
        }
    }

    /// What is the same inside and outside of combinations.
    private mutating func checkCommon(_ schema: JSON, _ path: String) {
        for key in Self.unsupported where schema[key].exists {
            errors.append(.forbidden("\(path).\(key)", "\(key) is not supported"))
        }
        if schema["uniqueItems"].boolValue == true {
            errors.append(
                .forbidden(
                    "\(path).uniqueItems",
                    "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
        }
        if let pattern = schema["pattern"].stringValue {
            do throws(StructuralSchemaError) { _ = try TextPattern.make(pattern) } catch {
                errors.append(.invalid("\(path).pattern", .string(pattern), error.description))
            }
        }
        for key in ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"] {
            if let size = schema[key].integerValue, size < 0 {
                errors.append(.invalid("\(path).\(key)", schema[key], "must be greater than or equal to 0"))
            }
        }
        if case .array = schema["items"] {
            errors.append(.forbidden("\(path).items", "items must be a schema object and not an array"))
        }
    }

    private mutating func checkExtensions(_ schema: JSON, _ path: String) {
        let type = schema["type"].stringValue ?? ""
        let keepsUnknown = schema["x-kubernetes-preserve-unknown-fields"]
        if keepsUnknown.boolValue == false {
            errors.append(
                .invalid("\(path).x-kubernetes-preserve-unknown-fields", false, "must be true or undefined"))
        }
        if schema["x-kubernetes-embedded-resource"].boolValue == true {
            if type != "object" {
                errors.append(
                    .invalid(
                        "\(path).type", .string(type), "must be object if x-kubernetes-embedded-resource is true"))
            }
            if schema["properties"].isEmpty, keepsUnknown.boolValue != true {
                errors.append(
                    .required(
                        "\(path).properties",
                        "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
                    ))
            }
        }
        if let mapType = schema["x-kubernetes-map-type"].stringValue {
            if type != "object" {
                need(type, "must be object if x-kubernetes-map-type is specified", path)
            }
            if mapType != "atomic", mapType != "granular" {
                errors.append(
                    .notSupported("\(path).x-kubernetes-map-type", .string(mapType), ["atomic", "granular"]))
            }
        }
        checkListType(schema, path, type)
    }

    /// A type that another statement asks for.
    private mutating func need(_ type: String, _ detail: String, _ path: String) {
        errors.append(
            type.isEmpty
                ? .required("\(path).type", detail) : .invalid("\(path).type", .string(type), detail))
    }

    private mutating func checkListType(_ schema: JSON, _ path: String, _ type: String) {
        let listType = schema["x-kubernetes-list-type"]
        let keys = schema["x-kubernetes-list-map-keys"]
        guard let name = listType.stringValue else {
            if !keys.isEmpty {
                errors.append(
                    .required(
                        "\(path).x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"))
            }
            return
        }
        if type != "array" { need(type, "must be array if x-kubernetes-list-type is specified", path) }
        guard ["atomic", "set", "map"].contains(name) else {
            errors.append(.notSupported("\(path).x-kubernetes-list-type", listType, ["atomic", "set", "map"]))
            return
        }
        let items = schema["items"]
        if name == "map" {
            checkMapKeys(keys, items, path)
        } else if !keys.isEmpty {
            errors.append(
                .invalid(
                    "\(path).x-kubernetes-list-type", listType, "must be map if x-kubernetes-list-map-keys is non-empty"
                ))
        }
        if name != "atomic", items["nullable"].boolValue == true {
            errors.append(
                .forbidden("\(path).items.nullable", "cannot be nullable when x-kubernetes-list-type is \(name)"))
        }
        guard name == "set", type == "array", items["type"].exists else { return }
        let isAtomicList =
            items["type"] == "array" && (items["x-kubernetes-list-type"].stringValue ?? "atomic") == "atomic"
        let isAtomicMap = items["type"] == "object" && items["x-kubernetes-map-type"] == "atomic"
        if items["type"] == "array", !isAtomicList {
            errors.append(
                .invalid(
                    "\(path).items.x-kubernetes-list-type", items["x-kubernetes-list-type"],
                    "must be atomic as item of a list with x-kubernetes-list-type=set"))
        }
        if items["type"] == "object", !isAtomicMap {
            errors.append(
                .invalid(
                    "\(path).items.x-kubernetes-map-type", items["x-kubernetes-map-type"],
                    "must be atomic as item of a list with x-kubernetes-list-type=set"))
        }
    }

    private mutating func checkMapKeys(_ keys: JSON, _ items: JSON, _ path: String) {
        guard !keys.isEmpty else {
            errors.append(
                .required("\(path).x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map"))
            return
        }
        guard items.exists else {
            errors.append(.required("\(path).items", "must have a schema if x-kubernetes-list-type is map"))
            return
        }
        guard items["type"] == "object" else {
            errors.append(
                .invalid(
                    "\(path).items.type", items["type"].isNull ? "" : items["type"],
                    "must be object if parent array's x-kubernetes-list-type is map"))
            return
        }
        var seen: Set<String> = []
        let required = items["required"].arrayValue.compactMap(\.stringValue)
        let place = "\(path).x-kubernetes-list-map-keys"
        for key in keys.arrayValue.compactMap(\.stringValue) {
            let property = items["properties"][key]
            if !property.exists {
                errors.append(.invalid(place, keys, "entries must all be names of item properties"))
            }
            if !seen.insert(key).inserted { errors.append(.invalid(place, keys, "must not contain duplicate entries")) }
            guard property.exists else { continue }
            let type = property["type"].stringValue ?? ""
            if type == "array" || type == "object" {
                errors.append(
                    .invalid(
                        "\(path).items.properties[\(key)].type", items["type"],
                        "must be a scalar type if parent array's x-kubernetes-list-type is map"))
            }
            if property["nullable"].boolValue == true {
                errors.append(
                    .forbidden(
                        "\(path).items.properties[\(key)].nullable",
                        "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
            }
            if !required.contains(key), property["default"].isNull {
                errors.append(
                    .required(
                        "\(path).items.properties[\(key)].default",
                        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
                    ))
            }
        }
    }

    private mutating func checkChildren(_ schema: JSON, _ path: String, _ place: Place) {
        let type = schema["type"].stringValue ?? ""
        let additional = schema["additionalProperties"]
        if !schema["properties"].isEmpty, additional.exists, additional != false {
            errors.append(
                .forbidden("\(path).additionalProperties", "additionalProperties and properties are mutual exclusive"))
        }
        if additional == false {
            errors.append(.forbidden("\(path).additionalProperties", "additionalProperties cannot be set to false"))
        }
        if additional.exists, place == .root {
            errors.append(.forbidden("\(path).additionalProperties", "must not be used at the root"))
        }
        if additional.objectValue != nil { check(additional, "\(path).additionalProperties", .field) }
        for (name, member) in schema["properties"].objectValue ?? [:] {
            let own = "\(path).properties[\(name)]"
            if name == "metadata", place == .root || schema["x-kubernetes-embedded-resource"].boolValue == true {
                checkMetadata(member, own)
            } else {
                check(member, own, .field)
            }
        }
        if schema["items"].objectValue != nil {
            check(schema["items"], "\(path).items", .item)
        } else if type == "array", schema["items"].isNull {
            errors.append(.required("\(path).items", "must be specified"))
        }
    }

    /// Metadata is known without being described; only names may be restricted.
    private mutating func checkMetadata(_ schema: JSON, _ path: String) {
        if let type = schema["type"].stringValue, type != "object" {
            errors.append(.invalid("\(path).type", .string(type), "must be object"))
        }
        var rest = schema
        for key in ["type", "description", "title"] { rest.removeValue(forKey: key) }
        rest["properties"].removeValue(forKey: "name")
        rest["properties"].removeValue(forKey: "generateName")
        if rest["properties"].isEmpty { rest.removeValue(forKey: "properties") }
        if !rest.isEmpty {
            errors.append(
                .forbidden(
                    path,
                    "must not specify anything other than name and generateName, but metadata is implicitly specified"))
        }
    }

    // MARK: - Inside combinations

    /// Combinations only restrict: what they name must be known outside of them.
    private mutating func checkInside(
        _ schema: JSON, _ path: String, _ outside: JSON, _ outsidePath: String, _ mayHaveType: Bool
    ) {
        guard schema.objectValue != nil else {
            errors.append(.invalid(path, schema, "must be a schema"))
            return
        }
        checkCommon(schema, path)
        if schema["type"].exists, !mayHaveType {
            errors.append(.forbidden("\(path).type", "must be empty to be structural"))
        }
        for key in ["title", "description", "default"] where schema[key].exists {
            errors.append(.forbidden("\(path).\(key)", "must be empty to be structural"))
        }
        for key in [
            "nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
        ] where schema[key].boolValue == true {
            errors.append(.forbidden("\(path).\(key)", "must be false to be structural"))
        }
        for key in ["additionalProperties", "x-kubernetes-list-type", "x-kubernetes-map-type"] where schema[key].exists
        {
            errors.append(.forbidden("\(path).\(key)", "must be undefined to be structural"))
        }
        if !schema["x-kubernetes-validations"].isEmpty {
            errors.append(.forbidden("\(path).x-kubernetes-validations", "must be empty to be structural"))
        }
        for (name, member) in schema["properties"].objectValue ?? [:] {
            let known = outside["properties"][name]
            guard known.exists else {
                errors.append(
                    .required(
                        "\(outsidePath).properties[\(name)]", "because it is defined in \(path).properties[\(name)]"))
                continue
            }
            checkInside(
                member, "\(path).properties[\(name)]", known, "\(outsidePath).properties[\(name)]",
                known["x-kubernetes-int-or-string"].boolValue == true)
        }
        if schema["items"].objectValue != nil {
            if outside["items"].objectValue == nil {
                errors.append(.required("\(outsidePath).items", "because it is defined in \(path).items"))
            } else {
                checkInside(schema["items"], "\(path).items", outside["items"], "\(outsidePath).items", false)
            }
        }
        for combination in ["allOf", "anyOf", "oneOf"] {
            for (index, inner) in schema[combination].arrayValue.enumerated() {
                checkInside(inner, "\(path).\(combination)[\(index)]", outside, outsidePath, mayHaveType)
            }
        }
        if schema["not"].exists { checkInside(schema["not"], "\(path).not", outside, outsidePath, false) }
    }
}
