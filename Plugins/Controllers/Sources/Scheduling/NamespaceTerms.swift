import Objects

/// Terms of pod affinity that choose namespaces by their labels. A scheduler is told nodes and pods alone, so it is given the
/// names of the namespaces that are chosen now instead.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#namespace-selector.
enum NamespaceTerms {
    private static let required = "requiredDuringSchedulingIgnoredDuringExecution"
    private static let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    /// No namespace has this name: a term that chooses none selects no pod, instead of those of its own namespace.
    static let nowhere = "-"

    /// Whether a pod has such a term. An empty selector chooses all, which a scheduler knows without labels.
    static func areUsed(by pod: JSON) -> Bool {
        let affinity = pod["spec"]["affinity"]
        guard affinity.exists else { return false }
        return ["podAffinity", "podAntiAffinity"].contains { part in
            affinity[part][required].arrayValue.contains(where: choosesByLabels)
                || affinity[part][preferred].arrayValue.contains { choosesByLabels($0["podAffinityTerm"]) }
        }
    }

    private static func choosesByLabels(_ term: JSON) -> Bool {
        let selector = term["namespaceSelector"]
        return !selector["matchLabels"].isEmpty || !selector["matchExpressions"].isEmpty
    }

    /// The pod with names where its terms have selectors.
    /// - Parameter namespaces: all of them; asked for when the pod has such a term.
    /// - Throws: the error of a selector that does not parse.
    static func resolved(_ pod: JSON, namespaces: () -> [JSON]) throws -> JSON {
        guard areUsed(by: pod) else { return pod }
        let all = namespaces()
        var pod = pod
        for part in ["podAffinity", "podAntiAffinity"] {
            let affinity = pod["spec"]["affinity"][part]
            if affinity[required].exists {
                let terms = try affinity[required].arrayValue.map { try resolved(term: $0, all) }
                pod["spec"]["affinity"][part][required] = .array(terms)
            }
            if affinity[preferred].exists {
                let terms = try affinity[preferred].arrayValue.map {
                    $0.with("podAffinityTerm", try resolved(term: $0["podAffinityTerm"], all))
                }
                pod["spec"]["affinity"][part][preferred] = .array(terms)
            }
        }
        return pod
    }

    private static func resolved(term: JSON, _ namespaces: [JSON]) throws -> JSON {
        guard choosesByLabels(term) else { return term }
        let selector = try LabelSelector(object: term["namespaceSelector"])
        let chosen = namespaces.filter { selector.matches(labels: $0.labels) }.map(\.name)
        let names = Set(chosen + term["namespaces"].arrayValue.compactMap(\.stringValue)).sorted()
        var term = term
        term.removeValue(forKey: "namespaceSelector")
        term["namespaces"] = .array((names.isEmpty ? [nowhere] : names).map { .string($0) })
        return term
    }
}
