import Objects

/// Roles of the parts of a cluster, and who holds them.
extension BootstrapPolicy {
    private static let publicPaths = "/healthz /livez /readyz /version /version/"
    private static let requests = "certificatesigningrequests"
    private static let certificates = "certificates.k8s.io"

    static var componentRoles: [JSON] {
        let roles: [(String, [JSON])] = [
            (
                "system:discovery",
                [allow("get", paths: publicPaths + " /api /api/* /apis /apis/* /openapi /openapi/*")]
            ),
            (
                "system:basic-user",
                [
                    allow("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
                    allow("create", "authentication.k8s.io", "selfsubjectreviews"),
                ]
            ), ("system:public-info-viewer", [allow("get", paths: publicPaths)]),
            (
                "system:monitoring",
                [
                    allow(
                        "get", paths: "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*")
                ]
            ),
            (
                "system:service-account-issuer-discovery",
                [
                    allow(
                        "get",
                        paths: "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks "
                            + "/openid/v1/jwks/")
                ]
            ),
            (
                "system:auth-delegator",
                [
                    allow("create", "authentication.k8s.io", "tokenreviews"),
                    allow("create", "authorization.k8s.io", "subjectaccessreviews"),
                ]
            ), ("system:kube-aggregator", [allow(read, "core", "endpoints services")]),
            ("system:kube-dns", [allow("list watch", "core", "endpoints services")]),
            (
                "system:heapster",
                [allow(read, "core", "events namespaces nodes pods"), allow(read, "extensions", "deployments")]
            ),
        ]
        return roles.map { role($0, $1) } + nodeRoles + managerRoles + storageRoles + certificateRoles
    }

    private static var nodeRoles: [JSON] {
        [
            role("system:node", nodeRuleObjects),
            role(
                "system:node-problem-detector",
                [allow("get", "core", "nodes"), allow("patch", "core", "nodes/status"), events]),
            role(
                "system:node-proxier",
                [
                    allow("list watch", "core", "endpoints services"), allow(read, "core", "nodes"), events,
                    allow("list watch", "discovery.k8s.io", "endpointslices"),
                    allow("list watch", "networking.k8s.io", "servicecidrs"),
                ]), role("system:node-bootstrapper", [allow("create \(read)", certificates, requests)]),
            role(
                "system:kubelet-api-admin",
                [
                    allow(read, "core", "nodes"), allow("proxy", "core", "nodes"),
                    allow(
                        "*", "core",
                        "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats"),
                ]),
        ]
    }

    /// The controllers and the scheduler, which may also be those of Kubernetes.
    private static var managerRoles: [JSON] {
        let reviews = [
            allow("create", "authentication.k8s.io", "tokenreviews"),
            allow("create", "authorization.k8s.io", "subjectaccessreviews"),
        ]
        func leads(_ name: String) -> [JSON] {
            ["leases", "leasecandidates"].flatMap { resource in
                [
                    allow("create", "coordination.k8s.io", resource),
                    allow("get update", "coordination.k8s.io", resource, names: name),
                ]
            }
        }
        let manager =
            [events] + leads("kube-controller-manager") + [
                allow("create", "core", "secrets serviceaccounts"), allow("delete", "core", "secrets"),
                allow("get", "core", "configmaps namespaces secrets serviceaccounts"),
                allow("update", "core", "secrets serviceaccounts"),
            ] + reviews + [allow("list watch", "*", "*"), allow("create", "core", "serviceaccounts/token")]
        let scheduler =
            [events] + leads("kube-scheduler") + [
                allow(read, "core", "nodes"), allow("delete \(read)", "core", "pods"),
                allow("create", "core", "bindings pods/binding"), allow("patch update", "core", "pods/status"),
                allow(read, "core", "replicationcontrollers services"), allow(read, "apps extensions", "replicasets"),
                allow(read, "apps", "statefulsets"), allow(read, "policy", "poddisruptionbudgets"),
                allow(read, "core", "persistentvolumeclaims persistentvolumes"),
            ] + reviews + [
                allow(read, "storage.k8s.io", "csinodes"), allow(read, "core", "namespaces"),
                allow(read, "storage.k8s.io", "csidrivers csistoragecapacities volumeattachments"),
                allow(read, "resource.k8s.io", "deviceclasses resourceslices"),
                allow("\(read) patch update", "resource.k8s.io", "resourceclaims resourceclaims/status"),
                allow("patch update", "resource.k8s.io", "resourceclaims/binding"),
                allow("\(read) patch update", "core", "pods/finalizers"),
            ]
        return [role("system:kube-controller-manager", manager), role("system:kube-scheduler", scheduler)]
    }

    private static var storageRoles: [JSON] {
        [
            role(
                "system:persistent-volume-provisioner",
                [
                    allow("create delete \(read)", "core", "persistentvolumes"),
                    allow("\(read) update", "core", "persistentvolumeclaims"),
                    allow(read, "storage.k8s.io", "storageclasses"), allow("watch", "core", "events"), events,
                ]),
            role(
                "system:volume-scheduler",
                [
                    allow("\(read) patch update", "core", "persistentvolumes"),
                    allow(read, "storage.k8s.io", "storageclasses"),
                    allow("\(read) patch update", "core", "persistentvolumeclaims"),
                ]),
        ]
    }

    private static var certificateRoles: [JSON] {
        let approved = ["nodeclient", "selfnodeclient"].map { kind in
            role(
                "system:certificates.k8s.io:\(requests):\(kind)",
                [allow("create", certificates, "\(requests)/\(kind)")])
        }
        let signers = ["kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown"]
        return approved
            + signers.map { signer in
                role(
                    "system:certificates.k8s.io:\(signer)-approver",
                    [allow("approve", certificates, "signers", names: "kubernetes.io/\(signer)")])
            }
    }

    static var componentBindings: [JSON] {
        [
            binding("cluster-admin", [.group("system:masters")]),
            binding("system:monitoring", [.group("system:monitoring")]),
            binding("system:discovery", [.group("system:authenticated")]),
            binding("system:basic-user", [.group("system:authenticated")]),
            binding(
                "system:public-info-viewer", [.group("system:authenticated"), .group("system:unauthenticated")]),
            binding("system:node-proxier", [.user("system:kube-proxy")]),
            binding("system:kube-controller-manager", [.user("system:kube-controller-manager")]),
            binding("system:kube-dns", [.account("kube-dns")]),
            binding("system:kube-scheduler", [.user("system:kube-scheduler")]),
            binding("system:volume-scheduler", [.user("system:kube-scheduler")]),
            binding("system:service-account-issuer-discovery", [.group("system:serviceaccounts")]),
            // Nodes have the node authorizer.
            binding("system:node", []),
        ]
    }

    // MARK: - Nodes

    private static let nodeRuleObjects: [JSON] = [
        allow("create", "authentication.k8s.io", "tokenreviews"),
        allow("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
        allow(read, "core", "services"), allow("create get list watch", "core", "nodes"),
        allow("update patch", "core", "nodes nodes/status"), allow("create update patch", "core", "events"),
        allow("create update patch", "events.k8s.io", "events"), allow(read, "core", "pods"),
        allow("create delete", "core", "pods"), allow("update patch", "core", "pods/status"),
        allow("create", "core", "pods/eviction"), allow(read, "core", "configmaps secrets"),
        allow("get", "core", "persistentvolumeclaims persistentvolumes"), allow("get", "core", "endpoints"),
        allow("create get list watch", certificates, requests),
        allow("create delete get patch update", "coordination.k8s.io", "leases"),
        allow("get", "storage.k8s.io", "volumeattachments"),
        allow("get patch update", "core", "persistentvolumeclaims/status"),
        allow("create", "core", "serviceaccounts/token"), allow("get", "core", "serviceaccounts"),
        allow(read, "storage.k8s.io", "csidrivers"),
        allow("create delete get patch update", "storage.k8s.io", "csinodes"),
        allow(read, "node.k8s.io", "runtimeclasses"), allow("get", "resource.k8s.io", "resourceclaims"),
        allow(read + " " + write, "resource.k8s.io", "resourceslices"),
        allow(read, certificates, "clustertrustbundles"),
    ]

    /// What every node may, whichever pods it has; the node authorizer narrows most of it.
    static let nodeRules = nodeRuleObjects.map(Authorizer.Rule.init)
}
