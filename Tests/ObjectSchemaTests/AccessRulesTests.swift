import ObjectSchema
import Objects
import XCTest

/// Of roles, priorities and storage.
final class AccessRulesTests: XCTestCase {
    private static let group = "rbac.authorization.k8s.io"

    private func role(_ kind: String) -> JSON {
        [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind), "metadata": ["name": "a:b"],
            "rules": [["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]],
        ]
    }

    func testRoles() throws {
        let paths = #"{"rules":[{"verbs":["get"],"nonResourceURLs":["/x"]}]}"#
        let rest: [ValidationCases.Row] = [
            ("{}", []),
            (
                #"{"rules":[{}]}"#,
                [
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ]
            ),
        ]
        try ValidationCases.check(
            role("Role"),
            rest + [
                (
                    paths,
                    [
                        #"rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs"#
                    ]
                )
            ])
        try ValidationCases.check(
            role("ClusterRole"),
            rest + [
                (paths, []),
                (
                    #"{"rules":[{"verbs":["get"],"nonResourceURLs":["/x"],"resources":["pods"]}]}"#,
                    [
                        #"rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs"#
                    ]
                ),
                (
                    #"{"aggregationRule":{}}"#,
                    [
                        "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"
                    ]
                ),
                (
                    #"{"aggregationRule":{"clusterRoleSelectors":[{"matchExpressions":[{"key":"a","operator":"In"}]}]}}"#,
                    [
                        "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
                    ]
                ),
            ])
    }

    func testBindings() throws {
        func binding(_ kind: String) -> JSON {
            [
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind), "metadata": ["name": "b"],
                "roleRef": ["kind": "ClusterRole", "name": "r"],
                "subjects": [["kind": "ServiceAccount", "name": "s", "namespace": "n"]],
            ]
        }
        let other = #"{"roleRef":{"kind":"Role"}}"#
        let rows: [ValidationCases.Row] = [
            (
                #"{"roleRef":{"apiGroup":"x","name":"a/b"}}"#,
                [
                    #"roleRef.apiGroup: Unsupported value: "x": supported values: "\#(Self.group)""#,
                    #"roleRef.name: Invalid value: "a/b": may not contain '/'"#,
                ]
            ),
            (
                #"{"subjects":[{"kind":"Robot","name":""}]}"#,
                [
                    #"subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group""#,
                    "subjects[0].name: Required value",
                ]
            ),
            (
                #"{"subjects":[{"kind":"User","name":"u","apiGroup":"x"}]}"#,
                [#"subjects[0].apiGroup: Unsupported value: "x": supported values: "\#(Self.group)""#]
            ),
            (
                #"{"subjects":[{"kind":"ServiceAccount","name":"s","namespace":"n","apiGroup":"x"}]}"#,
                [#"subjects[0].apiGroup: Unsupported value: "x": supported values: """#]
            ),
        ]
        let nowhere = #"{"subjects":[{"kind":"ServiceAccount","name":"s"}]}"#
        try ValidationCases.check(binding("RoleBinding"), [("{}", []), (nowhere, []), (other, [])] + rows)
        try ValidationCases.check(
            binding("ClusterRoleBinding"),
            [
                ("{}", []),
                (
                    #"{"subjects":[{"kind":"ServiceAccount","name":"s"}]}"#,
                    ["subjects[0].namespace: Required value"]
                ),
                (
                    #"{"roleRef":{"kind":"Role"},"subjects":null}"#,
                    [#"roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole""#]
                ),
            ] + rows)
    }

    func testPriorityClasses() throws {
        func reserved(_ why: String) -> String {
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: \(why)"
        }
        let priority: JSON = [
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": ["name": "p"], "value": 10,
        ]
        try ValidationCases.check(
            priority,
            [
                ("{}", []), (#"{"value":1000000000}"#, []),
                (
                    #"{"value":1000000001}"#,
                    ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
                ),
                (#"{"metadata":{"name":"system-node-critical"},"value":2000001000}"#, []),
                (
                    #"{"metadata":{"name":"system-node-critical"}}"#,
                    [reserved("value of system-node-critical PriorityClass must be 2000001000")]
                ),
                (
                    #"{"metadata":{"name":"system-x"}}"#,
                    [reserved("system-x is not a known system priority class")]
                ),
                (
                    #"{"preemptionPolicy":"Often"}"#,
                    [
                        #"preemptionPolicy: Unsupported value: "Often": supported values: "PreemptLowerPriority", "Never""#
                    ]
                ),
            ])
        try ValidationCases.checkUpdates(
            priority,
            [
                (#"{"description":"d"}"#, []),
                (#"{"value":11}"#, ["value: Forbidden: may not be changed in an update."]),
                (
                    #"{"preemptionPolicy":"Never"}"#,
                    [#"preemptionPolicy: Invalid value: "Never": field is immutable"#]
                ),
            ])
    }

    // MARK: - Storage

    func testStorageClasses() throws {
        let storage: JSON = [
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": ["name": "s"],
            "provisioner": "a.b/c",
        ]
        func term(_ text: String) -> String { #"{"allowedTopologies":[{"matchLabelExpressions":[\#(text)]}]}"# }
        let path = "allowedTopologies[0].matchLabelExpressions"
        try ValidationCases.check(
            storage,
            [
                ("{}", []), (term(#"{"key":"zone","values":["a"]}"#), []),
                (
                    #"{"reclaimPolicy":"Recycle"}"#,
                    [#"reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain""#]
                ),
                (term(#"{"key":"zone"}"#), ["\(path)[0].values: Required value"]),
                (
                    term(#"{"key":"zone","values":["a","a"]},{"key":"zone","values":["b"]}"#),
                    [
                        #"\#(path)[0].values[1]: Duplicate value: "a""#, #"\#(path)[1].key: Duplicate value: "zone""#,
                    ]
                ),
                (
                    #"{"allowedTopologies":[{"matchLabelExpressions":[{"key":"z","values":["a","b"]}]},{"matchLabelExpressions":[{"key":"z","values":["b","a"]}]}]}"#,
                    [#"allowedTopologies[1].matchLabelExpressions: Duplicate value: """#]
                ),
                (#"{"parameters":{"":"x"}}"#, [#"parameters: Invalid value: "": field can not be empty."#]),
                (
                    #"{"provisioner":"a b"}"#,
                    [
                        #"provisioner: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#
                    ]
                ),
            ])
        try ValidationCases.checkUpdates(
            storage,
            [
                (#"{"provisioner":"x.y/z"}"#, ["provisioner: Forbidden: updates to provisioner are forbidden."]),
                (#"{"parameters":{"a":"b"}}"#, ["parameters: Forbidden: updates to parameters are forbidden."]),
                (#"{"reclaimPolicy":"Retain"}"#, ["reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden."]),
                (
                    #"{"volumeBindingMode":"WaitForFirstConsumer"}"#,
                    [#"volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable"#]
                ),
            ])
    }

    func testDrivers() throws {
        let driver: JSON = [
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": ["name": "d"], "spec": [:],
        ]
        let path = "spec.tokenRequests"
        try ValidationCases.check(
            driver,
            [
                ("{}", []),
                (
                    #"{"spec":{"volumeLifecycleModes":["Some"],"nodeAllocatableUpdatePeriodSeconds":9}}"#,
                    [
                        "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
                        #"spec.volumeLifecycleModes: Unsupported value: "Some": supported values: "Persistent", "Ephemeral""#,
                    ]
                ),
                (
                    #"{"spec":{"tokenRequests":[{"audience":""},{"audience":""},{"audience":"a","expirationSeconds":1}]}}"#,
                    [
                        #"\#(path)[1].audience: Duplicate value: """#,
                        "\(path)[2].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
                    ]
                ),
            ])
        try ValidationCases.checkUpdates(
            driver,
            [
                (
                    #"{"spec":{"attachRequired":false}}"#,
                    ["spec.attachedRequired: Invalid value: false: field is immutable"]
                ), (#"{"spec":{"requiresRepublish":true}}"#, []),
            ])
        let node: JSON = [
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": ["name": "n"],
            "spec": ["drivers": [["name": "d", "nodeID": "n", "allocatable": ["count": 1]]]],
        ]
        try ValidationCases.check(
            node,
            [
                (
                    #"{"spec":{"drivers":[{"name":"D","nodeID":"","topologyKeys":["a","a"]},{"name":"D","nodeID":"n"}]}}"#,
                    [
                        "spec.drivers[0].nodeID: Required value", #"spec.drivers[0]: Duplicate value: "a""#,
                        #"spec.drivers[1].name: Duplicate value: "D""#,
                    ]
                )
            ])
        try ValidationCases.checkUpdates(
            node,
            [
                (#"{"spec":{"drivers":[{"name":"d","nodeID":"n","allocatable":{"count":2}}]}}"#, []),
                (
                    #"{"spec":{"drivers":[{"name":"d","nodeID":"m"}]}}"#,
                    [#"spec.drivers: Invalid value: {"name":"d","nodeID":"m"}: field is immutable"#]
                ),
            ])
    }

    func testAttachments() throws {
        let attachment: JSON = [
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": ["name": "a"],
            "spec": ["attacher": "d", "nodeName": "n", "source": ["persistentVolumeName": "v"]],
        ]
        let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        let long = String(repeating: "d", count: 64)
        try ValidationCases.check(
            attachment,
            [
                ("{}", []),
                (
                    #"{"spec":{"source":{"persistentVolumeName":null}}}"#, ["spec.source: Required value: \(detail)"]
                ),
                (
                    #"{"spec":{"attacher":"\#(long)"}}"#,
                    ["spec.attacher: Too long: may not be more than 63 bytes"]
                ),
            ])
        let (nameless, node) = try ValidationCases.object(attachment, #"{"spec":{"nodeName":""}}"#)
        XCTAssertEqual(Schema.shared.validate(nameless, as: node).map(\.path), ["spec.nodeName"])
    }
}
