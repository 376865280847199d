import Objects

/// A small valid object of every kind that is stored, without its metadata.
enum ResourceSamples {
    private static let template: JSON = [
        "metadata": ["labels": ["app": "life"]], "spec": ["containers": [["name": "c", "image": "i:1"]]],
    ]
    private static let jobTemplate: JSON = [
        "metadata": ["labels": ["app": "life"]],
        "spec": ["restartPolicy": "Never", "containers": [["name": "c", "image": "i:1"]]],
    ]
    private static let selector: JSON = ["matchLabels": ["app": "life"]]
    private static let roleRules: JSON = [["apiGroups": [""], "resources": ["pods"], "verbs": ["get"]]]
    private static let hook: JSON = [
        "name": "life.example.com", "clientConfig": ["url": "https://127.0.0.1:9/"], "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [
            [
                "apiGroups": ["life.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["x"],
            ]
        ],
    ]
    private static let constraints: JSON = [
        "resourceRules": [
            [
                "apiGroups": ["life.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["x"],
            ]
        ]
    ]
    private static let claim: JSON = [
        "devices": [
            "requests": [
                [
                    "name": "r",
                    "exactly": [
                        "deviceClassName": "life", "allocationMode": "ExactCount", "count": 1,
                        "selectors": [["cel": ["expression": "device.driver == 'life.example.com'"]]],
                    ],
                ]
            ]
        ]
    ]

    /// Names that are not "life".
    static let names = [
        "apiservices.apiregistration.k8s.io": "v1.life.example.com",
        "customresourcedefinitions.apiextensions.k8s.io": "lives.life.example.com",
        "ipaddresses.networking.k8s.io": "10.96.200.200",
    ]

    /// By "plural.group".
    static let objects: [String: JSON] = core.merging(workloads) { $1 }.merging(cluster) { $1 }
        .merging(extending) { $1 }

    private static let core: [String: JSON] = [
        "configmaps": ["data": ["k": "v"]],
        "endpoints": ["subsets": [["addresses": [["ip": "10.1.2.3"]], "ports": [["port": 80]]]]],
        "events": [
            "involvedObject": ["kind": "Pod", "name": "p", "namespace": "default"], "reason": "Life",
            "message": "lives", "type": "Normal", "count": 1, "source": ["component": "test"],
        ],
        "events.events.k8s.io": [
            "regarding": ["kind": "Pod", "name": "p", "namespace": "default"], "reason": "Life", "note": "lives",
            "type": "Normal", "action": "Lived", "reportingController": "test", "reportingInstance": "test-1",
            "eventTime": "2026-01-02T03:04:05.000006Z",
        ],
        "limitranges": ["spec": ["limits": [["type": "Container", "default": ["cpu": "1"]]]]],
        "namespaces": [:], "nodes": [:],
        "persistentvolumeclaims": [
            "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]]
        ],
        "persistentvolumes": [
            "spec": [
                "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/tmp/life"],
            ]
        ],
        "pods": ["spec": ["containers": [["name": "c", "image": "i:1"]]]],
        "podtemplates": ["template": template],
        "replicationcontrollers": ["spec": ["replicas": 0, "selector": ["app": "life"], "template": template]],
        "resourcequotas": ["spec": ["hard": ["pods": "5"]]], "secrets": ["stringData": ["k": "v"]],
        "serviceaccounts": [:], "services": ["spec": ["ports": [["port": 80]]]],
    ]

    private static let workloads: [String: JSON] = [
        "controllerrevisions.apps": ["revision": 1, "data": ["k": "v"]],
        "daemonsets.apps": ["spec": ["selector": selector, "template": template]],
        "deployments.apps": ["spec": ["replicas": 0, "selector": selector, "template": template]],
        "replicasets.apps": ["spec": ["replicas": 0, "selector": selector, "template": template]],
        "statefulsets.apps": [
            "spec": ["replicas": 0, "selector": selector, "template": template, "serviceName": "life"]
        ],
        "horizontalpodautoscalers.autoscaling": [
            "spec": [
                "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "life"], "maxReplicas": 2,
            ]
        ],
        "cronjobs.batch": [
            "spec": ["schedule": "0 0 1 1 *", "jobTemplate": ["spec": ["template": jobTemplate]]]
        ],
        "jobs.batch": ["spec": ["template": jobTemplate]],
        "poddisruptionbudgets.policy": ["spec": ["minAvailable": 1, "selector": selector]],
        "leases.coordination.k8s.io": [
            "spec": ["holderIdentity": "me", "leaseDurationSeconds": 30, "renewTime": "2026-01-02T03:04:05.000006Z"]
        ],
        "endpointslices.discovery.k8s.io": [
            "addressType": "IPv4", "endpoints": [["addresses": ["10.1.2.3"]]], "ports": [["name": "http", "port": 80]],
        ],
        "resourceclaims.resource.k8s.io": ["spec": claim],
        "resourceclaimtemplates.resource.k8s.io": ["spec": ["spec": claim]],
    ]

    private static let cluster: [String: JSON] = [
        "ingressclasses.networking.k8s.io": ["spec": ["controller": "example.com/life"]],
        "ingresses.networking.k8s.io": [
            "spec": ["defaultBackend": ["service": ["name": "life", "port": ["number": 80]]]]
        ],
        "ipaddresses.networking.k8s.io": [
            "spec": ["parentRef": ["resource": "services", "namespace": "default", "name": "life"]]
        ],
        "networkpolicies.networking.k8s.io": ["spec": ["podSelector": [:]]],
        "servicecidrs.networking.k8s.io": ["spec": ["cidrs": ["10.77.0.0/24"]]],
        "clusterrolebindings.rbac.authorization.k8s.io": [
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"],
            "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "life"]],
        ],
        "clusterroles.rbac.authorization.k8s.io": ["rules": roleRules],
        "rolebindings.rbac.authorization.k8s.io": [
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"],
            "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "life"]],
        ],
        "roles.rbac.authorization.k8s.io": ["rules": roleRules],
        "csidrivers.storage.k8s.io": ["spec": ["attachRequired": false]],
        "csinodes.storage.k8s.io": ["spec": ["drivers": [["name": "life.example.com", "nodeID": "n"]]]],
        "csistoragecapacities.storage.k8s.io": ["storageClassName": "life", "capacity": "1Gi"],
        "storageclasses.storage.k8s.io": ["provisioner": "example.com/life"],
        "volumeattachments.storage.k8s.io": [
            "spec": ["attacher": "life.example.com", "nodeName": "n", "source": ["persistentVolumeName": "life"]]
        ],
        "volumeattributesclasses.storage.k8s.io": ["driverName": "life.example.com", "parameters": ["k": "v"]],
        "priorityclasses.scheduling.k8s.io": ["value": 5], "runtimeclasses.node.k8s.io": ["handler": "life"],
        "deviceclasses.resource.k8s.io": [
            "spec": ["selectors": [["cel": ["expression": "device.driver == 'life.example.com'"]]]]
        ],
        "resourceslices.resource.k8s.io": [
            "spec": [
                "driver": "life.example.com", "nodeName": "n",
                "pool": ["name": "n", "generation": 1, "resourceSliceCount": 1],
                "devices": [["name": "d", "attributes": ["model": ["string": "m"]]]],
            ]
        ],
        "flowschemas.flowcontrol.apiserver.k8s.io": [
            "spec": [
                "matchingPrecedence": 9000, "priorityLevelConfiguration": ["name": "exempt"],
                "rules": [
                    [
                        "subjects": [["kind": "User", "user": ["name": "life"]]],
                        "nonResourceRules": [["verbs": ["get"], "nonResourceURLs": ["/life"]]],
                    ]
                ],
            ]
        ],
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": [
            "spec": ["type": "Limited", "limited": ["limitResponse": ["type": "Reject"]]]
        ],
    ]

    private static let extending: [String: JSON] = [
        "apiservices.apiregistration.k8s.io": [
            "spec": [
                "group": "life.example.com", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 10,
                "insecureSkipTLSVerify": true, "service": ["namespace": "default", "name": "life", "port": 443],
            ]
        ],
        "certificatesigningrequests.certificates.k8s.io": [
            "spec": ["signerName": "example.com/life", "usages": ["client auth"]]
        ],
        "mutatingadmissionpolicies.admissionregistration.k8s.io": [
            "spec": [
                "reinvocationPolicy": "Never", "matchConstraints": constraints,
                "mutations": [
                    [
                        "patchType": "JSONPatch",
                        "jsonPatch": ["expression": "[JSONPatch{op: 'add', path: '/x', value: 1}]"],
                    ]
                ],
            ]
        ],
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io": ["spec": ["policyName": "life"]],
        "mutatingwebhookconfigurations.admissionregistration.k8s.io": ["webhooks": [hook]],
        "validatingadmissionpolicies.admissionregistration.k8s.io": [
            "spec": ["matchConstraints": constraints, "validations": [["expression": "true"]]]
        ],
        "validatingadmissionpolicybindings.admissionregistration.k8s.io": [
            "spec": ["policyName": "life", "validationActions": ["Deny"]]
        ],
        "validatingwebhookconfigurations.admissionregistration.k8s.io": ["webhooks": [hook]],
        "customresourcedefinitions.apiextensions.k8s.io": [
            "spec": [
                "group": "life.example.com", "scope": "Cluster", "names": ["plural": "lives", "kind": "Life"],
                "versions": [
                    [
                        "name": "v1", "served": true, "storage": true,
                        "schema": ["openAPIV3Schema": ["type": "object"]],
                    ]
                ],
            ]
        ],
    ]
}
