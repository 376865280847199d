import Objects

/// What containers may not have that are put into a pod to look at it.
/// See https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/.
enum EphemeralContainerValidation {
    /// Members that would make it part of what the pod serves.
    private static let closed = [
        "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe", "readinessProbe",
        "startupProbe", "lifecycle",
    ]
    private static let detail = "cannot be set for an Ephemeral Container"

    static func container(
        _ container: JSON, of spec: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for member in closed where !container[member].isEmpty {
            errors.append(.forbidden("\(place()).\(member)", detail))
        }
        for (index, mount) in container["volumeMounts"].arrayValue.enumerated() {
            for member in ["subPath", "subPathExpr"] where !mount[member].isEmpty {
                errors.append(.forbidden("\(place()).volumeMounts[\(index)].\(member)", detail))
            }
        }
        let target = container["targetContainerName"]
        guard !target.isEmpty else { return }
        for list in ["containers", "initContainers"]
        where spec[list].arrayValue.contains(where: { $0["name"] == target }) {
            return
        }
        errors.append(.notFound("\(place()).targetContainerName", target))
    }
}
