import Objects

/// What is wrong with a question of what somebody may: SubjectAccessReview, its local and its self form. Pure.
/// See https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/.
enum AccessReviewChecks {
    /// - Parameter plural: Of the review's resource; of others nothing is wrong.
    static func faults(in review: JSON, _ plural: String) -> [APIStatus.Cause] {
        guard ["subjectaccessreviews", "localsubjectaccessreviews", "selfsubjectaccessreviews"].contains(plural) else {
            return []
        }
        let spec = review["spec"]
        let (resource, other) = (spec["resourceAttributes"], spec["nonResourceAttributes"])
        var causes: [APIStatus.Cause] = []
        switch (resource.exists, other.exists) {
        case (true, true):
            causes.append(
                .invalid(
                    "spec.nonResourceAttributes", other, "cannot be specified in combination with resourceAttributes"))
        case (false, false):
            causes.append(
                .invalid(
                    "spec.resourceAttributes", .null,
                    "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
        default: break
        }
        if plural != "selfsubjectaccessreviews", (spec["user"].stringValue ?? "").isEmpty, spec["groups"].isEmpty {
            causes.append(.invalid("spec.user", .string(""), "at least one of user or group must be specified"))
        }
        for name in ["fieldSelector", "labelSelector"] where resource[name].exists {
            causes += selectorFaults(resource[name], "spec.resourceAttributes.\(name)")
        }
        let isLocal = plural == "localsubjectaccessreviews"
        let kept: Set = isLocal ? ["managedFields", "namespace"] : ["managedFields"]
        if (review["metadata"].objectValue ?? [:]).contains(where: { !kept.contains($0.key) && !$0.value.isEmpty }) {
            causes.append(
                .invalid(
                    "metadata", review["metadata"], isLocal ? "must be empty except for namespace" : "must be empty"))
        }
        if isLocal {
            let namespace = resource["namespace"].stringValue ?? ""
            if resource.exists, namespace != review.namespace {
                causes.append(
                    .invalid(
                        "spec.resourceAttributes.namespace", .string(namespace), "must match metadata.namespace"))
            }
            if other.exists {
                causes.append(.invalid("spec.nonResourceAttributes", other, "disallowed on this kind of request"))
            }
        }
        return causes
    }

    private static func selectorFaults(_ selector: JSON, _ place: String) -> [APIStatus.Cause] {
        let raw = selector["rawSelector"].stringValue ?? ""
        let requirements = selector["requirements"].arrayValue
        if !raw.isEmpty, !requirements.isEmpty {
            return [
                .invalid(
                    place + ".rawSelector", .string(raw), "may not specified at the same time as requirements")
            ]
        }
        if raw.isEmpty, requirements.isEmpty {
            return [
                .required(
                    place + ".requirements", "when \(place) is specified, requirements or rawSelector is required")
            ]
        }
        return requirements.enumerated().flatMap { index, requirement in
            requirementFaults(requirement, "\(place).requirements[\(index)]")
        }
    }

    private static func requirementFaults(_ requirement: JSON, _ place: String) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        if (requirement["key"].stringValue ?? "").isEmpty {
            causes.append(.required(place + ".key", "must be specified"))
        }
        let hasValues = !requirement["values"].isEmpty
        switch requirement["operator"].stringValue ?? "" {
        case "In", "NotIn":
            if !hasValues {
                causes.append(
                    .required(place + ".values", "must be specified when `operator` is 'In' or 'NotIn'"))
            }
        case "Exists", "DoesNotExist":
            if hasValues {
                causes.append(
                    .forbidden(place + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
            }
        default: causes.append(.invalid(place + ".operator", requirement["operator"], "not a valid selector operator"))
        }
        return causes
    }
}
