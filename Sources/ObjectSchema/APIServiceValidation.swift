import Objects

/// The rules of APIServices.
/// See https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/api-service-v1/.
enum APIServiceValidation {
    static let typeName = "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService"

    static func check(_ object: JSON, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        let group = spec["group"].stringValue ?? ""
        let version = spec["version"].stringValue ?? ""
        if !object.name.isEmpty, object.name != "\(version).\(group)" {
            errors.append(
                .invalid(
                    "metadata.name", .string(object.name),
                    "must be `spec.version+\".\"+spec.group`: \"\(version).\(group)\""))
        }
        if group.isEmpty {
            if version != "v1" {
                errors.append(
                    .required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
            }
        } else {
            errors += NameChecks.dns1123Subdomain(group).map { .invalid("spec.group", .string(group), $0) }
        }
        errors += NameChecks.dns1035Label(version).map { .invalid("spec.version", .string(version), $0) }
        for (field, limit) in [("groupPriorityMinimum", Int64(20000)), ("versionPriority", 1000)] {
            let value = spec[field].integerValue ?? 0
            guard value <= 0 || value > limit else { continue }
            errors.append(
                .invalid("spec.\(field)", .integer(value), "must be positive and less than \(limit)"))
        }
        checkServer(spec, &errors)
    }

    private static func checkServer(_ spec: JSON, _ errors: inout [FieldError]) {
        let hasAuthorities = !(spec["caBundle"].stringValue ?? "").isEmpty
        let isUnverified = spec["insecureSkipTLSVerify"].boolValue == true
        if isUnverified, hasAuthorities {
            errors.append(
                .invalid("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present"))
        }
        let service = spec["service"]
        guard service.exists else {
            if hasAuthorities {
                errors.append(
                    .invalid("spec.caBundle", spec["caBundle"], "local APIServices may not have a caBundle"))
            }
            if isUnverified {
                errors.append(
                    .invalid(
                        "spec.insecureSkipTLSVerify", true, "local APIServices may not have insecureSkipTLSVerify"))
            }
            return
        }
        for field in ["namespace", "name"] where (service[field].stringValue ?? "").isEmpty {
            errors.append(.required("spec.service.\(field)"))
        }
        if let port = service["port"].integerValue, port < 1 || port > 65535 {
            errors.append(
                .invalid(
                    "spec.service.port", .integer(port),
                    "port is not valid: must be between 1 and 65535, inclusive"))
        }
    }
}
