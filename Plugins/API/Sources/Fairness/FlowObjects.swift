import Objects

/// The flow schemas and priority levels that every server has: two of each that are always as they are here, and a good
/// start for the rest. See https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#defaults.
enum FlowObjects {
    static let group = "flowcontrol.apiserver.k8s.io"
    /// Says of an object whether the server keeps its spec.
    static let annotation = "apf.kubernetes.io/autoupdate-spec"
    static let mandatory: Set = ["exempt", "catch-all"]

    static let mandatoryLevels: [JSON] = levels.filter { mandatory.contains($0.name) }
    static let catchAllSchema: JSON = schemas.first { $0.name == "catch-all" } ?? .null

    static let levels: [JSON] = [
        level("exempt", exempt: ["nominalConcurrencyShares": 0, "lendablePercent": 0]),
        level("catch-all", shares: 5, lendable: 0, response: ["type": "Reject"]),
        level("system", shares: 30, lendable: 33, response: queue(64, 6)),
        level("node-high", shares: 40, lendable: 25, response: queue(64, 6)),
        level("leader-election", shares: 10, lendable: 0, response: queue(16, 4)),
        level("workload-high", shares: 40, lendable: 50, response: queue(128, 6)),
        level("workload-low", shares: 100, lendable: 90, response: queue(128, 6)),
        level("global-default", shares: 20, lendable: 50, response: queue(128, 6)),
    ]

    private static func queue(_ queues: Int64, _ hand: Int64) -> JSON {
        [
            "type": "Queue",
            "queuing": ["queues": .integer(queues), "handSize": .integer(hand), "queueLengthLimit": 50],
        ]
    }

    private static func metadata(_ name: String) -> JSON {
        ["name": .string(name), "annotations": [annotation: "true"]]
    }

    private static func level(_ name: String, exempt: JSON) -> JSON {
        [
            "apiVersion": .string(group + "/v1"), "kind": "PriorityLevelConfiguration", "metadata": metadata(name),
            "spec": ["type": "Exempt", "exempt": exempt],
        ]
    }

    private static func level(_ name: String, shares: Int64, lendable: Int64, response: JSON) -> JSON {
        [
            "apiVersion": .string(group + "/v1"), "kind": "PriorityLevelConfiguration", "metadata": metadata(name),
            "spec": [
                "type": "Limited",
                "limited": [
                    "nominalConcurrencyShares": .integer(shares), "lendablePercent": .integer(lendable),
                    "limitResponse": response,
                ],
            ],
        ]
    }

    // MARK: - Schemas

    static let schemas: [JSON] = [
        schema(
            "exempt", 1, "exempt", by: nil, [rule([groupSubject("system:masters")], [everything], [everyPath])]),
        schema(
            "probes", 2, "exempt", by: nil,
            [
                rule(
                    [groupSubject("system:unauthenticated"), groupSubject("system:authenticated")], [],
                    [["verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]]])
            ]),
        schema(
            "system-leader-election", 100, "leader-election", by: "ByUser",
            [
                rule(
                    [
                        userSubject("system:kube-controller-manager"), userSubject("system:kube-scheduler"),
                        accountSubject("*"),
                    ], [leases])
            ]),
        schema(
            "endpoint-controller", 150, "workload-high", by: "ByUser",
            [
                rule(
                    [
                        userSubject("system:kube-controller-manager"), accountSubject("endpoint-controller"),
                        accountSubject("endpointslicemirroring-controller"),
                    ],
                    [
                        resources(["get", "create", "update"], [""], ["endpoints"]),
                        resources(
                            ["get", "create", "update"], ["discovery.k8s.io"], ["endpointslices"]),
                    ])
            ]),
        schema(
            "workload-leader-election", 200, "leader-election", by: "ByUser", [rule([accountSubject("*")], [leases])]),
        schema(
            "system-node-high", 400, "node-high", by: "ByUser",
            [
                rule(
                    [groupSubject("system:nodes")],
                    [
                        resources(["*"], [""], ["nodes", "nodes/status"], clusterScope: true),
                        resources(["*"], ["coordination.k8s.io"], ["leases"]),
                    ])
            ]),
        schema(
            "system-nodes", 500, "system", by: "ByUser",
            [rule([groupSubject("system:nodes")], [everything], [everyPath])]),
        schema(
            "kube-controller-manager", 800, "workload-high", by: "ByNamespace",
            [rule([userSubject("system:kube-controller-manager")], [everything], [everyPath])]),
        schema(
            "kube-scheduler", 800, "workload-high", by: "ByNamespace",
            [rule([userSubject("system:kube-scheduler")], [everything], [everyPath])]),
        schema(
            "kube-system-service-accounts", 900, "workload-high", by: "ByNamespace",
            [rule([accountSubject("*")], [everything], [everyPath])]),
        schema(
            "service-accounts", 9000, "workload-low", by: "ByUser",
            [rule([groupSubject("system:serviceaccounts")], [everything], [everyPath])]),
        schema("global-default", 9900, "global-default", by: "ByUser", [rule(everybody, [everything], [everyPath])]),
        schema("catch-all", 10000, "catch-all", by: "ByUser", [rule(everybody, [everything], [everyPath])]),
    ]

    private static let everybody = [groupSubject("system:unauthenticated"), groupSubject("system:authenticated")]
    private static let everything = resources(["*"], ["*"], ["*"], clusterScope: true)
    private static let everyPath: JSON = ["verbs": ["*"], "nonResourceURLs": ["*"]]
    private static let leases = resources(["get", "create", "update"], ["coordination.k8s.io"], ["leases"])

    private static func schema(
        _ name: String, _ precedence: Int64, _ level: String, by distinguisher: String?, _ rules: [JSON]
    ) -> JSON {
        var schema: JSON = [
            "apiVersion": .string(group + "/v1"), "kind": "FlowSchema", "metadata": metadata(name),
            "spec": [
                "matchingPrecedence": .integer(precedence), "priorityLevelConfiguration": ["name": .string(level)],
                "rules": .array(rules),
            ],
        ]
        if let distinguisher { schema["spec"]["distinguisherMethod"] = ["type": .string(distinguisher)] }
        return schema
    }

    private static func rule(_ subjects: [JSON], _ resources: [JSON], _ paths: [JSON] = []) -> JSON {
        var rule: JSON = ["subjects": .array(subjects)]
        if !resources.isEmpty { rule["resourceRules"] = .array(resources) }
        if !paths.isEmpty { rule["nonResourceRules"] = .array(paths) }
        return rule
    }

    private static func resources(
        _ verbs: [String], _ groups: [String], _ resources: [String], clusterScope: Bool = false
    ) -> JSON {
        func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
        var rule: JSON = [
            "verbs": strings(verbs), "apiGroups": strings(groups), "resources": strings(resources),
            "namespaces": ["*"],
        ]
        if clusterScope { rule["clusterScope"] = true }
        return rule
    }

    private static func userSubject(_ name: String) -> JSON { ["kind": "User", "user": ["name": .string(name)]] }
    private static func groupSubject(_ name: String) -> JSON { ["kind": "Group", "group": ["name": .string(name)]] }

    /// A service account of kube-system.
    private static func accountSubject(_ name: String) -> JSON {
        ["kind": "ServiceAccount", "serviceAccount": ["namespace": "kube-system", "name": .string(name)]]
    }
}
