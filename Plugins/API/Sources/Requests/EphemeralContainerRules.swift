import ObjectSchema
import Objects

/// What a request to a pod's `ephemeralcontainers` may do: add some. What those may not have the schema says. See
/// https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/.
enum EphemeralContainerRules {
    /// What is wrong with the change, by the field it is about.
    static func faults(in pod: JSON, from before: JSON) -> [FieldError] {
        let place = "spec.ephemeralContainers"
        let containers = pod["spec"]["ephemeralContainers"].arrayValue
        let present = before["spec"]["ephemeralContainers"].arrayValue
        var errors: [FieldError] = []
        if before.annotations["kubernetes.io/config.mirror"].exists {
            return [.forbidden("[]", "static pods do not support ephemeral containers")]
        }
        for old in present {
            let name = old["name"].stringValue ?? ""
            guard let new = containers.first(where: { $0["name"] == old["name"] }) else {
                errors.append(.forbidden(place, "existing ephemeral containers \"\(name)\" may not be removed\n"))
                continue
            }
            if new != old {
                errors.append(.forbidden(place, "existing ephemeral containers \"\(name)\" may not be changed"))
            }
        }
        return errors
    }
}
