import Objects

/// What of a Job may change once it exists.
enum JobUpdateValidation {
    static func errors(from old: JSON, to new: JSON) -> [FieldError] {
        let (before, after) = (old["spec"], new["spec"])
        var errors: [FieldError] = []
        completions(before, after, &errors)
        template(old, new, &errors)
        for field in ["podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
        where before[field] != after[field] {
            errors.append(.invalid("spec.\(field)", after[field], "field is immutable"))
        }
        return errors
    }

    private static func completions(_ before: JSON, _ after: JSON, _ errors: inout [FieldError]) {
        guard before["completions"] != after["completions"] else { return }
        if after["completionMode"] != "Indexed" {
            errors.append(.invalid("spec.completions", after["completions"], "field is immutable"))
        } else if after["completions"].exists, after["completions"] != after["parallelism"] {
            errors.append(
                .invalid(
                    "spec.completions", after["completions"], "can only be modified in tandem with spec.parallelism"))
        }
    }

    /// While a suspended Job has no pods, where they are to run and what they may use can change.
    private static func template(_ old: JSON, _ new: JSON, _ errors: inout [FieldError]) {
        var before = old["spec"]["template"]
        let after = new["spec"]["template"]
        guard before != after else { return }
        guard isWaiting(old) else {
            return errors.append(.invalid("spec.template", after, "field is immutable"))
        }
        for field in ["labels", "annotations"] { take(field, from: after["metadata"], into: &before["metadata"]) }
        for field in ["nodeSelector", "tolerations", "schedulingGates"] {
            take(field, from: after["spec"], into: &before["spec"])
        }
        takeNodeAffinity(from: after["spec"], into: &before["spec"])
        for list in ["containers", "initContainers"] { takeResources(list, from: after["spec"], into: &before["spec"]) }
        if !isSame(before["metadata"], after["metadata"]) {
            errors.append(.invalid("spec.template", after, "field is immutable"))
        }
        if !isSame(before["spec"], after["spec"]) {
            errors.append(.invalid("spec.template.spec", after["spec"], "field is immutable"))
        }
    }

    private static func isWaiting(_ job: JSON) -> Bool {
        let status = job["status"]
        let isSuspended = status["conditions"].arrayValue.contains {
            $0["type"] == "Suspended" && $0["status"] == "True"
        }
        return job["spec"]["suspend"].boolValue == true && (status["startTime"].isNull || isSuspended)
            && status["active"].integerValue ?? 0 == 0
    }

    private static func takeNodeAffinity(from source: JSON, into target: inout JSON) {
        let wanted = source["affinity"]
        if wanted.isNull {
            guard target["affinity"].exists else { return }
            target["affinity"].removeValue(forKey: "nodeAffinity")
            if target["affinity"].isEmpty { target.removeValue(forKey: "affinity") }
        } else {
            if target["affinity"].isNull { target["affinity"] = [:] }
            take("nodeAffinity", from: wanted, into: &target["affinity"])
        }
    }

    private static func takeResources(_ list: String, from source: JSON, into target: inout JSON) {
        let containers = source[list].arrayValue
        guard target[list].exists, target[list].count == containers.count else { return }
        target[list].updateElements { index, container in
            guard container["name"] == containers[index]["name"] else { return }
            take("resources", from: containers[index], into: &container)
        }
    }

    private static func take(_ field: String, from source: JSON, into target: inout JSON) {
        if source[field].exists {
            target[field] = source[field]
        } else if target[field].exists {
            target.removeValue(forKey: field)
        }
    }

    /// What is empty is as good as absent.
    private static func isSame(_ a: JSON, _ b: JSON) -> Bool { a == b || a.isEmpty && b.isEmpty }
}
