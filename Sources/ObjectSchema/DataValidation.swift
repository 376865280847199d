import Objects

/// Rules of ConfigMaps and Secrets.
enum DataValidation {
    /// Bytes of all values together.
    static let maximumBytes = 1_048_576

    static func configMap(_ object: JSON, _ errors: inout [FieldError]) {
        var total = 0
        for list in ["data", "binaryData"] {
            for (key, value) in object[list].objectValue ?? [:] {
                errors += NameChecks.configKey(key).map { .invalid("\(list)[\(key)]", .string(key), $0) }
                if list == "data", object["binaryData"][key].exists {
                    errors.append(.invalid("data[\(key)]", .string(key), "duplicate of key present in binaryData"))
                }
                total += (value.stringValue?.utf8.count ?? 0) / (list == "data" ? 1 : 4) * (list == "data" ? 1 : 3)
            }
        }
        if total > maximumBytes { errors.append(.tooLong("[]", limit: maximumBytes)) }
    }

    static func secret(_ object: JSON, _ errors: inout [FieldError]) {
        var total = 0
        for (key, value) in object["data"].objectValue ?? [:] {
            errors += NameChecks.configKey(key).map { .invalid("data[\(key)]", .string(key), $0) }
            total += (value.stringValue?.utf8.count ?? 0) / 4 * 3
        }
        if total > maximumBytes { errors.append(.tooLong("data", limit: maximumBytes)) }
        func has(_ key: String) -> Bool { object["data"][key].exists }
        switch object["type"].stringValue {
        case "kubernetes.io/tls":
            for key in ["tls.crt", "tls.key"] where !has(key) { errors.append(.required("data[\(key)]")) }
        case "kubernetes.io/dockerconfigjson": checkJSON(object, ".dockerconfigjson", &errors)
        case "kubernetes.io/dockercfg": checkJSON(object, ".dockercfg", &errors)
        case "kubernetes.io/basic-auth":
            if !has("username"), !has("password") {
                errors.append(.required("data[username]"))
                errors.append(.required("data[password]"))
            }
        case "kubernetes.io/ssh-auth":
            if object["data"]["ssh-privatekey"].isEmpty { errors.append(.required("data[ssh-privatekey]")) }
        case "kubernetes.io/service-account-token":
            if object.annotations["kubernetes.io/service-account.name"].isEmpty {
                errors.append(.required("metadata.annotations[kubernetes.io/service-account.name]"))
            }
        default: break
        }
    }

    private static func checkJSON(_ object: JSON, _ key: String, _ errors: inout [FieldError]) {
        guard let text = object["data"][key].stringValue, let bytes = Base64.decode(text) else {
            errors.append(.required("data[\(key)]"))
            return
        }
        func refuse(_ detail: String) {
            errors.append(.invalid("data[\(key)]", "<secret contents redacted>", detail))
        }
        do {
            let content = try JSON(parsing: bytes)
            if content.objectValue == nil, content.exists {
                let names = ["boolean": "bool", "integer": "number"]
                let name = names[content.typeName] ?? content.typeName
                refuse("json: cannot unmarshal \(name) into Go value of type map[string]interface {}")
            }
        } catch {
            refuse(error.description)
        }
    }
}
