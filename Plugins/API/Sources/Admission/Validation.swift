import Objects

/// Rules of meaning that a schema cannot state: names, references between fields, what may not change. Pure.
enum Validation {
    typealias Cause = APIStatus.Cause

    // MARK: - Creation

    static func creation(of object: JSON, _ resource: Resource) -> [Cause] {
        metadata(object, resource) + content(object, resource)
    }

    /// What holds whenever an object is written.
    private static func content(_ object: JSON, _ resource: Resource) -> [Cause] {
        let spec = object["spec"]
        switch resource.qualified {
        case "pods": return PodValidation.check(spec, at: "spec")
        case "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps":
            return workload(object)
        case "jobs.batch":
            return PodValidation.check(spec["template"]["spec"], at: "spec.template.spec", isTemplate: true)
                + jobRestartPolicy(spec["template"]["spec"], "spec.template.spec")
        case "cronjobs.batch":
            let template = spec["jobTemplate"]["spec"]["template"]["spec"]
            let path = "spec.jobTemplate.spec.template.spec"
            return PodValidation.check(template, at: path, isTemplate: true) + jobRestartPolicy(template, path)
        case "services": return service(spec)
        case "configmaps": return keys(object["data"], "data") + keys(object["binaryData"], "binaryData")
        case "secrets": return keys(object["data"], "data") + base64(object["data"])
        default: return []
        }
    }

    static func metadata(_ object: JSON, _ resource: Resource) -> [Cause] {
        var causes: [Cause] = []
        for problem in names(object.name, resource) {
            causes.append(.invalid("metadata.name", .string(object.name), problem))
        }
        causes += labels(object.labels, "metadata.labels")
        for (key, value) in object.annotations.objectValue ?? [:] {
            for problem in NameChecks.qualifiedName(key.lowercased()) {
                causes.append(.invalid("metadata.annotations", .string(key), problem))
            }
            if value.stringValue == nil {
                causes.append(.invalid("metadata.annotations", value, "annotation values must be strings"))
            }
        }
        let size = (object.annotations.objectValue ?? [:]).reduce(0) {
            $0 + $1.key.utf8.count + ($1.value.stringValue?.utf8.count ?? 0)
        }
        if size > 256 << 10 {
            causes.append(
                .init(
                    reason: "FieldValueTooLong", message: "Too long: may not be more than 262144 bytes",
                    field: "metadata.annotations"))
        }
        for (index, reference) in object.ownerReferences.enumerated() {
            let path = "metadata.ownerReferences[\(index)]"
            for field in ["apiVersion", "kind", "name", "uid"] where reference[field].stringValue ?? "" == "" {
                causes.append(.required("\(path).\(field)", "must not be empty"))
            }
        }
        if object.ownerReferences.count(where: { $0["controller"].boolValue == true }) > 1 {
            causes.append(
                .invalid(
                    "metadata.ownerReferences", .array(object.ownerReferences),
                    "Only one reference can have Controller set to true"))
        }
        for finalizer in object.finalizers {
            for problem in NameChecks.qualifiedName(finalizer) {
                causes.append(.invalid("metadata.finalizers", .string(finalizer), problem))
            }
        }
        return causes
    }

    private static func names(_ name: String, _ resource: Resource) -> [String] {
        switch resource.qualified {
        case "namespaces": NameChecks.dns1123Label(name)
        case "services": NameChecks.dns1035Label(name)
        case let other where other.hasSuffix("rbac.authorization.k8s.io"): NameChecks.pathSegment(name)
        default: NameChecks.dns1123Subdomain(name)
        }
    }

    static func labels(_ labels: JSON, _ path: String) -> [Cause] {
        var causes: [Cause] = []
        for (key, value) in labels.objectValue ?? [:] {
            for problem in NameChecks.qualifiedName(key) { causes.append(.invalid(path, .string(key), problem)) }
            guard let text = value.stringValue else {
                causes.append(.invalid(path, value, "label values must be strings"))
                continue
            }
            for problem in NameChecks.labelValue(text) { causes.append(.invalid(path, .string(text), problem)) }
        }
        return causes
    }

    private static func workload(_ object: JSON) -> [Cause] {
        let spec = object["spec"]
        var causes: [Cause] = []
        if let replicas = spec["replicas"].integerValue, replicas < 0 {
            causes.append(.invalid("spec.replicas", .integer(replicas), "must be greater than or equal to 0"))
        }
        if spec["selector"].isNull {
            causes.append(.required("spec.selector"))
        } else {
            do {
                let selector = try LabelSelector(object: spec["selector"])
                if selector.isEmpty {
                    causes.append(.invalid("spec.selector", spec["selector"], "empty selector is invalid for this resource"))
                } else if !selector.matches(labels: spec["template"].labels) {
                    causes.append(
                        .invalid(
                            "spec.template.metadata.labels", spec["template"].labels,
                            "`selector` does not match template `labels`"))
                }
            } catch {
                causes.append(.invalid("spec.selector", spec["selector"], "\(error)"))
            }
        }
        causes += labels(spec["template"].labels, "spec.template.labels")
        causes += PodValidation.check(spec["template"]["spec"], at: "spec.template.spec", isTemplate: true)
        let policy = spec["template"]["spec"]["restartPolicy"].stringValue ?? "Always"
        if policy != "Always" {
            causes.append(.notSupported("spec.template.spec.restartPolicy", .string(policy), ["Always"]))
        }
        return causes
    }

    private static func jobRestartPolicy(_ spec: JSON, _ path: String) -> [Cause] {
        let policy = spec["restartPolicy"].stringValue ?? "Always"
        guard policy == "Always" else { return [] }
        return [.notSupported("\(path).restartPolicy", .string(policy), ["OnFailure", "Never"])]
    }

    private static func service(_ spec: JSON) -> [Cause] {
        var causes: [Cause] = []
        let type = spec["type"].stringValue ?? "ClusterIP"
        let ports = spec["ports"].arrayValue
        let isHeadless = spec["clusterIP"].stringValue == "None"
        if ports.isEmpty, type != "ExternalName", !isHeadless { causes.append(.required("spec.ports")) }
        if type == "ExternalName", spec["externalName"].stringValue ?? "" == "" {
            causes.append(.required("spec.externalName"))
        }
        var names: Set<String> = []
        var numbers: Set<String> = []
        for (index, port) in ports.enumerated() {
            let path = "spec.ports[\(index)]"
            let name = port["name"].stringValue ?? ""
            if name.isEmpty, ports.count > 1 { causes.append(.required("\(path).name")) }
            if !name.isEmpty, !names.insert(name).inserted { causes.append(.duplicate("\(path).name", port["name"])) }
            guard let number = port["port"].integerValue, (1...65535).contains(number) else {
                causes.append(.invalid("\(path).port", port["port"], "must be between 1 and 65535, inclusive"))
                continue
            }
            let pair = "\(port["protocol"].stringValue ?? "TCP")/\(number)"
            if !numbers.insert(pair).inserted { causes.append(.duplicate(path, port)) }
        }
        return causes
    }

    private static func keys(_ data: JSON, _ path: String) -> [Cause] {
        (data.objectValue ?? [:]).flatMap { member in
            NameChecks.configKey(member.key).map { .invalid("\(path)[\(member.key)]", .string(member.key), $0) }
        }
    }

    private static func base64(_ data: JSON) -> [Cause] {
        (data.objectValue ?? [:]).compactMap { key, value in
            guard let text = value.stringValue, Base64.decode(text) != nil else {
                return .invalid("data[\(key)]", "", "must be base64")
            }
            return nil
        }
    }

    // MARK: - Updates

    static func update(of object: JSON, from before: JSON, _ resource: Resource, _ scope: Strategy.Scope) -> [Cause] {
        guard scope != .status else { return labels(object.labels, "metadata.labels") }
        var causes = metadata(object, resource)
        if scope == .main || scope == .whole { causes += content(object, resource) }
        if before.deletionTimestamp != nil {
            let added = object.finalizers.filter { !before.finalizers.contains($0) }
            if !added.isEmpty {
                causes.append(
                    .forbidden(
                        "metadata.finalizers",
                        "no new finalizers can be added if the object is being deleted, found new finalizers \(added)"))
            }
        }
        guard scope == .main else { return causes }
        return causes + immutable(object, before, resource)
    }

    private static func immutable(_ object: JSON, _ before: JSON, _ resource: Resource) -> [Cause] {
        func same(_ path: String...) -> [Cause] {
            let now = object[path: path]
            guard now != before[path: path] else { return [] }
            return [.invalid(path.joined(separator: "."), now, "field is immutable")]
        }
        switch resource.qualified {
        case "pods": return PodValidation.immutable(object["spec"], before["spec"])
        case "deployments.apps", "replicasets.apps", "daemonsets.apps": return same("spec", "selector")
        case "statefulsets.apps":
            let changeable: Set = [
                "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
            ]
            func fixed(_ spec: JSON) -> [(String, JSON)] {
                (spec.objectValue ?? [:]).filter { !changeable.contains($0.key) }.map { ($0.key, $0.value) }
            }
            guard JSONObject(fixed(object["spec"])) != JSONObject(fixed(before["spec"])) else { return [] }
            return [
                .forbidden(
                    "spec",
                    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                        + "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                        + "'minReadySeconds' are forbidden")
            ]
        case "jobs.batch": return same("spec", "selector") + same("spec", "template") + same("spec", "completionMode")
        case "services":
            let was = before["spec"]["clusterIP"].stringValue ?? ""
            guard !was.isEmpty, before["spec"]["type"].stringValue != "ExternalName",
                object["spec"]["type"].stringValue != "ExternalName"
            else { return [] }
            guard object["spec"]["clusterIP"].stringValue != was else { return [] }
            return [.invalid("spec.clusterIPs[0]", object["spec"]["clusterIP"], "may not change once set")]
        case "persistentvolumeclaims": return claim(object, before)
        case "secrets", "configmaps":
            let type = resource.qualified == "secrets" ? same("type") : []
            guard before["immutable"].boolValue == true else { return type }
            var causes = type
            if object["immutable"].boolValue != true {
                causes.append(.forbidden("immutable", "field is immutable when `immutable` is set"))
            }
            for key in ["data", "binaryData"] where object[key] != before[key] {
                causes.append(.forbidden(key, "field is immutable when `immutable` is set"))
            }
            return causes
        case "rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io":
            guard object["roleRef"] != before["roleRef"] else { return [] }
            return [.invalid("roleRef", object["roleRef"], "cannot change roleRef")]
        case "storageclasses.storage.k8s.io":
            return same("provisioner") + same("parameters") + same("reclaimPolicy") + same("volumeBindingMode")
        case "priorityclasses.scheduling.k8s.io": return same("value")
        default: return []
        }
    }

    /// A claim's specification is settled but for its request, which may grow, and the volume it is bound to.
    private static func claim(_ object: JSON, _ before: JSON) -> [Cause] {
        func fixed(_ spec: JSON) -> JSON {
            var spec = spec
            if before["spec"]["volumeName"].isNull { spec.removeValue(forKey: "volumeName") }
            if before["spec"]["storageClassName"].isNull { spec.removeValue(forKey: "storageClassName") }
            spec["resources"].removeValue(forKey: "requests")
            spec.removeValue(forKey: "volumeAttributesClassName")
            return spec
        }
        guard fixed(object["spec"]) != fixed(before["spec"]) else { return [] }
        return [
            .forbidden(
                "spec",
                "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
        ]
    }
}
