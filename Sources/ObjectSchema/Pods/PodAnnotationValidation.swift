import Objects

/// Annotations of pods that mean something to the server.
enum PodAnnotationValidation {
    static let mirror = "kubernetes.io/config.mirror"
    private static let deletionCost = "controller.kubernetes.io/pod-deletion-cost"
    private static let podSeccomp = "seccomp.security.alpha.kubernetes.io/pod"
    private static let containerSeccomp = "container.seccomp.security.alpha.kubernetes.io/"
    static let appArmor = "container.apparmor.security.beta.kubernetes.io/"
    private static let localhost = "localhost/"

    static func annotations(
        of pod: JSON, _ spec: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        guard let annotations = pod["metadata"]["annotations"].objectValue else { return }
        for (key, value) in annotations {
            let text = value.stringValue ?? ""
            func refuse(_ value: String, _ detail: String) {
                errors.append(.invalid("\(place())[\(key)]", .string(value), detail))
            }
            if key == mirror, spec["nodeName"].isEmpty {
                refuse(text, "must set spec.nodeName if mirror pod annotation is set")
            } else if key == deletionCost {
                if !isCost(text) { refuse(text, "must be a 32bit integer") }
            } else if key == podSeccomp || key.hasPrefix(containerSeccomp) {
                if ["runtime/default", "docker/default", "unconfined"].contains(text) { continue }
                if text.hasPrefix(localhost) {
                    PathChecks.descending(
                        String(text.dropFirst(localhost.count)), at: "\(place()).\(key)", &errors)
                } else {
                    errors.append(.invalid("\(place()).\(key)", value, "must be a valid seccomp profile"))
                }
            } else if key.hasPrefix(appArmor) {
                let name = String(key.dropFirst(appArmor.count))
                if !containers(of: spec).contains(where: { $0.container["name"].stringValue == name }) {
                    refuse(name, "container not found")
                }
                if !["", "runtime/default", "unconfined"].contains(text), !text.hasPrefix(localhost) {
                    refuse(text, "invalid AppArmor profile name: \(JSON.string(text).serializedString())")
                }
            }
        }
    }

    /// A whole number of 32 bits without a plus sign or leading zeros.
    private static func isCost(_ text: String) -> Bool {
        if text == "0" { return true }
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        return digits.first.map { $0 != "0" && $0 != "+" } == true && Int32(text) != nil
    }

    private static func containers(of spec: JSON) -> [(container: JSON, place: String)] {
        ["initContainers", "containers", "ephemeralContainers"].flatMap { list in
            spec[list].arrayValue.enumerated().map { ($1, "\(list)[\($0)]") }
        }
    }

    /// Annotations and the fields that have taken their place say the same, where both are there.
    static func agreement(_ pod: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        guard let annotations = pod["metadata"]["annotations"].objectValue,
            annotations.contains(where: {
                $0.key == podSeccomp || $0.key.hasPrefix(containerSeccomp) || $0.key.hasPrefix(appArmor)
            })
        else { return }
        let spec = pod["spec"]
        let ofPod = spec["securityContext"]
        compare(
            annotations[podSeccomp], ofPod["seccompProfile"], "seccomp",
            at: "\(place()).securityContext.seccompProfile", &errors)
        for (container, own) in containers(of: spec) {
            let name = container["name"].stringValue ?? ""
            let context = container["securityContext"]
            compare(
                annotations[containerSeccomp + name], context["seccompProfile"], "seccomp",
                at: "\(place()).\(own).securityContext.seccompProfile", &errors)
            guard spec["os"]["name"] != "windows" else { continue }
            let profile = context["appArmorProfile"].exists ? context["appArmorProfile"] : ofPod["appArmorProfile"]
            compare(
                annotations[appArmor + name], profile, "apparmor",
                at: "\(place()).\(own).securityContext.appArmorProfile", &errors)
        }
    }

    private static func compare(
        _ annotation: JSON?, _ profile: JSON, _ kind: String, at place: @autoclosure () -> String,
        _ errors: inout [FieldError]
    ) {
        guard let text = annotation?.stringValue, profile.exists else { return }
        let agrees: Bool
        switch profile["type"].stringValue ?? "" {
        case "Unconfined": agrees = text == "unconfined"
        case "RuntimeDefault": agrees = text == "runtime/default" || kind == "seccomp" && text == "docker/default"
        case "Localhost":
            agrees = text.hasPrefix(localhost)
            if agrees, profile["localhostProfile"].stringValue != String(text.dropFirst(localhost.count)) {
                errors.append(
                    .forbidden("\(place()).localhostProfile", "\(kind) profile in annotation and field must match"))
            }
        default: agrees = true
        }
        if !agrees {
            errors.append(.forbidden("\(place()).type", "\(kind) type in annotation and field must match"))
        }
    }

    /// What an update may not do to them.
    static func update(from old: JSON, to new: JSON) -> [FieldError] {
        let before = old["metadata"]["annotations"].objectValue ?? [:]
        let after = new["metadata"]["annotations"].objectValue ?? [:]
        var errors: [FieldError] = []
        func tell(_ key: String, _ verb: String) {
            let place = "metadata.annotations[\(key)]"
            if key.hasPrefix(appArmor) {
                errors.append(.forbidden(place, "may not \(verb) AppArmor annotations"))
            } else if key == mirror {
                errors.append(.forbidden(place, "may not \(verb) mirror pod annotation"))
            }
        }
        for (key, value) in before where after[key] != value { tell(key, "remove or update") }
        for (key, _) in after where before[key] == nil { tell(key, "add") }
        return errors
    }
}
