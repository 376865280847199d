import Objects
import ObjectSchema

/// What a request to a pod's `resize` may change: how much cpu and memory it and its containers have, and nothing that would make
/// it another pod. See https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/.
enum PodResize {
    private static let lists = ["containers", "initContainers"]

    /// The present pod with the wanted resources. Lists of other containers are taken as they come, for `faults` to see.
    static func merged(_ wanted: JSON, _ present: JSON) -> JSON {
        var merged = present
        if wanted["spec"]["resources"].exists {
            merged["spec"]["resources"] = wanted["spec"]["resources"]
        } else if present["spec"]["resources"].exists {
            merged["spec"].removeValue(forKey: "resources")
        }
        for list in lists {
            let containers = wanted["spec"][list].arrayValue
            guard names(containers) == names(present["spec"][list].arrayValue) else {
                merged["spec"][list] = wanted["spec"][list]
                continue
            }
            merged["spec"][list].updateElements { (index, container: inout JSON) throws(Never) in
                container["resources"] = containers[index]["resources"]
                if container["resources"].isNull { container.removeValue(forKey: "resources") }
            }
        }
        return merged
    }

    private static func names(_ containers: [JSON]) -> [JSON] { containers.map { $0["name"] } }

    /// What is wrong with the change, by the field it is about.
    static func faults(in pod: JSON, from before: JSON) -> [FieldError] {
        if before.annotations["kubernetes.io/config.mirror"].exists {
            return [.forbidden("[]", "static pods cannot be resized")]
        }
        if before["spec"]["os"]["name"] == "windows" { return [.forbidden("[]", "windows pods cannot be resized")] }
        var errors: [FieldError] = []
        for list in lists {
            let (new, old) = (pod["spec"][list].arrayValue, before["spec"][list].arrayValue)
            if new.count != old.count {
                errors.append(.forbidden("spec.\(list)", "containers may not be added or removed on resize"))
                continue
            }
            for (index, (container, present)) in zip(new, old).enumerated() {
                let place = "spec.\(list)[\(index)]"
                if container["name"] != present["name"] {
                    errors.append(
                        .forbidden("\(place).name", "containers may not be renamed or reordered on resize"))
                } else if list == "initContainers", present["restartPolicy"] != "Always" {
                    if container["resources"] != present["resources"] {
                        errors.append(
                            .forbidden("spec", "resources for non-sidecar init containers are immutable"))
                    }
                } else {
                    let kind = list == "containers" ? "resources" : "resources for sidecar containers"
                    errors += faults(in: container["resources"], from: present["resources"], kind, "\(place).resources")
                }
            }
        }
        errors += faults(in: pod["spec"]["resources"], from: before["spec"]["resources"], "resources", "spec.resources")
        guard errors.isEmpty else { return errors }
        if QualityOfService.of(pod["spec"]) != QualityOfService.of(before["spec"]) {
            errors.append(
                .invalid(
                    "spec", before["status"]["qosClass"], "Pod QOS Class may not change as a result of resizing"))
        }
        return errors
    }

    /// - Parameter kind: What is named as that of which only cpu and memory change.
    private static func faults(
        in resources: JSON, from before: JSON, _ kind: String, _ place: String
    ) -> [FieldError] {
        var errors: [FieldError] = []
        var changesMore = resources["claims"].arrayValue != before["claims"].arrayValue
        for list in ["requests", "limits"] {
            let (new, old) = (resources[list].objectValue ?? [:], before[list].objectValue ?? [:])
            if old.contains(where: { new[$0.key] == nil }) {
                errors.append(.forbidden("\(place).\(list)", "resource \(list) cannot be removed"))
            }
            for name in Set(new.map(\.key) + old.map(\.key))
            where name != "cpu" && name != "memory" && new[name] != old[name] {
                changesMore = true
            }
        }
        if changesMore { errors.append(.forbidden("spec", "only cpu and memory \(kind) are mutable")) }
        return errors
    }
}
