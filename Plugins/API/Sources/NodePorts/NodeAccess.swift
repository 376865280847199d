import Objects

/// What somebody has to be allowed to do who asks at a node's own port, as a kubelet asks for it.
/// See https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/. Pure.
enum NodeAccess {
    /// The subresources of the node of which one has to be allowed, in the order in which they are asked for.
    /// - Parameter path: What lies below the node, decoded, without a leading slash: "metrics/cadvisor".
    static func subresources(_ path: String) -> [String] {
        switch path.prefix(while: { $0 != "/" }) {
        case "stats": ["stats"]
        case "metrics": ["metrics"]
        case "logs": ["log"]
        case "checkpoint": ["checkpoint"]
        case "statusz": ["statusz"]
        case "pods", "runningpods": ["pods", "proxy"]
        case "healthz": ["healthz", "proxy"]
        case "configz": ["configz", "proxy"]
        default: ["proxy"]
        }
    }

    /// The verb of a method; empty for one that stands for none, which those alone may use who may use all.
    static func verb(_ method: String) -> String {
        switch method {
        case "GET": "get"
        case "POST": "create"
        case "PUT": "update"
        case "PATCH": "patch"
        case "DELETE": "delete"
        default: ""
        }
    }

    static func attributes(_ verb: String, _ subresource: String, node: String) -> Authorizer.Attributes {
        Authorizer.Attributes(verb: verb, version: "v1", resource: "nodes", subresource: subresource, name: node)
    }
}
