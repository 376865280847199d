import Objects

/// Objects that every cluster has from its first start: namespaces, default roles and their bindings, priority
/// classes, flow schemas and priority levels.
/// Roles follow https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings.
enum BootstrapPolicy {
    static let namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"]

    /// Paths with the objects to be created there when they are absent.
    static var objects: [(path: String, object: JSON)] {
        var result: [(String, JSON)] = namespaces.map {
            ("/api/v1/namespaces", ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string($0)]])
        }
        let root = "/apis/rbac.authorization.k8s.io/v1"
        for (name, rules) in clusterRoles {
            result.append((root + "/clusterroles", role(name, rules)))
        }
        for (name, role, groups, users) in clusterRoleBindings {
            result.append((root + "/clusterrolebindings", binding(name, role, groups, users)))
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
        let root = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system"
        let name = "extension-apiserver-authentication-reader"
        var reader = role(
            name,
            [
                [
                    "verbs": words(read), "apiGroups": [""], "resources": ["configmaps"],
                    "resourceNames": [.string(FrontProxy.configMapName)],
                ]
            ])
        reader["kind"] = "Role"
        reader["metadata"]["namespace"] = "kube-system"
        var readers = binding(
            "system::" + name, name, [], ["system:kube-controller-manager", "system:kube-scheduler"])
        readers["kind"] = "RoleBinding"
        readers["metadata"]["namespace"] = "kube-system"
        readers["roleRef"]["kind"] = "Role"
        return [(root + "/roles", reader), (root + "/rolebindings", readers)]
    }

    private static let labels: JSON = ["kubernetes.io/bootstrapping": "rbac-defaults"]

    private static func role(_ name: String, _ rules: [JSON]) -> JSON {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": [
                "name": .string(name), "labels": labels,
                "annotations": ["rbac.authorization.kubernetes.io/autoupdate": "true"],
            ], "rules": .array(rules),
        ]
    }

    private static func binding(_ name: String, _ role: String, _ groups: [String], _ users: [String]) -> JSON {
        let subjects =
            groups.map { ("Group", $0) } + users.map { ("User", $0) }
        return [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": [
                "name": .string(name), "labels": labels,
                "annotations": ["rbac.authorization.kubernetes.io/autoupdate": "true"],
            ], "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(role)],
            "subjects": .array(
                subjects.map {
                    ["kind": .string($0.0), "apiGroup": "rbac.authorization.k8s.io", "name": .string($0.1)]
                }),
        ]
    }

    private static func allow(_ verbs: String, _ groups: String, _ resources: String) -> JSON {
        [
            "verbs": words(verbs),
            "apiGroups": .array(groups.split(separator: " ").map { .string($0 == "core" ? "" : String($0)) }),
            "resources": words(resources),
        ]
    }

    private static func allow(_ verbs: String, paths: String) -> JSON {
        ["verbs": words(verbs), "nonResourceURLs": words(paths)]
    }

    private static func words(_ text: String) -> JSON { .array(text.split(separator: " ").map { .string(String($0)) }) }

    private static let read = "get list watch"
    private static let write = "create delete deletecollection patch update"

    private static let viewed: [(String, String)] = [
        (
            "core",
            "configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims "
                + "persistentvolumeclaims/status pods pods/log pods/status replicationcontrollers replicationcontrollers/scale "
                + "replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts services services/status bindings"
        ),
        (
            "apps",
            "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
                + "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
        ),
        ("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
        ("batch", "cronjobs cronjobs/status jobs jobs/status"),
        ("discovery.k8s.io", "endpointslices"),
        ("networking.k8s.io", "ingresses ingresses/status networkpolicies"),
        ("policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    ]

    private static let edited: [(String, String)] = [
        (
            "core",
            "pods pods/attach pods/exec pods/portforward pods/proxy configmaps endpoints events persistentvolumeclaims "
                + "replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy pods/eviction"
        ),
        (
            "apps",
            "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
                + "statefulsets/scale"
        ),
        ("autoscaling", "horizontalpodautoscalers"), ("batch", "cronjobs jobs"),
        ("networking.k8s.io", "ingresses networkpolicies"), ("policy", "poddisruptionbudgets"),
        ("coordination.k8s.io", "leases"), ("discovery.k8s.io", "endpointslices"),
    ]

    private static var viewRules: [JSON] { viewed.map { allow(read, $0.0, $0.1) } }
    private static var editRules: [JSON] {
        viewRules + [
            allow(read, "core", "secrets pods/attach pods/exec pods/portforward pods/proxy services/proxy"),
            allow("impersonate", "core", "serviceaccounts"), allow("create", "core", "serviceaccounts/token"),
            allow(read, "coordination.k8s.io", "leases"),
        ] + edited.map { allow(write, $0.0, $0.1) }
    }
    private static var adminRules: [JSON] {
        editRules + [
            allow(read + " " + write, "rbac.authorization.k8s.io", "roles rolebindings"),
            allow("create", "authorization.k8s.io", "localsubjectaccessreviews"),
        ]
    }

    private static let discoveryPaths =
        "/api /api/* /apis /apis/* /healthz /livez /readyz /openapi /openapi/* /version /version/"

    private static var clusterRoles: [(String, [JSON])] {
        [
            ("cluster-admin", [allow("*", "*", "*"), allow("*", paths: "*")]), ("admin", adminRules),
            ("edit", editRules), ("view", viewRules),
            ("system:discovery", [allow("get", paths: discoveryPaths)]),
            (
                "system:basic-user",
                [
                    allow("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
                    allow("create", "authentication.k8s.io", "selfsubjectreviews"),
                ]
            ),
            ("system:public-info-viewer", [allow("get", paths: "/healthz /livez /readyz /version /version/")]),
            (
                "system:monitoring",
                [allow("get", paths: "/healthz /healthz/* /livez /livez/* /metrics /readyz /readyz/*")]
            ),
            (
                "system:service-account-issuer-discovery",
                [allow("get", paths: "/.well-known/openid-configuration /openid/v1/jwks")]
            ),
            (
                "system:auth-delegator",
                [
                    allow("create", "authentication.k8s.io", "tokenreviews"),
                    allow("create", "authorization.k8s.io", "subjectaccessreviews"),
                ]
            ),
            ("system:node", nodeRuleObjects),
            (
                "system:node-bootstrapper",
                [allow("create get list watch", "certificates.k8s.io", "certificatesigningrequests")]
            ),
        ]
    }

    private static let nodeRuleObjects: [JSON] = [
        allow("create", "authentication.k8s.io", "tokenreviews"),
        allow("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
        allow(read, "core", "services"), allow("create get list watch", "core", "nodes"),
        allow("update patch", "core", "nodes nodes/status"), allow("create update patch", "core", "events"),
        allow("create update patch", "events.k8s.io", "events"), allow(read, "core", "pods"),
        allow("create delete", "core", "pods"), allow("update patch", "core", "pods/status"),
        allow("create", "core", "pods/eviction"), allow(read, "core", "configmaps secrets"),
        allow("get", "core", "persistentvolumeclaims persistentvolumes"), allow("get", "core", "endpoints"),
        allow("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),
        allow("create delete get patch update", "coordination.k8s.io", "leases"),
        allow("get", "storage.k8s.io", "volumeattachments"),
        allow("get patch update", "core", "persistentvolumeclaims/status"),
        allow("create", "core", "serviceaccounts/token"), allow("get", "core", "serviceaccounts"),
        allow(read, "storage.k8s.io", "csidrivers"),
        allow("create delete get patch update", "storage.k8s.io", "csinodes"),
        allow(read, "node.k8s.io", "runtimeclasses"), allow("get", "resource.k8s.io", "resourceclaims"),
        allow(read + " " + write, "resource.k8s.io", "resourceslices"),
        allow(read, "certificates.k8s.io", "clustertrustbundles"),
    ]

    /// What every node may, whichever pods it has; the node authorizer narrows most of it.
    static let nodeRules = nodeRuleObjects.map(Authorizer.Rule.init)

    private static let clusterRoleBindings: [(String, String, [String], [String])] = [
        ("cluster-admin", "cluster-admin", ["system:masters"], []),
        ("system:discovery", "system:discovery", ["system:authenticated"], []),
        ("system:basic-user", "system:basic-user", ["system:authenticated"], []),
        (
            "system:public-info-viewer", "system:public-info-viewer",
            ["system:authenticated", "system:unauthenticated"], []
        ), ("system:monitoring", "system:monitoring", ["system:monitoring"], []),
        (
            "system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
            ["system:serviceaccounts"], []
        ),
    ]
}
