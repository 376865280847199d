import Objects

/// Rules of ResourceQuotas: which amounts may be limited, and which scopes go with them.
/// See https://kubernetes.io/docs/concepts/policy/resource-quotas/.
enum QuotaValidation {
    private static let counted: Set = [
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    ]
    private static let podAmounts: Set = [
        "pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
    ]
    private static let measured = podAmounts.union([
        "ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage", "requests.storage",
    ])
    private static let claimAmounts: Set = ["persistentvolumeclaims", "requests.storage"]
    /// What each scope may limit.
    private static let scopes: [String: Set<String>] = [
        "Terminating": podAmounts, "NotTerminating": podAmounts, "BestEffort": ["pods"], "NotBestEffort": podAmounts,
        "PriorityClass": podAmounts, "CrossNamespacePodAffinity": podAmounts, "VolumeAttributesClass": claimAmounts,
    ]
    private static let withValues: Set = ["PriorityClass", "VolumeAttributesClass"]
    private static let opposites = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]]

    static func check(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let hard = spec["hard"].objectValue ?? [:]
        for (name, value) in hard { checkAmount(name, value, "\(place).hard[\(name)]", &errors) }
        let limited = Set(hard.map(\.key)).filter(isStandard)
        checkScopes(spec["scopes"], "\(place).scopes", limited, &errors)
        checkSelector(
            spec["scopeSelector"], "\(place).scopeSelector.matchExpressions", limited, scopes: spec["scopes"], &errors)
    }

    private static func isStandard(_ name: String) -> Bool { counted.contains(name) || measured.contains(name) }

    private static func checkAmount(_ name: String, _ value: JSON, _ place: String, _ errors: inout [FieldError]) {
        var complaints = ResourceValidation.resourceName(name)
        if !name.contains("/"), !isStandard(name), !ResourceValidation.isHugePages(name),
            !name.hasPrefix("requests.hugepages-")
        {
            complaints.append("must be a standard resource for quota")
        }
        errors += complaints.map { .invalid(place, .string(name), $0) }
        ResourceValidation.amount(name, value, at: place, &errors)
    }

    /// What is wrong with the status of a quota.
    static func status(_ status: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        for list in ["hard", "used"] {
            for (name, value) in status[list].objectValue ?? [:] {
                checkAmount(name, value, "status.\(list)[\(name)]", &errors)
            }
        }
        return errors
    }

    private static func checkScopes(
        _ list: JSON, _ place: String, _ limited: Set<String>, _ errors: inout [FieldError]
    ) {
        let names = list.arrayValue.compactMap(\.stringValue)
        for name in names {
            guard let allowed = scopes[name] else {
                errors.append(.invalid(place, list, "unsupported scope"))
                continue
            }
            if !limited.isSubset(of: allowed) {
                errors.append(.invalid(place, list, "unsupported scope applied to resource"))
            }
        }
        checkOpposites(names, list, place, &errors)
    }

    private static func checkOpposites(
        _ names: [String], _ value: JSON, _ place: String, _ errors: inout [FieldError]
    ) {
        for pair in opposites where pair.allSatisfy(names.contains) {
            errors.append(.invalid(place, value, "conflicting scopes"))
        }
    }

    private static func checkSelector(
        _ selector: JSON, _ place: String, _ limited: Set<String>, scopes list: JSON, _ errors: inout [FieldError]
    ) {
        let requirements = selector["matchExpressions"].arrayValue
        for requirement in requirements {
            let name = requirement["scopeName"].stringValue ?? ""
            if let allowed = scopes[name] {
                if !limited.isSubset(of: allowed) {
                    errors.append(.invalid(place, selector, "unsupported scope applied to resource"))
                }
            } else {
                errors.append(.invalid("\(place).scopeName", .string(name), "unsupported scope"))
            }
            checkOperator(requirement, name, place, &errors)
        }
        // Kubernetes shows the other list.
        checkOpposites(requirements.compactMap { $0["scopeName"].stringValue }, list, place, &errors)
    }

    private static func checkOperator(
        _ requirement: JSON, _ scope: String, _ place: String, _ errors: inout [FieldError]
    ) {
        let relation = requirement["operator"].stringValue ?? ""
        if scopes[scope] != nil, !withValues.contains(scope), relation != "Exists" {
            errors.append(
                .invalid(
                    "\(place).operator", .string(relation),
                    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
                ))
        }
        switch relation {
        case "In", "NotIn":
            if requirement["values"].isEmpty {
                errors.append(
                    .required(
                        "\(place).values",
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
            }
        case "Exists", "DoesNotExist":
            if !requirement["values"].isEmpty {
                errors.append(
                    .invalid(
                        "\(place).values", requirement["values"],
                        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
            }
        default: errors.append(.invalid("\(place).operator", .string(relation), "not a valid selector operator"))
        }
    }
}
