import Objects

/// Parts of objects that are there even when nobody writes them, so that what is missing inside is missing.
enum ImpliedParts {
    static func filled(_ object: JSON, _ node: SchemaNode) -> JSON {
        var paths: [[String]] = node.property("spec")?.node.shape == .object ? [["spec"]] : []
        switch node.name {
        case "io.k8s.api.apps.v1.Deployment", "io.k8s.api.apps.v1.ReplicaSet", "io.k8s.api.apps.v1.StatefulSet",
            "io.k8s.api.apps.v1.DaemonSet", "io.k8s.api.batch.v1.Job":
            paths.append(["spec", "template", "spec"])
        case "io.k8s.api.batch.v1.CronJob": paths.append(["spec", "jobTemplate", "spec", "template", "spec"])
        case "io.k8s.api.core.v1.PodTemplate": paths.append(["template", "spec"])
        default: break
        }
        var filled = object
        for path in paths where object[path: path].isNull { fill(&filled, path[...]) }
        return filled
    }

    private static func fill(_ value: inout JSON, _ path: ArraySlice<String>) {
        if value.isNull { value = [:] }
        guard let key = path.first, case .object = value else { return }
        fill(&value[key], path.dropFirst())
    }
}
