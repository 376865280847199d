import Objects

/// Labels of nodes that have newer names.
enum NodeLabelWarnings {
    private static let newer: [String: (since: String, name: String)] = [
        "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
        "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
        "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
        "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
        "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
    ]

    /// What is said of a label; nil for one that has no newer name.
    static func text(_ label: String) -> String? {
        newer[label].map { "deprecated since \($0.since); use \"\($0.name)\" instead" }
    }

    /// - Parameter place: Of the field that names the label.
    static func text(_ label: JSON, at place: @autoclosure () -> String) -> [String] {
        guard let label = label.stringValue, let text = text(label) else { return [] }
        return ["\(place()): \(label) is \(text)"]
    }

    /// A term that selects nodes.
    static func term(_ term: JSON, at place: String) -> [String] {
        ["matchExpressions", "matchFields"].flatMap { list in
            term[list].arrayValue.enumerated().flatMap { text($1["key"], at: "\(place).\(list)[\($0)].key") }
        }
    }

    /// The `allowedTopologies` of a StorageClass.
    static func topologies(_ terms: JSON) -> [String] {
        terms.arrayValue.enumerated().flatMap { index, term in
            term["matchLabelExpressions"].arrayValue.enumerated().flatMap {
                text($1["key"], at: "allowedTopologies[\(index)].matchLabelExpressions[\($0)].key")
            }
        }
    }
}
