import ObjectSchema
import Objects

/// What a request to a pod's `ephemeralcontainers` may do: add some. See
/// https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/.
enum EphemeralContainerRules {
    /// Members of a container that make it part of what the pod serves.
    private static let closed = [
        "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy",
        "restartPolicyRules",
    ]

    /// What is wrong with the change, by the field it is about.
    static func faults(in pod: JSON, from before: JSON) -> [FieldError] {
        let place = "spec.ephemeralContainers"
        let containers = pod["spec"]["ephemeralContainers"].arrayValue
        let present = before["spec"]["ephemeralContainers"].arrayValue
        var errors: [FieldError] = []
        for old in present {
            let name = old["name"].stringValue ?? ""
            guard let new = containers.first(where: { $0["name"] == old["name"] }) else {
                errors.append(.forbidden(place, "existing ephemeral containers \"\(name)\" may not be removed"))
                continue
            }
            if new != old {
                errors.append(.forbidden(place, "existing ephemeral containers \"\(name)\" may not be changed"))
            }
        }
        let targets = (pod["spec"]["containers"].arrayValue + pod["spec"]["initContainers"].arrayValue).map {
            $0["name"]
        }
        for (index, container) in containers.enumerated()
        where !present.contains(where: { $0["name"] == container["name"] }) {
            for member in closed where !container[member].isEmpty {
                errors.append(.forbidden("\(place)[\(index)].\(member)", "cannot be set for an Ephemeral Container"))
            }
            for (position, mount) in container["volumeMounts"].arrayValue.enumerated() {
                for member in ["subPath", "subPathExpr"] where !mount[member].isEmpty {
                    errors.append(
                        .forbidden(
                            "\(place)[\(index)].volumeMounts[\(position)].\(member)",
                            "cannot be set for an Ephemeral Container"))
                }
            }
            let target = container["targetContainerName"]
            if !target.isEmpty, !targets.contains(target) {
                errors.append(.notFound("\(place)[\(index)].targetContainerName", target))
            }
        }
        return errors
    }
}
