import PluginKit
import Synchronization

/// What a node may do that speaks for itself, as system:node:NAME of group system:nodes: read what the pods bound to it refer
/// to, and keep its own objects.
/// See https://kubernetes.io/docs/reference/access-authn-authz/node/.
final class NodeAuthorizer: AccessAuthorizer {
    let asksOthers = false
    private let graph: NodeGraph
    private let log: Log

    init(graph: NodeGraph, log: Log) {
        self.graph = graph
        self.log = log
    }

    func listing(of user: UserInfo) -> AccessListing {
        guard user.groups.contains("system:nodes"), user.name.hasPrefix("system:node:") else { return .nothing }
        // What nodes may depends on their pods.
        return .unknown("node authorizer does not support user rule resolution")
    }

    func decide(_ user: UserInfo, _ wanted: Authorizer.Attributes, mayWait: Bool) -> AccessDecision {
        guard user.groups.contains("system:nodes"), user.name.hasPrefix("system:node:") else {
            return .noOpinion(reason: "")
        }
        let node = String(user.name.dropFirst("system:node:".count))
        guard !node.isEmpty else { return .noOpinion(reason: "unknown node for user \"\(user.name)\"") }
        // The graph is there as soon as a node has asked: clusters of one host, whose node needs no API, do without.
        if !graph.isStarted {
            guard mayWait else { return .mustWait }
            do {
                try graph.start()
            } catch {
                log.error("what nodes may read is not known", ["reason": .string("\(error)")])
                return .noOpinion(reason: "what node \"\(node)\" may read is not known yet")
            }
        }
        return NodeRules(node: node, graph: graph).decide(wanted)
    }
}

/// The decisions about one node. Pure but for the graph that it reads.
struct NodeRules {
    let node: String
    let graph: NodeGraph

    private static let leaseNamespace = "kube-node-lease"
    private static let own = ["get", "create", "update", "patch", "delete"]
    private static let reads = ["get", "list", "watch"]
    private static let general = BootstrapPolicy.nodeRules

    func decide(_ wanted: Authorizer.Attributes) -> AccessDecision {
        if wanted.path.isEmpty {
            switch (wanted.group, wanted.resource) {
            case ("", "secrets"): return read(.secret, wanted)
            case ("", "configmaps"): return read(.configMap, wanted)
            case ("", "persistentvolumeclaims"):
                return wanted.subresource == "status" ? updateStatus(.claim, wanted) : get(.claim, wanted)
            case ("", "persistentvolumes"): return get(.volume, wanted)
            case ("resource.k8s.io", "resourceclaims"): return get(.resourceClaim, wanted)
            case ("resource.k8s.io", "resourceslices"): return slice(wanted)
            case ("storage.k8s.io", "volumeattachments"): return get(.attachment, wanted)
            case ("", "serviceaccounts"):
                return wanted.subresource == "token" ? createToken(wanted) : read(.serviceAccount, wanted)
            case ("coordination.k8s.io", "leases"):
                return keepOwn(wanted, "node lease", namespace: Self.leaseNamespace)
            case ("storage.k8s.io", "csinodes"): return keepOwn(wanted, "CSINode")
            case ("", "nodes"): return nodes(wanted)
            case ("", "pods"): return pods(wanted)
            default: break
            }
        }
        return Self.general.contains { $0.allows(wanted) } ? .allowed(reason: "") : .noOpinion(reason: "")
    }

    private func no(_ reason: String) -> AccessDecision { .noOpinion(reason: reason) }

    private var unrelated: AccessDecision {
        no("no relationship found between node '\(node)' and this object")
    }

    private func related(_ kind: NodeGraph.Kind, _ wanted: Authorizer.Attributes) -> AccessDecision {
        guard !wanted.name.isEmpty else { return no("No Object name found") }
        let object = NodeGraph.Vertex(kind: kind, namespace: wanted.namespace, name: wanted.name)
        return graph.isRelated(object, to: node) ? .allowed(reason: "") : unrelated
    }

    private func get(_ kind: NodeGraph.Kind, _ wanted: Authorizer.Attributes) -> AccessDecision {
        guard wanted.verb == "get" else { return no("can only get individual resources of this type") }
        guard wanted.subresource.isEmpty else { return no("cannot get subresource") }
        return related(kind, wanted)
    }

    private func read(_ kind: NodeGraph.Kind, _ wanted: Authorizer.Attributes) -> AccessDecision {
        guard Self.reads.contains(wanted.verb) else { return no("can only read resources of this type") }
        guard wanted.subresource.isEmpty else { return no("cannot read subresource") }
        guard !wanted.namespace.isEmpty else { return no("can only read namespaced object of this type") }
        return related(kind, wanted)
    }

    private func updateStatus(_ kind: NodeGraph.Kind, _ wanted: Authorizer.Attributes) -> AccessDecision {
        guard wanted.verb == "update" || wanted.verb == "patch" else {
            return no("can only get/update/patch this type")
        }
        return related(kind, wanted)
    }

    private func createToken(_ wanted: Authorizer.Attributes) -> AccessDecision {
        guard wanted.verb == "create", !wanted.name.isEmpty else {
            return no("can only create tokens for individual service accounts")
        }
        return related(.serviceAccount, wanted)
    }

    /// A lease or a CSINode, which is named as the node is.
    private func keepOwn(
        _ wanted: Authorizer.Attributes, _ what: String, namespace: String? = nil
    ) -> AccessDecision {
        guard Self.own.contains(wanted.verb) else {
            return no("can only get, create, update, patch, or delete a \(what)")
        }
        if let namespace {
            guard wanted.namespace == namespace else {
                return no("can only access leases in the \"\(namespace)\" system namespace")
            }
        } else if !wanted.subresource.isEmpty {
            return no("cannot authorize \(what) subresources")
        }
        // The name of what is created is not known here; admission looks at it.
        guard wanted.verb == "create" || wanted.name == node else {
            return no("can only access \(what) with the same name as the requesting node")
        }
        return .allowed(reason: "")
    }

    private func slice(_ wanted: Authorizer.Attributes) -> AccessDecision {
        guard wanted.subresource.isEmpty else { return no("cannot authorize ResourceSlice subresources") }
        switch wanted.verb {
        case "create": return .allowed(reason: "")
        case "get", "update", "patch", "delete": return related(.slice, wanted)
        case "list", "watch", "deletecollection":
            guard wanted.fields.equality("spec.nodeName") == node else {
                return no("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            return .allowed(reason: "")
        default:
            return no(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection"
            )
        }
    }

    private func nodes(_ wanted: Authorizer.Attributes) -> AccessDecision {
        switch (wanted.subresource, wanted.verb) {
        // Admission keeps it to its own.
        case ("", "create"), ("", "update"), ("", "patch"), ("status", "update"), ("status", "patch"):
            return .allowed(reason: "")
        case ("", "get"), ("", "list"), ("", "watch"):
            if wanted.name == node { return .allowed(reason: "") }
            return no(
                wanted.name.isEmpty
                    ? "node '\(node)' cannot read all nodes, only its own Node object"
                    : "node '\(node)' cannot read '\(wanted.name)', only its own Node object")
        default: return no("")
        }
    }

    private func pods(_ wanted: Authorizer.Attributes) -> AccessDecision {
        switch (wanted.subresource, wanted.verb) {
        case ("", "get"): return related(.pod, wanted)
        case ("", "list"), ("", "watch"):
            if wanted.fields.equality("spec.nodeName") == node { return .allowed(reason: "") }
            if !wanted.name.isEmpty { return related(.pod, wanted) }
            return no("can only list/watch pods with spec.nodeName field selector")
        case ("", "create"), ("", "delete"), ("status", "update"), ("status", "patch"), ("eviction", "create"):
            return .allowed(reason: "")
        default: return no("")
        }
    }
}
