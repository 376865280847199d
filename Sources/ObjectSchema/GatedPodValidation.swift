import Objects

/// While a pod has scheduling gates, whoever queues it may narrow down where it runs: what is asked of the node may be added to
/// and never lessened.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/.
enum GatedPodValidation {
    /// Nobody may choose a node before the gates are gone.
    static func place(_ spec: JSON, _ errors: inout [FieldError]) {
        if !spec["schedulingGates"].arrayValue.isEmpty, !spec["nodeName"].isEmpty {
            errors.append(.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
        }
    }

    /// - Parameters:
    ///   - adapted: the new specification, in which what may change becomes what it was.
    static func check(from old: JSON, to new: JSON, _ adapted: inout JSON, _ errors: inout [FieldError]) {
        let (before, after) = (old["nodeSelector"], new["nodeSelector"])
        if (before.objectValue ?? [:]).contains(where: { after[$0.key] != $0.value }) {
            errors.append(
                .invalid(
                    "spec.nodeSelector", after,
                    "only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
        }
        restore("nodeSelector", of: old, in: &adapted)
        affinity(from: old["affinity"]["nodeAffinity"], to: new["affinity"]["nodeAffinity"], &errors)
        var kept = adapted["affinity"].exists ? adapted["affinity"] : [:]
        restore("nodeAffinity", of: old["affinity"], in: &kept)
        if kept.isEmpty, !old["affinity"].exists {
            if adapted["affinity"].exists { adapted.removeValue(forKey: "affinity") }
        } else {
            adapted["affinity"] = kept
        }
    }

    private static func restore(_ field: String, of old: JSON, in adapted: inout JSON) {
        if old[field].exists {
            adapted[field] = old[field]
        } else if adapted[field].exists {
            adapted.removeValue(forKey: field)
        }
    }

    /// What is preferred may change at will. Terms are alternatives: another one would widen the choice.
    private static func affinity(from old: JSON, to new: JSON, _ errors: inout [FieldError]) {
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        let (before, after) = (
            old[required]["nodeSelectorTerms"].arrayValue, new[required]["nodeSelectorTerms"].arrayValue
        )
        if before.isEmpty { return }
        let path = "spec.affinity.nodeAffinity.\(required).nodeSelectorTerms"
        guard before.count == after.count else {
            return errors.append(
                .invalid(
                    path, .array(after), "no additions/deletions to non-empty NodeSelectorTerms list are allowed"))
        }
        for (index, pair) in zip(before, after).enumerated() where !onlyAdds(pair.0, pair.1) {
            errors.append(
                .invalid("\(path)[\(index)]", pair.1, "only additions are allowed (no mutations or deletions)"))
        }
    }

    /// An empty term matches no node: whatever is added to it widens the choice.
    private static func onlyAdds(_ old: JSON, _ new: JSON) -> Bool {
        let lists = ["matchExpressions", "matchFields"].map { (old[$0].arrayValue, new[$0].arrayValue) }
        if lists.allSatisfy(\.0.isEmpty) { return lists.allSatisfy(\.1.isEmpty) }
        return lists.allSatisfy { before, after in after.starts(with: before) }
    }
}
