import Objects

/// Objects that every cluster has from its first start: namespaces, default roles and their bindings, priority
/// classes, flow schemas and priority levels.
/// Roles follow https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings.
enum BootstrapPolicy {
    static let namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"]

    private static let root = "/apis/rbac.authorization.k8s.io/v1"

    /// Paths with the objects to be created there when they are absent.
    static var objects: [(path: String, object: JSON)] {
        var result: [(String, JSON)] = namespaces.map {
            ("/api/v1/namespaces", ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string($0)]])
        }
        for role in userRoles + componentRoles + controllerRoles { result.append((root + "/clusterroles", role)) }
        for binding in componentBindings + controllerBindings {
            result.append((root + "/clusterrolebindings", binding))
        }
        for (name, value, text) in [
            ("system-cluster-critical", 2_000_000_000, "Used for system critical pods that must run in the cluster."),
            (
                "system-node-critical", 2_000_001_000,
                "Used for system critical pods that must not be moved from their node."
            ),
        ] {
            result.append(
                (
                    "/apis/scheduling.k8s.io/v1/priorityclasses",
                    [
                        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                        "metadata": ["name": .string(name)],
                        "value": .integer(Int64(value)), "description": .string(text),
                        "preemptionPolicy": "PreemptLowerPriority",
                    ]
                ))
        }
        let flows = "/apis/\(FlowObjects.group)/v1"
        result += FlowObjects.levels.map { (flows + "/prioritylevelconfigurations", $0) }
        result += FlowObjects.schemas.map { (flows + "/flowschemas", $0) }
        return result
    }

    /// The same of what lies in namespaces, which have to be there before.
    static var namespacedObjects: [(path: String, object: JSON)] {
        namespacedRoles.map { (root + "/namespaces/\($0.namespace)/roles", $0) }
            + namespacedBindings.map { (root + "/namespaces/\($0.namespace)/rolebindings", $0) }
    }

    // MARK: - Making

    private static func metadata(_ name: String, namespace: String, labels: [String]) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "labels": ["kubernetes.io/bootstrapping": "rbac-defaults"],
            "annotations": ["rbac.authorization.kubernetes.io/autoupdate": "true"],
        ]
        if !namespace.isEmpty { metadata["namespace"] = .string(namespace) }
        for label in labels { metadata["labels"]["rbac.authorization.k8s.io/" + label] = "true" }
        return metadata
    }

    /// A ClusterRole, or the Role of a namespace.
    /// - Parameter labels: Such as "aggregate-to-view": which roles have its rules too.
    static func role(_ name: String, namespace: String = "", labels: [String] = [], _ rules: [JSON]) -> JSON {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": namespace.isEmpty ? "ClusterRole" : "Role",
            "metadata": metadata(name, namespace: namespace, labels: labels), "rules": .array(rules),
        ]
    }

    /// A ClusterRole that has the rules of all roles with a label.
    static func aggregated(_ name: String, from label: String, labels: [String] = []) -> JSON {
        var wanted: JSONObject = [:]
        wanted["rbac.authorization.k8s.io/" + label] = "true"
        return [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": metadata(name, namespace: "", labels: labels),
            "aggregationRule": ["clusterRoleSelectors": [["matchLabels": .object(wanted)]]],
        ]
    }

    enum Subject: Sendable {
        case group(String)
        case user(String)
        /// A service account of kube-system.
        case account(String)

        var json: JSON {
            switch self {
            case .group(let name): ["kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": .string(name)]
            case .user(let name): ["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": .string(name)]
            case .account(let name): ["kind": "ServiceAccount", "namespace": "kube-system", "name": .string(name)]
            }
        }
    }

    /// A ClusterRoleBinding, or in a namespace the RoleBinding of a Role.
    static func binding(_ name: String, to role: String? = nil, namespace: String = "", _ subjects: [Subject]) -> JSON {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": namespace.isEmpty ? "ClusterRoleBinding" : "RoleBinding",
            "metadata": metadata(name, namespace: namespace, labels: []),
            "roleRef": [
                "apiGroup": "rbac.authorization.k8s.io", "kind": namespace.isEmpty ? "ClusterRole" : "Role",
                "name": .string(role ?? name),
            ], "subjects": .array(subjects.map(\.json)),
        ]
    }

    /// - Parameters: words with blanks between them; `core` is the group without a name.
    static func allow(_ verbs: String, _ groups: String, _ resources: String, names: String = "") -> JSON {
        var rule: JSON = [
            "verbs": words(verbs),
            "apiGroups": .array(groups.split(separator: " ").map { .string($0 == "core" ? "" : String($0)) }),
            "resources": words(resources),
        ]
        if !names.isEmpty { rule["resourceNames"] = words(names) }
        return rule
    }

    static func allow(_ verbs: String, paths: String) -> JSON {
        ["verbs": words(verbs), "nonResourceURLs": words(paths)]
    }

    private static func words(_ text: String) -> JSON { .array(text.split(separator: " ").map { .string(String($0)) }) }

    static let read = "get list watch"
    static let write = "create delete deletecollection patch update"
    /// Whoever does something tells of it.
    static let events = allow("create patch update", "core events.k8s.io", "events")
}
