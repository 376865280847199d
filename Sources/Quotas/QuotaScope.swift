import Objects

/// One condition of a quota on pods or claims: an entry of `spec.scopes` or of `spec.scopeSelector.matchExpressions`.
public struct QuotaScope: Sendable, Equatable {
    public var name: String
    /// In, NotIn, Exists, DoesNotExist.
    public var `operator`: String
    public var values: [String]

    /// All of a quota.
    public static func all(of quota: JSON) -> [QuotaScope] {
        let plain = quota["spec"]["scopes"].arrayValue.compactMap(\.stringValue).map {
            QuotaScope(name: $0, operator: "Exists", values: [])
        }
        let selected = quota["spec"]["scopeSelector"]["matchExpressions"].arrayValue.map {
            QuotaScope(
                name: $0["scopeName"].stringValue ?? "", operator: $0["operator"].stringValue ?? "",
                values: $0["values"].arrayValue.compactMap(\.stringValue))
        }
        return plain + selected
    }

    /// Whether a claim is meant: by a class that it wants, has, or is being changed to.
    public func matches(claim: JSON) -> Bool {
        guard name == "VolumeAttributesClass" else { return false }
        let status = claim["status"]
        let classes = [
            claim["spec"]["volumeAttributesClassName"], status["currentVolumeAttributesClassName"],
            status["modifyVolumeStatus"]["targetVolumeAttributesClassName"],
        ].compactMap(\.stringValue).filter { !$0.isEmpty }
        return classes.isEmpty ? matchesClass("") : classes.contains(where: matchesClass)
    }

    public func matches(_ pod: JSON) -> Bool {
        let spec = pod["spec"]
        switch name {
        case "Terminating": return Self.isTerminating(spec)
        case "NotTerminating": return !Self.isTerminating(spec)
        case "BestEffort": return Self.isBestEffort(spec)
        case "NotBestEffort": return !Self.isBestEffort(spec)
        case "PriorityClass": return matchesClass(spec["priorityClassName"].stringValue ?? "")
        case "CrossNamespacePodAffinity": return Self.namesOtherNamespaces(spec["affinity"])
        default: return false
        }
    }

    /// A pod with a deadline ends by itself.
    private static func isTerminating(_ spec: JSON) -> Bool { spec["activeDeadlineSeconds"].integerValue ?? -1 >= 0 }

    /// As the class of quality of service: nothing of the CPU and memory is asked for or limited.
    private static func isBestEffort(_ spec: JSON) -> Bool {
        let containers = spec["containers"].arrayValue + spec["initContainers"].arrayValue
        return ([spec] + containers).allSatisfy { container in
            ["requests", "limits"].allSatisfy { kind in
                let amounts = ResourceList(container["resources"][kind])
                return ["cpu", "memory"].allSatisfy { amounts[$0].map(\.isZero) ?? true }
            }
        }
    }

    private func matchesClass(_ name: String) -> Bool {
        switch self.operator {
        case "Exists": !name.isEmpty
        case "DoesNotExist": name.isEmpty
        case "In": !name.isEmpty && values.contains(name)
        case "NotIn": name.isEmpty || !values.contains(name)
        default: false
        }
    }

    private static func namesOtherNamespaces(_ affinity: JSON) -> Bool {
        ["podAffinity", "podAntiAffinity"].contains { kind in
            let required = affinity[kind]["requiredDuringSchedulingIgnoredDuringExecution"].arrayValue
            let preferred = affinity[kind]["preferredDuringSchedulingIgnoredDuringExecution"].arrayValue
            return (required + preferred.map { $0["podAffinityTerm"] }).contains {
                !$0["namespaces"].arrayValue.isEmpty || $0["namespaceSelector"].exists
            }
        }
    }
}
