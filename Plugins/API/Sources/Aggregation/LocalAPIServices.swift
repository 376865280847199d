import Objects

/// The APIService objects of the group versions that this server itself answers for: its own, and those of custom resources.
/// It makes them, and keeps those that bear its label. Pure.
enum LocalAPIServices {
    /// Says who keeps an object: "onstart" for groups of the server's own, "true" for those of custom resources.
    static let label = "kube-aggregator.kubernetes.io/automanaged"

    /// The objects of what is served, by name.
    static func wanted(_ resources: [Resource]) -> [String: JSON] {
        var result: [String: JSON] = [:]
        // The group of these objects themselves is served whatever they say.
        for resource in resources where resource.group != "apiregistration.k8s.io" {
            let name = "\(resource.version).\(resource.group)"
            guard result[name] == nil else { continue }
            let isCustom = resource.custom != nil
            let priority: APIPriority =
                isCustom ? .custom : APIPriority(group: resource.group, version: resource.version)
            var spec: JSONObject = [:]
            if !resource.group.isEmpty { spec["group"] = .string(resource.group) }
            spec["version"] = .string(resource.version)
            spec["groupPriorityMinimum"] = .integer(priority.group)
            spec["versionPriority"] = .integer(priority.version)
            result[name] = [
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": ["name": .string(name), "labels": .object([label: isCustom ? "true" : "onstart"])],
                "spec": .object(spec),
            ]
        }
        return result
    }

    /// Groups that somebody may have another server answer for, as one who installs a server of metrics does.
    private static let replaceable: Set = ["v1beta1.\(UsageObjects.group)"]

    enum Step: Equatable {
        case create(JSON)
        /// The specification and label that an object is to have again.
        case restore(JSON)
        case delete(String)
    }

    /// What is to be done so that what is there becomes what is wanted. Objects without the label are somebody else's.
    static func plan(wanted: [String: JSON], present: [JSON]) -> [Step] {
        var steps: [Step] = []
        var seen: Set<String> = []
        for object in present {
            seen.insert(object.name)
            guard let owner = object.labels[label].stringValue else { continue }
            guard let mine = wanted[object.name] else {
                steps.append(.delete(object.name))
                continue
            }
            if replaceable.contains(object.name) && object["spec"]["service"].exists { continue }
            let members = mine["spec"].objectValue ?? [:]
            let isSame =
                members.allSatisfy { object["spec"][$0.key] == $0.value } && !object["spec"]["service"].exists
            if !isSame || mine.labels[label].stringValue != owner { steps.append(.restore(mine)) }
        }
        for (name, object) in wanted.sorted(by: { $0.key.precedesByBytes($1.key) }) where !seen.contains(name) {
            steps.append(.create(object))
        }
        return steps
    }
}
