import Objects

/// Rules of where the value of an environment variable comes from: from one place.
enum EnvironmentValidation {
    private static let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"]

    static func variable(_ variable: JSON, _ errors: inout [FieldError]) {
        let source = variable["valueFrom"]
        guard source.exists else { return }
        DownwardValidation.variable(source, &errors)
        for kind in ["configMapKeyRef", "secretKeyRef"] where source[kind].exists {
            let name = source[kind]["name"].stringValue ?? ""
            errors += NameChecks.dns1123Subdomain(name).map { .invalid("valueFrom.\(kind).name", .string(name), $0) }
        }
        let count = kinds.count { source[$0].exists }
        if count == 0 {
            errors.append(
                .invalid(
                    "valueFrom", "",
                    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
                ))
        } else if !variable["value"].isEmpty {
            errors.append(.invalid("valueFrom", "", "may not be specified when `value` is not empty"))
        } else if count > 1 {
            errors.append(.invalid("valueFrom", "", "may not have more than one field specified at a time"))
        }
    }
}
