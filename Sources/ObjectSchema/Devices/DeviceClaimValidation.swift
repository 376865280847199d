import Objects

/// The rules of claims for devices (`DeviceClaim`) and of classes of devices. Places are relative to the object.
/// See https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-claim-v1/.
enum DeviceClaimValidation {
    private static let mostRequests = 32
    private static let mostAlternatives = 8

    static func claim(_ claim: JSON, _ errors: inout [FieldError]) {
        let names = RequestNames(claim)
        let requests = claim["requests"]
        if isWithin(requests, mostRequests, "requests", &errors) {
            for (index, request) in requests.arrayValue.enumerated() {
                check(request: request, "requests[\(index)]", &errors)
            }
            repeated(requests.arrayValue.map { $0["name"] }, "requests", &errors)
        }
        if isWithin(claim["constraints"], 32, "constraints", &errors) {
            for (index, constraint) in claim["constraints"].arrayValue.enumerated() {
                check(constraint: constraint, "constraints[\(index)]", names, &errors)
            }
        }
        if isWithin(claim["config"], 32, "config", &errors) {
            for (index, config) in claim["config"].arrayValue.enumerated() {
                check(references: config["requests"], "config[\(index)].requests", names, &errors)
                check(configuration: config, "config[\(index)]", &errors)
            }
        }
    }

    static func deviceClass(_ spec: JSON, _ errors: inout [FieldError]) {
        errors += DeviceSelectorCheck.errors(in: spec["selectors"], "selectors")
        if isWithin(spec["config"], 32, "config", &errors) {
            for (index, config) in spec["config"].arrayValue.enumerated() {
                check(configuration: config, "config[\(index)]", &errors)
            }
        }
        let name = spec["extendedResourceName"]
        if name.exists, !isExtendedResource(name.stringValue ?? "") {
            errors.append(.invalid("extendedResourceName", name, "must be a valid extended resource name"))
        }
    }

    private static func isExtendedResource(_ name: String) -> Bool {
        name.contains("/") && !name.contains("kubernetes.io/") && !name.hasPrefix("requests.")
            && NameChecks.qualifiedName("requests.\(name)").isEmpty
    }

    // MARK: - Requests

    private static func check(request: JSON, _ place: String, _ errors: inout [FieldError]) {
        errors += DeviceNames.label(request["name"], "\(place).name")
        let alternatives = request["firstAvailable"]
        switch (request["exactly"].exists, !alternatives.isEmpty) {
        case (false, false):
            errors.append(.required(place, "exactly one of `exactly` or `firstAvailable` is required"))
        case (true, true):
            errors.append(
                .invalid(
                    place, .null,
                    "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"))
        case (true, false): check(wanted: request["exactly"], "\(place).exactly", &errors)
        case (false, true):
            let below = "\(place).firstAvailable"
            guard isWithin(alternatives, mostAlternatives, below, &errors) else { return }
            for (index, alternative) in alternatives.arrayValue.enumerated() {
                errors += DeviceNames.label(alternative["name"], "\(below)[\(index)].name")
                check(wanted: alternative, "\(below)[\(index)]", &errors)
            }
            repeated(alternatives.arrayValue.map { $0["name"] }, below, &errors)
        }
    }

    private static func check(wanted: JSON, _ place: String, _ errors: inout [FieldError]) {
        let name = wanted["deviceClassName"]
        errors +=
            name.isEmpty
            ? [.required("\(place).deviceClassName")] : DeviceNames.subdomain(name, "\(place).deviceClassName")
        errors += DeviceSelectorCheck.errors(in: wanted["selectors"], "\(place).selectors")
        let count = wanted["count"].integerValue ?? 0
        switch wanted["allocationMode"].stringValue {
        case "All":
            if count != 0 {
                errors.append(
                    .invalid(
                        "\(place).count", .integer(count), "must not be specified when allocationMode is 'All'"))
            }
        case "ExactCount":
            if count <= 0 { errors.append(.invalid("\(place).count", .integer(count), "must be greater than zero")) }
        case let other:
            errors.append(.notSupported("\(place).allocationMode", .string(other ?? ""), ["All", "ExactCount"]))
        }
        check(tolerations: wanted["tolerations"], "\(place).tolerations", &errors)
    }

    static func check(tolerations: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard isWithin(tolerations, 16, place, &errors) else { return }
        for (index, toleration) in tolerations.arrayValue.enumerated() {
            let place = "\(place)[\(index)]"
            let value = toleration["value"]
            if !toleration["key"].isEmpty { errors += DeviceNames.labelName(toleration["key"], "\(place).key") }
            switch toleration["operator"].stringValue ?? "" {
            case "Exists":
                if !value.isEmpty {
                    errors.append(.invalid("\(place).value", value, "must be empty for operator `Exists`"))
                }
            case "Equal": errors += DeviceNames.labelValue(value, "\(place).value")
            case "": errors.append(.required("\(place).operator"))
            default:
                errors.append(.notSupported("\(place).operator", toleration["operator"], ["Equal", "Exists"]))
            }
            if !toleration["effect"].isEmpty, !taintEffects.contains(toleration["effect"].stringValue ?? "") {
                errors.append(.notSupported("\(place).effect", toleration["effect"], taintEffects))
            }
        }
    }

    static let taintEffects = ["NoExecute", "NoSchedule", "None"]

    // MARK: - Constraints and configurations

    private static func check(
        constraint: JSON, _ place: String, _ names: RequestNames, _ errors: inout [FieldError]
    ) {
        check(references: constraint["requests"], "\(place).requests", names, &errors)
        switch (constraint["matchAttribute"].stringValue, constraint["distinctAttribute"].stringValue) {
        case (let name?, _): errors += DeviceNames.qualified(name, "\(place).matchAttribute", isFull: true)
        case (nil, let name?): errors += DeviceNames.qualified(name, "\(place).distinctAttribute", isFull: true)
        case (nil, nil):
            errors.append(
                .required(
                    place,
                    #"exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#)
            )
        }
    }

    static func check(
        references: JSON, _ place: String, _ names: RequestNames, _ errors: inout [FieldError]
    ) {
        guard isWithin(references, mostRequests, place, &errors) else { return }
        for (index, name) in references.arrayValue.enumerated() {
            errors += names.errors(of: name, "\(place)[\(index)]")
        }
        repeated(references.arrayValue, place, &errors)
    }

    static func check(configuration: JSON, _ place: String, _ errors: inout [FieldError]) {
        let opaque = configuration["opaque"]
        guard opaque.exists else {
            errors.append(.required("\(place).opaque"))
            return
        }
        errors += DeviceNames.driver(opaque["driver"], "\(place).opaque.driver")
        errors += DeviceNames.parameters(opaque["parameters"], "\(place).opaque.parameters")
    }

    // MARK: - Lists

    /// Whether a list or map has at most so many elements; the error is noted.
    static func isWithin(_ value: JSON, _ limit: Int, _ place: String, _ errors: inout [FieldError]) -> Bool {
        guard value.count > limit else { return true }
        errors.append(.tooMany(place, value.count, limit: limit))
        return false
    }

    /// Tells of keys that an earlier element of a list has.
    static func repeated(_ keys: [JSON], _ place: String, _ errors: inout [FieldError]) {
        var seen: Set<JSON> = []
        for (index, key) in keys.enumerated() where !seen.insert(key).inserted {
            errors.append(.duplicate("\(place)[\(index)]", key))
        }
    }
}

/// The requests of a claim by which other parts of it go, alternatives as "request/alternative".
struct RequestNames {
    private var alternatives: [String: Set<String>] = [:]

    /// - Parameter claim: A `DeviceClaim`.
    init(_ claim: JSON) {
        for request in claim["requests"].arrayValue {
            alternatives[request["name"].stringValue ?? ""] = Set(
                request["firstAvailable"].arrayValue.compactMap { $0["name"].stringValue })
        }
    }

    func errors(of reference: JSON, _ place: String) -> [FieldError] {
        let name = reference.stringValue ?? ""
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let unknown = FieldError.invalid(
            place, .string(name),
            "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'")
        guard parts.count <= 2 else { return [unknown] }
        let isKnown = alternatives[parts[0]].map { parts.count == 1 || $0.contains(parts[1]) } ?? false
        return parts.flatMap { DeviceNames.label(.string($0), place) } + (isKnown ? [] : [unknown])
    }
}
