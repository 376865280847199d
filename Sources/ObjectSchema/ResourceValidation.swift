import Objects

/// Rules of the amounts of resources that containers ask for.
/// See https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/.
enum ResourceValidation {
    private static let ofContainers: Set = ["cpu", "memory", "ephemeral-storage"]
    private static let counted: Set = [
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    ]
    private static let standard = counted.union([
        "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
        "limits.cpu", "limits.memory", "limits.ephemeral-storage", "storage", "requests.storage",
    ])

    // MARK: - Names

    static func isHugePages(_ name: String) -> Bool { name.hasPrefix("hugepages-") }

    /// Kubernetes' own, with or without its domain.
    static func isNative(_ name: String) -> Bool { !name.contains("/") || name.contains("kubernetes.io/") }

    /// Devices and the like, which are counted.
    static func isExtended(_ name: String) -> Bool {
        !isNative(name) && !name.hasPrefix("requests.") && NameChecks.qualifiedName("requests." + name).isEmpty
    }

    /// Whether less may be asked for than is allowed.
    static func isOvercommitted(_ name: String) -> Bool { isNative(name) && !isHugePages(name) }

    static func isCounted(_ name: String) -> Bool { counted.contains(name) || isExtended(name) }

    /// A name that some resource could have.
    static func resourceName(_ name: String) -> [String] {
        let complaints = NameChecks.qualifiedName(name)
        if !complaints.isEmpty || name.contains("/") { return complaints }
        let isPages = isHugePages(name) || name.hasPrefix("requests.hugepages-")
        return isPages || standard.contains(name) ? [] : ["must be a standard resource type or fully qualified"]
    }

    /// A name of what a container can have.
    static func containerResource(_ name: String) -> [String] {
        // Nearly every container has these and no others.
        if ofContainers.contains(name) { return [] }
        let complaints = resourceName(name)
        if !name.contains("/") {
            return isHugePages(name) ? complaints : complaints + ["must be a standard resource for containers"]
        }
        return isNative(name) || isExtended(name)
            ? complaints : complaints + ["doesn't follow extended resource name standard"]
    }

    // MARK: - Amounts

    /// An amount that is not negative, and whole where it is a count.
    static func amount(
        _ name: String, _ value: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        guard let quantity = Quantity.read(value) else { return }
        if quantity.isNegative { errors.append(.invalid(place(), value, "must be greater than or equal to 0")) }
        if isCounted(name), quantity.milliValue % 1000 != 0 {
            errors.append(.invalid(place(), value, "must be an integer"))
        }
    }

    /// The limits or requests of a container.
    static func amounts(
        _ amounts: JSONObject, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for (name, value) in amounts {
            errors += containerResource(name).map { .invalid("\(place())[\(name)]", .string(name), $0) }
            amount(name, value, at: "\(place())[\(name)]", &errors)
            pages(name, value, at: "\(place())[\(name)]", &errors)
        }
    }

    private static func pages(
        _ name: String, _ value: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        guard isHugePages(name), let quantity = Quantity.read(value) else { return }
        let size = Quantity.read(.string(String(name.dropFirst("hugepages-".count))))?.value ?? 0
        if size <= 0 || quantity.value % size != 0 {
            errors.append(
                .invalid(place(), value, "\(quantity) is not positive integer multiple of \(name)"))
        }
    }

    static func requirements(_ resources: JSON, _ errors: inout [FieldError]) {
        amounts(resources["limits"].objectValue ?? [:], at: "limits", &errors)
        amounts(resources["requests"].objectValue ?? [:], at: "requests", &errors)
        proportions(resources, &errors)
    }

    /// What is asked for, held against what is allowed.
    static func proportions(_ resources: JSON, _ errors: inout [FieldError]) {
        let limits = resources["limits"]
        for (name, value) in resources["requests"].objectValue ?? [:] {
            guard let wanted = Quantity.read(value) else { continue }
            guard let most = Quantity.read(limits[name]) else {
                if !isOvercommitted(name) {
                    errors.append(.required("limits", "Limit must be set for non overcommitable resources"))
                }
                continue
            }
            if wanted != most, !isOvercommitted(name) {
                errors.append(.invalid("requests", value, "must be equal to \(name) limit of \(most)"))
            } else if wanted > most {
                errors.append(.invalid("requests", value, "must be less than or equal to \(name) limit of \(most)"))
            }
        }
        let lists = [limits.objectValue ?? [:], resources["requests"].objectValue ?? [:]]
        if lists.contains(where: { $0.contains { isHugePages($0.key) } }),
            !lists.contains(where: { $0.contains("cpu") || $0.contains("memory") })
        {
            errors.append(.forbidden("", "HugePages require cpu or memory"))
        }
    }
}
