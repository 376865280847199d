import Objects

/// Resources of a pod as a whole, `spec.resources`: what they are when they are not all given, and how they go together with
/// those of the containers. See https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#pod-level-resource-specification.
enum PodLevelResources {
    /// Whether a pod as a whole can have it.
    static func isSupported(_ name: String) -> Bool { name == "cpu" || name == "memory" || isHugePage(name) }

    private static func isHugePage(_ name: String) -> Bool { name.hasPrefix("hugepages-") }

    /// What the containers ask for or are limited to, all together: those that run at once, or the init container that
    /// needs most beside the sidecars that run by then.
    /// - Parameter list: "requests" or "limits".
    static func aggregate(_ spec: JSON, _ list: String) -> [String: Quantity] {
        func amounts(_ container: JSON) -> [String: Quantity] {
            var amounts: [String: Quantity] = [:]
            for (name, value) in container["resources"][list].objectValue ?? [:] {
                amounts[name] = Quantity.read(value)
            }
            return amounts
        }
        var running: [String: Quantity] = [:]
        var largest: [String: Quantity] = [:]
        for container in spec["initContainers"].arrayValue {
            let own = amounts(container)
            if container["restartPolicy"].stringValue == "Always" {
                running.merge(own, uniquingKeysWith: +)
                largest.merge(running, uniquingKeysWith: max)
            } else {
                let together = own.merging(running.filter { own[$0.key] != nil }, uniquingKeysWith: +)
                largest.merge(together, uniquingKeysWith: max)
            }
        }
        for container in spec["containers"].arrayValue { running.merge(amounts(container), uniquingKeysWith: +) }
        return running.merging(largest, uniquingKeysWith: max)
    }

    /// Fills what is left out where the pod has resources of its own.
    static func applyDefaults(to spec: inout JSON) {
        let own = spec["resources"]
        guard !own["limits"].isEmpty || !own["requests"].isEmpty else { return }
        for (name, amount) in aggregate(spec, "limits").sorted(by: { $0.key < $1.key })
        where isHugePage(name) && own["limits"][name].isNull {
            spec["resources"]["limits"][name] = .string(amount.description)
        }
        if !spec["resources"]["limits"].isEmpty { fillRequests(of: &spec, given: own["requests"]) }
        fillLimits(of: &spec)
    }

    private static func fillRequests(of spec: inout JSON, given: JSON) {
        for (name, amount) in aggregate(spec, "requests").sorted(by: { $0.key < $1.key })
        where isSupported(name) && !isHugePage(name) && given[name].isNull {
            spec["resources"]["requests"][name] = .string(amount.description)
        }
        for (name, value) in spec["resources"]["limits"].objectValue ?? [:]
        where isSupported(name) && spec["resources"]["requests"][name].isNull {
            spec["resources"]["requests"][name] = value
        }
    }

    /// A pod that only asks for something as a whole is limited to what its containers are limited to together, where each is.
    private static func fillLimits(of spec: inout JSON) {
        func has(_ list: String) -> Bool {
            spec["resources"][list].objectValue?.contains { isSupported($0.key) } ?? false
        }
        guard !has("limits"), has("requests") else { return }
        let containers = spec["containers"].arrayValue + spec["initContainers"].arrayValue
        for (name, amount) in aggregate(spec, "limits").sorted(by: { $0.key < $1.key })
        where isSupported(name) && !isHugePage(name)
            && containers.allSatisfy({ $0["resources"]["limits"][name].exists })
        {
            spec["resources"]["limits"][name] = .string(amount.description)
        }
    }

    /// What is found is named from the pod's spec on.
    static func check(_ spec: JSON, _ errors: inout [FieldError]) {
        let own = spec["resources"]
        guard own.exists else { return }
        if own["claims"].exists {
            errors.append(.forbidden("resources.claims", "claims cannot be set for Resources at pod-level"))
        }
        for list in ["limits", "requests"] {
            for (name, value) in own[list].objectValue ?? [:] where !isSupported(name) {
                let complaints = ResourceValidation.resourceName(name)
                errors += complaints.map { .invalid("resources.\(list)[\(name)]", .string(name), $0) }
                if complaints.isEmpty {
                    errors.append(
                        .notSupported(
                            "resources.\(list)[\(name)]", .string(name), ["cpu", "hugepages-", "memory"]))
                }
                ResourceValidation.amount(name, value, at: "resources.\(list)[\(name)]", &errors)
            }
        }
        for (name, together) in aggregate(spec, "requests").sorted(by: { $0.key < $1.key }) where isSupported(name) {
            guard let value = own["requests"][name].stringValue, let wanted = Quantity.read(own["requests"][name]),
                wanted < together
            else { continue }
            errors.append(
                .invalid(
                    "resources.requests[\(name)]", .string(value),
                    "must be greater than or equal to aggregate container requests of \(together)"))
        }
        for (index, container) in spec["containers"].arrayValue.enumerated() {
            for (name, value) in container["resources"]["limits"].objectValue ?? [:] {
                guard let limit = Quantity.read(value), let most = Quantity.read(own["limits"][name]), limit > most
                else { continue }
                errors.append(
                    .invalid(
                        "resources.containers[\(index)][\(name)].limits", value,
                        "must be less than or equal to pod limits of \(most)"))
            }
        }
    }
}
