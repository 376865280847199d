import Objects

/// How often the template of a daemon set has changed: a field of its first versions, which Kubernetes shows as an annotation.
enum TemplateGeneration {
    static let annotation = "deprecated.daemonset.template.generation"

    static func concerns(_ resource: Resource) -> Bool { resource.qualified == "daemonsets.apps" }

    /// What a client gives, or, as it reads for who gives none, 0.
    static func settle(_ object: inout JSON) {
        if object.annotations[annotation].isNull { object.annotations[annotation] = "0" }
    }

    /// The number of a new set, 1 unless the client says more.
    static func begin(_ object: inout JSON) { object.annotations[annotation] = .string(String(max(number(object), 1))) }

    /// Counts a change of the template; otherwise it is what it was, whatever the client says.
    static func count(_ object: inout JSON, from before: JSON) {
        guard before.annotations[annotation].exists || object.annotations[annotation].exists else { return }
        let isChanged = object["spec"]["template"] != before["spec"]["template"]
        let present = max(number(before), 1)
        object.annotations[annotation] = .string(String(isChanged ? present + 1 : present))
    }

    private static func number(_ object: JSON) -> Int64 { Int64(object.annotations[annotation].stringValue ?? "") ?? 0 }
}
