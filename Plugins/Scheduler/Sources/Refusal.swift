/// Why one node cannot take a pod, in Kubernetes' words. The order of tests is Kubernetes' order of filter plugins.
public enum Refusal: Sendable, Hashable, CustomStringConvertible {
    case unschedulable
    case nodeName
    case taint(Taint)
    case nodeSelector
    case hostPorts
    case tooManyPods
    case insufficient(String)
    case spread
    case spreadLabelMissing
    case podAffinity
    case podAntiAffinity
    case existingAntiAffinity

    public var description: String {
        switch self {
        case .unschedulable: "node(s) were unschedulable"
        case .nodeName: "node(s) didn't match the requested node name"
        case .taint(let taint): "node(s) had untolerated taint {\(taint.key): \(taint.value)}"
        case .nodeSelector: "node(s) didn't match Pod's node affinity/selector"
        case .hostPorts: "node(s) didn't have free ports for the requested pod ports"
        case .tooManyPods: "Too many pods"
        case .insufficient(let resource): "Insufficient \(resource)"
        case .spread: "node(s) didn't match pod topology spread constraints"
        case .spreadLabelMissing: "node(s) didn't match pod topology spread constraints (missing required label)"
        case .podAffinity: "node(s) didn't match pod affinity rules"
        case .podAntiAffinity: "node(s) didn't match pod anti-affinity rules"
        case .existingAntiAffinity: "node(s) didn't satisfy existing pods anti-affinity rules"
        }
    }
}

/// The outcome of `Placement.schedule`.
public enum Decision: Sendable, Equatable {
    /// The pod counts as placed on this node from now on.
    case placed(node: String)
    /// No node fits: how many there are, and how many each reason refused, each node under its first reason; sorted by
    /// reason.
    case refused(nodes: Int, reasons: [(reason: String, nodes: Int)])

    public static func == (left: Decision, right: Decision) -> Bool {
        switch (left, right) {
        case (.placed(let one), .placed(let other)): one == other
        case (.refused(let nodes, let reasons), .refused(let otherNodes, let otherReasons)):
            nodes == otherNodes
                && reasons.elementsEqual(otherReasons) { $0.reason == $1.reason && $0.nodes == $1.nodes }
        case (.placed, .refused), (.refused, .placed): false
        }
    }
}
