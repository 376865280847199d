import Objects

/// Affinity to pods, and spreading among pods, that have a label's value in common with the pod itself: the values that the new pod
/// has are written into its selectors, so that whoever places it need not know of the fields.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys.
enum AffinityLabelKeys {
    static func merge(into pod: inout JSON) {
        let labels = pod.labels
        if pod["spec"]["topologySpreadConstraints"].exists {
            pod["spec"]["topologySpreadConstraints"].updateElements { _, constraint in
                merge(labels, into: &constraint)
            }
        }
        guard pod["spec"]["affinity"].exists else { return }
        for part in ["podAffinity", "podAntiAffinity"] where pod["spec"]["affinity"][part].exists {
            let required = "requiredDuringSchedulingIgnoredDuringExecution"
            let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
            if pod["spec"]["affinity"][part][required].exists {
                pod["spec"]["affinity"][part][required].updateElements { _, term in merge(labels, into: &term) }
            }
            if pod["spec"]["affinity"][part][preferred].exists {
                pod["spec"]["affinity"][part][preferred].updateElements { _, weighted in
                    merge(labels, into: &weighted["podAffinityTerm"])
                }
            }
        }
    }

    /// A label that the pod does not have says nothing.
    private static func merge(_ labels: JSON, into term: inout JSON) {
        guard term["labelSelector"].exists else { return }
        var expressions = term["labelSelector"]["matchExpressions"].arrayValue
        let before = expressions.count
        for (field, operation) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
            for key in term[field].arrayValue {
                let value = labels[key.stringValue ?? ""]
                guard value.exists else { continue }
                expressions.append(["key": key, "operator": .string(operation), "values": .array([value])])
            }
        }
        if expressions.count > before { term["labelSelector"]["matchExpressions"] = .array(expressions) }
    }
}
