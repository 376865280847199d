import Objects

/// Roles for people. What the author of a custom resource lets the holders of `admin`, `edit` and `view` do is said by roles
/// with the labels aggregate-to-admin, aggregate-to-edit and aggregate-to-view.
extension BootstrapPolicy {
    static var userRoles: [JSON] {
        var roles = [
            role("cluster-admin", [allow("*", "*", "*"), allow("*", paths: "*")]),
            aggregated("admin", from: "aggregate-to-admin"),
            aggregated("edit", from: "aggregate-to-edit", labels: ["aggregate-to-admin"]),
            aggregated("view", from: "aggregate-to-view", labels: ["aggregate-to-edit"]),
            role(
                "system:aggregate-to-admin", labels: ["aggregate-to-admin"],
                [
                    allow("create", "authorization.k8s.io", "localsubjectaccessreviews"),
                    allow("\(read) \(write)", "rbac.authorization.k8s.io", "roles rolebindings"),
                ]),
            role("system:aggregate-to-edit", labels: ["aggregate-to-edit"], editRules),
            role("system:aggregate-to-view", labels: ["aggregate-to-view"], viewRules),
            role(
                "system:aggregated-metrics-reader",
                labels: ["aggregate-to-admin", "aggregate-to-edit", "aggregate-to-view"],
                [allow(read, UsageObjects.group, "nodes pods")]),
        ]
        // What they gather at first; those that gather from others come after these.
        for name in ["view", "edit", "admin"] {
            guard let index = roles.firstIndex(where: { $0.name == name }) else { continue }
            roles[index]["rules"] = .array(RoleAggregation.rules(of: roles[index], among: roles))
        }
        return roles
    }

    private static var viewRules: [JSON] {
        [
            allow(
                read, "core",
                "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
                    + "replicationcontrollers/scale serviceaccounts services services/status"),
            allow(
                read, "core",
                "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
                    + "resourcequotas resourcequotas/status"), allow(read, "core", "namespaces"),
            allow(read, "discovery.k8s.io", "endpointslices"),
            allow(
                read, "apps",
                "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
                    + "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
            ), allow(read, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
            allow(read, "batch", "cronjobs cronjobs/status jobs jobs/status"),
            allow(
                read, "extensions",
                "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status "
                    + "networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale"),
            allow(read, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
            allow(read, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
            allow(read, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
        ]
    }

    private static var editRules: [JSON] {
        [
            allow(read, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
            allow("impersonate", "core", "serviceaccounts"),
            allow(write, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
            allow("create", "core", "pods/eviction"),
            allow(
                write, "core",
                "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
                    + "serviceaccounts services services/proxy"), allow("create", "core", "serviceaccounts/token"),
            allow(
                write, "apps",
                "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
                    + "statefulsets/scale"), allow(write, "autoscaling", "horizontalpodautoscalers"),
            allow(write, "batch", "cronjobs jobs"),
            allow(
                write, "extensions",
                "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
                    + "replicasets/scale replicationcontrollers/scale"), allow(write, "policy", "poddisruptionbudgets"),
            allow(write, "networking.k8s.io", "ingresses networkpolicies"),
            allow("\(read) \(write)", "coordination.k8s.io", "leases"),
            allow(write, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
        ]
    }
}
