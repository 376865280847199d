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
        for (name, amount) in aggregate(spec, "requests").sorted(by: { $0.key < $1.key })
        where isSupported(name) && !isHugePage(name) && own["requests"][name].isNull {
            spec["resources"]["requests"][name] = .string(amount.description)
        }
        for (name, value) in spec["resources"]["limits"].objectValue ?? [:]
        where isSupported(name) && spec["resources"]["requests"][name].isNull {
            spec["resources"]["requests"][name] = value
        }
    }

    /// - Parameter place: Of the pod's spec.
    static func check(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let own = spec["resources"]
        guard own.exists else { return }
        for list in ["limits", "requests"] {
            for name in (own[list].objectValue ?? [:]).map(\.key) where !isSupported(name) {
                errors.append(
                    .notSupported(
                        "\(place).resources.\(list)[\(name)]", .string(name), ["cpu", "hugepages-", "memory"]))
            }
        }
        if !own["claims"].isEmpty {
            errors.append(
                .forbidden("\(place).resources.claims", "claims may not be set for Resources at pod-level"))
        }
        for (name, together) in aggregate(spec, "requests").sorted(by: { $0.key < $1.key }) where isSupported(name) {
            guard let value = own["requests"][name].stringValue, let wanted = Quantity.read(own["requests"][name]),
                wanted < together
            else { continue }
            errors.append(
                .invalid(
                    "\(place).resources.requests[\(name)]", .string(value),
                    "must be greater than or equal to aggregate container requests of \(together)"))
        }
        for (index, container) in spec["containers"].arrayValue.enumerated() {
            for (name, value) in container["resources"]["limits"].objectValue ?? [:] {
                guard let limit = Quantity.read(value), let most = Quantity.read(own["limits"][name]), limit > most
                else { continue }
                errors.append(
                    .invalid(
                        "\(place).containers[\(index)].resources.limits[\(name)]", value,
                        "must be less than or equal to pod limits of \(most)"))
            }
        }
    }
}
