import Objects

/// What a client is told of an object that is valid and yet hardly does what it says: fields without effect, names that make
/// trouble, settings that others hide. The texts are Kubernetes' own, since clients know them. Pure.
public enum ObjectWarnings {
    /// - Parameters:
    ///   - before: The object as it was; nil for a new one.
    ///   - resource: In its qualified form, such as "deployments.apps".
    public static func texts(for object: JSON, before: JSON?, resource: String) -> [String] {
        switch resource {
        case "pods":
            // People seldom write pods again; what does gets along without.
            before == nil ? name(object, "the Pod's hostname") + PodWarnings.texts(object, at: "") : []
        case "podtemplates": PodWarnings.texts(object["template"], at: "template.")
        case "deployments.apps", "replicasets.apps", "statefulsets.apps", "replicationcontrollers", "jobs.batch":
            workload(object, before, object["spec"]["template"], at: "spec.template.", namesPods: true)
        case "daemonsets.apps":
            workload(object, before, object["spec"]["template"], at: "spec.template.", namesPods: false)
        case "cronjobs.batch":
            workload(
                object, before, object["spec"]["jobTemplate"]["spec"]["template"],
                at: "spec.jobTemplate.spec.template.",
                namesPods: true)
        case "services": ServiceWarnings.texts(object)
        case "persistentvolumes": VolumeWarnings.volume(object)
        case "persistentvolumeclaims":
            VolumeWarnings.annotations(object) + VolumeWarnings.claim(object["spec"], at: "spec.")
        case "storageclasses.storage.k8s.io": NodeLabelWarnings.topologies(object["allowedTopologies"])
        case "ingresses.networking.k8s.io": ingress(object, before)
        case "nodes": node(object)
        case "serviceaccounts": serviceAccount(object)
        case "resourceslices.resource.k8s.io": driver(object)
        default: []
        }
    }

    /// Of a custom resource's finalizers those that are new and that anybody might have chosen.
    public static func finalizers(of object: JSON, before: JSON?) -> [String] {
        let known = Set(before?.finalizers ?? [])
        return object.finalizers.filter { !$0.contains("/") && !known.contains($0) }.map {
            "metadata.finalizers: \"\($0)\": prefer a domain-qualified finalizer name including a path (/) to avoid "
                + "accidental conflicts with other finalizer writers"
        }
    }

    private static func workload(
        _ object: JSON, _ before: JSON?, _ template: JSON, at place: String, namesPods: Bool
    ) -> [String] {
        if let before { return before.generation == object.generation ? [] : PodWarnings.texts(template, at: place) }
        return (namesPods ? name(object, "Pod names and hostnames") : []) + PodWarnings.texts(template, at: place)
    }

    private static func name(_ object: JSON, _ use: String) -> [String] {
        let problems = NameChecks.dns1123Label(object.name)
        guard !problems.isEmpty else { return [] }
        let list = problems.joined(separator: " ")
        return [
            "metadata.name: this is used in \(use), which can result in surprising behavior; a DNS label is recommended: [\(list)]"
        ]
    }

    private static func ingress(_ object: JSON, _ before: JSON?) -> [String] {
        guard before == nil, object.annotations["kubernetes.io/ingress.class"].exists else { return [] }
        return [#"annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead"#]
    }

    private static func node(_ object: JSON) -> [String] {
        var texts: [String] = []
        if object["spec"]["configSource"].exists { texts.append("spec.configSource: the feature is removed") }
        if !object["spec"]["externalID"].isEmpty {
            texts.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
        }
        return texts
    }

    private static func driver(_ slice: JSON) -> [String] {
        let name = slice["spec"]["driver"].stringValue ?? ""
        if name == name.lowercased() { return [] }
        return ["spec.driver: driver names should be lowercase; \"\(name)\" contains uppercase characters"]
    }

    private static func serviceAccount(_ object: JSON) -> [String] {
        let key = "kubernetes.io/enforce-mountable-secrets"
        guard object.annotations[key].exists else { return [] }
        return [
            "metadata.annotations[\(key)]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        ]
    }
}
