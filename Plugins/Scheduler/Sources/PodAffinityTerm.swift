import Objects

/// A term of pod affinity or anti-affinity: pods that it selects, and the node label that says what "together" is.
public struct PodAffinityTerm: Sendable {
    public var topologyKey: String
    /// Nil selects no pod, as an absent selector does in Kubernetes.
    var selector: LabelSelector?
    /// Nil means every namespace (an empty namespaceSelector).
    var namespaces: Set<String>?

    init(topologyKey: String, selector: LabelSelector?, namespaces: Set<String>?) {
        self.topologyKey = topologyKey
        self.selector = selector
        self.namespaces = namespaces
    }

    /// - Parameter namespace: of the pod that carries the term; meant when the term names no namespace.
    /// - Throws: `PodAffinityError` for a namespaceSelector with requirements, which needs namespace labels that the
    ///   scheduler is not told, and the error of a selector that does not parse.
    public init(_ object: JSON, namespace: String) throws {
        topologyKey = object["topologyKey"].stringValue ?? ""
        selector = object["labelSelector"].exists ? try LabelSelector(object: object["labelSelector"]) : nil
        var named = Set(object["namespaces"].arrayValue.compactMap(\.stringValue))
        if object["namespaceSelector"].exists {
            if Self.isUnsupported(object) { throw PodAffinityError.namespaceSelectorUnsupported }
            namespaces = nil
            return
        }
        if named.isEmpty { named = [namespace] }
        namespaces = named
    }

    /// Whether a term asks for namespaces by their labels.
    static func isUnsupported(_ object: JSON) -> Bool {
        let filter = object["namespaceSelector"]
        return filter["matchLabels"].objectValue?.isEmpty == false || !filter["matchExpressions"].arrayValue.isEmpty
    }

    func selects(_ pod: PodDescription) -> Bool {
        guard let selector, namespaces?.contains(pod.namespace) ?? true else { return false }
        return selector.matches { pod.labels[$0] }
    }
}

/// A pod affinity that this scheduler cannot honour; the pod is refused rather than placed wrongly.
public enum PodAffinityError: Error, CustomStringConvertible {
    case namespaceSelectorUnsupported

    public var description: String {
        "a pod affinity term uses a namespaceSelector with requirements, which this scheduler does not support; list the namespaces instead"
    }
}

/// A topology spread constraint of a pod (Kubernetes core/v1 TopologySpreadConstraint).
public struct SpreadConstraint: Sendable {
    /// The label that tells nodes apart one by one.
    static let nodeKey = "kubernetes.io/hostname"

    public var topologyKey: String
    public var maximumSkew: Int64
    public var minimumDomains: Int64
    /// False only scores (ScheduleAnyway).
    public var isRequired: Bool
    var selector: LabelSelector?
    /// Whether nodes that the pod's node selector refuses take no part (nodeAffinityPolicy Honor).
    var honorsNodeAffinity: Bool
    /// Whether nodes with taints that the pod does not tolerate take no part (nodeTaintsPolicy Honor).
    var honorsTaints: Bool

    /// - Parameter labels: of the pod; those named by matchLabelKeys narrow the selector.
    public init(_ object: JSON, labels: [String: String]) throws {
        topologyKey = object["topologyKey"].stringValue ?? ""
        maximumSkew = object["maxSkew"].integerValue ?? 1
        minimumDomains = object["minDomains"].integerValue ?? 1
        isRequired = object["whenUnsatisfiable"].stringValue != "ScheduleAnyway"
        honorsNodeAffinity = object["nodeAffinityPolicy"].stringValue != "Ignore"
        honorsTaints = object["nodeTaintsPolicy"].stringValue == "Honor"
        guard object["labelSelector"].exists else { return }
        var requirements = try LabelSelector(object: object["labelSelector"]).requirements
        for key in object["matchLabelKeys"].arrayValue.compactMap(\.stringValue) {
            if let value = labels[key] { requirements.append(try LabelSelector.Requirement(key, .equals, [value])) }
        }
        selector = LabelSelector(requirements: requirements)
    }

    func selects(_ pod: PodDescription) -> Bool { selector?.matches { pod.labels[$0] } ?? false }
}
