import Objects

/// Rules of ReplicationControllers.
enum ReplicationControllerValidation {
    static func check(_ spec: JSON, _ errors: inout [FieldError]) {
        let labels = spec["template"]["metadata"]["labels"]
        if (spec["selector"].objectValue ?? [:]).contains(where: { labels[$0.key] != $0.value }) {
            errors.append(
                .invalid("template.metadata.labels", labels, "`selector` does not match template `labels`"))
        }
        let pod = spec["template"]["spec"]
        if let policy = pod["restartPolicy"].stringValue, policy != "Always" {
            errors.append(.notSupported("template.spec.restartPolicy", .string(policy), ["Always"]))
        }
        if pod["activeDeadlineSeconds"].exists {
            errors.append(
                .forbidden(
                    "template.spec.activeDeadlineSeconds",
                    "activeDeadlineSeconds in ReplicationController is not Supported"))
        }
    }

    /// What is wrong with the counts of a status.
    static func status(_ status: JSON) -> [FieldError] {
        func count(_ field: String) -> Int64 { status[field].integerValue ?? 0 }
        var errors: [FieldError] = []
        let fields = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"]
        for field in fields where count(field) < 0 {
            errors.append(
                .invalid("status.\(field)", status[field], "must be greater than or equal to 0"))
        }
        for field in fields[1...3] where count(field) > count("replicas") {
            errors.append(
                .invalid("status.\(field)", .integer(count(field)), "cannot be greater than status.replicas"))
        }
        if count("availableReplicas") > count("readyReplicas") {
            errors.append(
                .invalid(
                    "status.availableReplicas", .integer(count("availableReplicas")),
                    "cannot be greater than readyReplicas"))
        }
        return errors
    }
}
