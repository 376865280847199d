import Objects

/// Roles of Kubernetes' controllers, each for a service account of kube-system. This server's own controllers need none; who
/// runs those of Kubernetes beside it, or others under these accounts, finds them as they expect.
extension BootstrapPolicy {
    static let controllerPrefix = "system:controller:"

    static var controllerRoles: [JSON] { controllers.map { role(controllerPrefix + $0.name, $0.rules) } }

    static var controllerBindings: [JSON] {
        controllers.map { binding(controllerPrefix + $0.name, [.account($0.name)]) }
    }

    private typealias Controller = (name: String, rules: [JSON])

    private static var controllers: [Controller] { workloadControllers + otherControllers }

    private static var workloadControllers: [Controller] {
        [
            (
                "cronjob-controller",
                [
                    allow("get list update watch", "batch", "cronjobs"),
                    allow("create delete get list patch update watch", "batch", "jobs"),
                    allow("update", "batch", "cronjobs/status"),
                    allow("update", "batch", "cronjobs/finalizers"),
                    allow("delete list", "core", "pods"),
                    events,
                ]
            ),
            (
                "daemon-set-controller",
                [
                    allow("get list watch", "apps extensions", "daemonsets"),
                    allow("update", "apps extensions", "daemonsets/status"),
                    allow("update", "apps extensions", "daemonsets/finalizers"),
                    allow("list watch", "core", "nodes"),
                    allow("create delete list patch watch", "core", "pods"),
                    allow("create", "core", "pods/binding"),
                    allow("create delete get list patch update watch", "apps", "controllerrevisions"),
                    events,
                ]
            ),
            (
                "deployment-controller",
                [
                    allow("get list update watch", "apps extensions", "deployments"),
                    allow("update", "apps extensions", "deployments/status"),
                    allow("update", "apps extensions", "deployments/finalizers"),
                    allow("create delete get list patch update watch", "apps extensions", "replicasets"),
                    allow("get list update watch", "core", "pods"),
                    events,
                ]
            ),
            (
                "disruption-controller",
                [
                    allow("get list watch", "apps extensions", "deployments"),
                    allow("get list watch", "apps extensions", "replicasets"),
                    allow("get list watch", "core", "replicationcontrollers"),
                    allow("get list watch", "policy", "poddisruptionbudgets"),
                    allow("get list watch", "apps", "statefulsets"),
                    allow("update", "policy", "poddisruptionbudgets/status"),
                    allow("get", "*", "*/scale"),
                    allow("patch", "core", "pods/status"),
                    events,
                ]
            ),
            (
                "endpoint-controller",
                [
                    allow("get list watch", "core", "pods services"),
                    allow("create delete get list update", "core", "endpoints"),
                    allow("create", "core", "endpoints/restricted"),
                    events,
                ]
            ),
            (
                "endpointslice-controller",
                [
                    allow("get list watch", "core", "nodes pods services"),
                    allow("update", "core", "services/finalizers"),
                    allow("create delete get list update", "discovery.k8s.io", "endpointslices"),
                    allow("create", "discovery.k8s.io", "endpointslices/restricted"),
                    events,
                ]
            ),
            (
                "endpointslicemirroring-controller",
                [
                    allow("get list watch", "core", "endpoints services"),
                    allow("update", "core", "endpoints/finalizers services/finalizers"),
                    allow("create delete get list update", "discovery.k8s.io", "endpointslices"),
                    allow("create", "discovery.k8s.io", "endpointslices/restricted"),
                    events,
                ]
            ),
            (
                "horizontal-pod-autoscaler",
                [
                    allow("get list watch", "autoscaling", "horizontalpodautoscalers"),
                    allow("update", "autoscaling", "horizontalpodautoscalers/status"),
                    allow("get update", "*", "*/scale"),
                    allow("list", "core", "pods"),
                    allow("list", "metrics.k8s.io", "pods"),
                    allow("get list", "custom.metrics.k8s.io", "*"),
                    allow("get list", "external.metrics.k8s.io", "*"),
                    events,
                ]
            ),
            (
                "job-controller",
                [
                    allow("get list patch update watch", "batch", "jobs"),
                    allow("update", "batch", "jobs/status"),
                    allow("update", "batch", "jobs/finalizers"),
                    allow("create delete list patch watch", "core", "pods"),
                    events,
                ]
            ),
            (
                "pod-garbage-collector",
                [
                    allow("delete list watch", "core", "pods"),
                    allow("get list", "core", "nodes"),
                    allow("patch", "core", "pods/status"),
                ]
            ),
            (
                "replicaset-controller",
                [
                    allow("get list update watch", "apps extensions", "replicasets"),
                    allow("update", "apps extensions", "replicasets/status"),
                    allow("update", "apps extensions", "replicasets/finalizers"),
                    allow("create delete list patch watch", "core", "pods"),
                    events,
                ]
            ),
            (
                "replication-controller",
                [
                    allow("get list update watch", "core", "replicationcontrollers"),
                    allow("update", "core", "replicationcontrollers/status"),
                    allow("update", "core", "replicationcontrollers/finalizers"),
                    allow("create delete list patch watch", "core", "pods"),
                    events,
                ]
            ),
            (
                "statefulset-controller",
                [
                    allow("list watch", "core", "pods"),
                    allow("get list watch", "apps", "statefulsets"),
                    allow("update", "apps", "statefulsets/status"),
                    allow("update", "apps", "statefulsets/finalizers"),
                    allow("create delete get patch update", "core", "pods"),
                    allow("create delete get list patch update watch", "apps", "controllerrevisions"),
                    allow("create delete get list update watch", "core", "persistentvolumeclaims"),
                    events,
                ]
            ),
            (
                "taint-eviction-controller",
                [
                    allow("get list watch", "core", "nodes"),
                    allow("delete get list watch", "core", "pods"),
                    allow("patch update", "core", "pods/status"),
                    events,
                ]
            ),
            (
                "ttl-after-finished-controller",
                [
                    allow("delete get list watch", "batch", "jobs"),
                    events,
                ]
            ),
        ]
    }

    private static var otherControllers: [Controller] {
        [
            (
                "attachdetach-controller",
                [
                    allow("list watch", "core", "persistentvolumeclaims persistentvolumes"),
                    allow("get list watch", "core", "nodes"),
                    allow("list watch", "core", "pods"),
                    allow("create delete get list watch", "storage.k8s.io", "volumeattachments"),
                    allow("patch update", "core", "nodes/status"),
                    allow("get list watch", "storage.k8s.io", "csidrivers csinodes"),
                    events,
                ]
            ),
            (
                "clusterrole-aggregation-controller",
                [
                    allow("escalate get list patch update watch", "rbac.authorization.k8s.io", "clusterroles")
                ]
            ),
            (
                "ephemeral-volume-controller",
                [
                    allow("update", "core", "pods/finalizers"),
                    allow("get list watch", "core", "pods"),
                    allow("create get list watch", "core", "persistentvolumeclaims"),
                    events,
                ]
            ),
            (
                "expand-controller",
                [
                    allow("get list patch update watch", "core", "persistentvolumes"),
                    allow("patch update", "core", "persistentvolumeclaims/status"),
                    allow("get list watch", "core", "persistentvolumeclaims"),
                    allow("get list watch", "storage.k8s.io", "storageclasses"),
                    allow("get", "core", "endpoints services"),
                    allow("get", "core", "secrets"),
                    events,
                ]
            ),
            (
                "generic-garbage-collector",
                [
                    allow("delete get list patch update watch", "*", "*"),
                    events,
                ]
            ),
            (
                "namespace-controller",
                [
                    allow("delete get list watch", "core", "namespaces"),
                    allow("update", "core", "namespaces/finalize namespaces/status"),
                    allow("delete deletecollection get list", "*", "*"),
                ]
            ),
            (
                "node-controller",
                [
                    allow("delete get list patch update", "core", "nodes"),
                    allow("patch update", "core", "nodes/status"),
                    allow("patch update", "core", "pods/status"),
                    allow("delete get list watch", "core", "pods"),
                    events,
                ]
            ),
            (
                "persistent-volume-binder",
                [
                    allow("create delete get list update watch", "core", "persistentvolumes"),
                    allow("update", "core", "persistentvolumes/status"),
                    allow("get list update watch", "core", "persistentvolumeclaims"),
                    allow("update", "core", "persistentvolumeclaims/status"),
                    allow("create delete get list watch", "core", "pods"),
                    allow("get list watch", "storage.k8s.io", "storageclasses"),
                    allow("create delete get update", "core", "endpoints services"),
                    allow("get list", "core", "secrets"),
                    allow("get list watch", "core", "nodes"),
                    allow("watch", "core", "events"),
                    events,
                ]
            ),
            (
                "resource-claim-controller",
                [
                    allow("get list watch", "core", "pods"),
                    allow("update", "core", "pods/finalizers"),
                    allow("create delete get list watch", "resource.k8s.io", "resourceclaims"),
                    allow("get list watch", "resource.k8s.io", "resourceclaimtemplates"),
                    allow("patch update", "resource.k8s.io", "resourceclaims/status"),
                    allow("patch update", "resource.k8s.io", "resourceclaims/binding"),
                    allow("patch update", "core", "pods/status"),
                    events,
                ]
            ),
            (
                "resourcequota-controller",
                [
                    allow("list watch", "*", "*"),
                    allow("update", "core", "resourcequotas/status"),
                    events,
                ]
            ),
            (
                "route-controller",
                [
                    allow("list watch", "core", "nodes"),
                    allow("patch", "core", "nodes/status"),
                    events,
                ]
            ),
            (
                "service-account-controller",
                [
                    allow("create", "core", "serviceaccounts"),
                    events,
                ]
            ),
            (
                "service-controller",
                [
                    allow("list watch", "core", "services"),
                    allow("patch update", "core", "services/status"),
                    allow("list watch", "core", "nodes"),
                    events,
                ]
            ),
            (
                "service-cidrs-controller",
                [
                    allow("get list patch update watch", "networking.k8s.io", "servicecidrs"),
                    allow("patch update", "networking.k8s.io", "servicecidrs/finalizers"),
                    allow("patch update", "networking.k8s.io", "servicecidrs/status"),
                    allow("get list watch", "networking.k8s.io", "ipaddresses"),
                    events,
                ]
            ),
            (
                "ttl-controller",
                [
                    allow("list patch update watch", "core", "nodes"),
                    events,
                ]
            ),
            (
                "certificate-controller",
                [
                    allow("delete get list watch", "certificates.k8s.io", "certificatesigningrequests"),
                    allow(
                        "update", "certificates.k8s.io",
                        "certificatesigningrequests/approval certificatesigningrequests/status"),
                    allow(
                        "approve", "certificates.k8s.io", "signers",
                        names: "kubernetes.io/kube-apiserver-client-kubelet"),
                    allow(
                        "sign", "certificates.k8s.io", "signers",
                        names:
                            "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown"
                    ),
                    allow("create", "authorization.k8s.io", "subjectaccessreviews"),
                    events,
                ]
            ),
            (
                "pvc-protection-controller",
                [
                    allow("get list update watch", "core", "persistentvolumeclaims"),
                    allow("get list watch", "core", "pods"),
                    events,
                ]
            ),
            (
                "pv-protection-controller",
                [
                    allow("get list update watch", "core", "persistentvolumes"),
                    events,
                ]
            ),
            (
                "root-ca-cert-publisher",
                [
                    allow("create update", "core", "configmaps"),
                    events,
                ]
            ),
            (
                "legacy-service-account-token-cleaner",
                [
                    allow("get", "core", "configmaps", names: "kube-apiserver-legacy-service-account-token-tracking"),
                    allow("delete patch", "core", "secrets"),
                ]
            ),
            (
                "validatingadmissionpolicy-status-controller",
                [
                    allow("get list watch", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
                    allow("get patch update", "admissionregistration.k8s.io", "validatingadmissionpolicies/status"),
                    events,
                ]
            ),
        ]
    }
}
