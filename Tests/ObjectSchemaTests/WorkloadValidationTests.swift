import ObjectSchema
import Objects
import XCTest

final class WorkloadValidationTests: XCTestCase {
    private static func workload(_ kind: String, _ more: JSONObject = [:]) -> JSON {
        var spec: JSONObject = [
            "selector": ["matchLabels": ["a": "b"]],
            "template": ["metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i:1"]]]],
        ]
        for (key, value) in more { spec[key] = value }
        return ["apiVersion": "apps/v1", "kind": .string(kind), "metadata": ["name": "w"], "spec": .object(spec)]
    }

    private func spec(_ text: String) -> String { #"{"spec":{\#(text)}}"# }
    private static let mismatch =
        #"spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`"#
    private static let nothing = [
        "spec.selector: Required value",
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        "spec.template.spec.containers: Required value",
    ]

    func testSelectorsAndPods() throws {
        for (kind, pods, owner) in [
            ("Deployment", "ReplicaSet", "deployment"), ("ReplicaSet", "ReplicaSet", "deployment"),
            ("StatefulSet", "StatefulSet", "statefulset"), ("DaemonSet", "DaemonSet", "daemonset"),
        ] {
            let isDaemon = kind == "DaemonSet"
            let missing = isDaemon ? [] : ["spec.selector: Required value"]
            try ValidationCases.check(
                Self.workload(kind),
                [
                    ("{}", []),
                    (#"{"spec":null}"#, isDaemon ? Array(Self.nothing.dropFirst()) : Self.nothing),
                    (spec(#""selector":null"#), missing + [Self.mismatch]),
                    (
                        spec(#""selector":{"matchLabels":null}"#),
                        ["spec.selector: Invalid value: {}: empty selector is invalid for \(owner)"]
                    ), (spec(#""selector":{"matchLabels":{"a":"c"}}"#), [Self.mismatch]),
                    (
                        spec(#""template":{"spec":{"restartPolicy":"Never","activeDeadlineSeconds":1}}"#),
                        [
                            #"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
                            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in \(pods) is not Supported",
                        ]
                    ),
                    (
                        spec(#""minReadySeconds":-1"#),
                        ["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"]
                    ),
                    (
                        spec(#""template":{"spec":{"containers":[{"name":"c"}]}}"#),
                        ["spec.template.spec.containers[0].image: Required value"]
                    ),
                ])
        }
    }

    func testDeployments() throws {
        let path = "spec.strategy.rollingUpdate"
        func update(_ text: String) -> String { spec(#""strategy":{"rollingUpdate":{\#(text)}}"#) }
        try ValidationCases.check(
            Self.workload("Deployment"),
            [
                (
                    update(#""maxUnavailable":0,"maxSurge":"0%""#),
                    ["\(path).maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]
                ),
                (
                    update(#""maxUnavailable":"120%""#),
                    [#"\#(path).maxUnavailable: Invalid value: "120%": must not be greater than 100%"#]
                ), (update(#""maxSurge":"120%""#), []),
                (
                    update(#""maxSurge":-1"#),
                    ["\(path).maxSurge: Invalid value: -1: must be greater than or equal to 0"]
                ),
                (
                    spec(#""strategy":{"type":"Recreate","rollingUpdate":{}}"#),
                    ["\(path): Forbidden: may not be specified when strategy `type` is 'Recreate'"]
                ),
                (
                    spec(#""strategy":{"type":"Blue"}"#),
                    [
                        #"spec.strategy: Unsupported value: {"Type":"Blue","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate""#
                    ]
                ),
                (
                    spec(#""progressDeadlineSeconds":10,"minReadySeconds":10"#),
                    ["spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds"]
                ),
                (
                    spec(#""replicas":-1,"revisionHistoryLimit":-1"#),
                    [
                        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                        "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
                    ]
                ),
            ])
    }

    func testStatefulSets() throws {
        let set = Self.workload("StatefulSet", ["serviceName": "s"])
        let path = "spec.updateStrategy"
        try ValidationCases.check(
            set,
            [
                ("{}", []), (spec(#""serviceName":"""#), []), (spec(#""serviceName":"1a""#), []),
                (
                    spec(#""podManagementPolicy":"Any""#),
                    [
                        #"spec.podManagementPolicy: Invalid value: "Any": must be 'OrderedReady' or 'Parallel'"#
                    ]
                ),
                (
                    spec(#""updateStrategy":{"type":"OnDelete","rollingUpdate":{"partition":1}}"#),
                    [
                        #"\#(path).rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy 'RollingUpdate'"#
                    ]
                ),
                (
                    spec(#""updateStrategy":{"type":"Now"}"#),
                    [
                        #"\#(path): Invalid value: {"Type":"Now","RollingUpdate":null}: must be 'RollingUpdate' or 'OnDelete'"#
                    ]
                ),
                (
                    spec(#""updateStrategy":{"rollingUpdate":{"partition":-1,"maxUnavailable":0}}"#),
                    [
                        "\(path).rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                        "\(path).rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
                    ]
                ),
                (
                    spec(#""persistentVolumeClaimRetentionPolicy":{"whenScaled":"Keep"}"#),
                    [
                        #"spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete""#
                    ]
                ),
                (
                    spec(#""ordinals":{"start":-1}"#),
                    ["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"]
                ),
            ])
        let (dotted, node) = try ValidationCases.object(set, #"{"metadata":{"name":"a.b"},"spec":{"serviceName":"A"}}"#)
        XCTAssertEqual(
            Schema.shared.validate(dotted, as: node).map(\.path), ["metadata.name", "spec.serviceName"],
            "names of pods are labels")
        let changed = try MergePatch.apply(["spec": ["replicas": 2]], to: dotted)
        XCTAssertEqual(
            Schema.shared.validateUpdate(from: dotted, to: changed, as: node).map(\.path), ["metadata.name"])
        try ValidationCases.checkUpdates(
            set,
            [
                (spec(#""replicas":2,"minReadySeconds":1,"ordinals":{"start":1},"revisionHistoryLimit":1"#), []),
                (
                    spec(#""serviceName":"t""#),
                    [
                        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
                    ]
                ),
            ])
    }

    func testDaemonSets() throws {
        let path = "spec.updateStrategy.rollingUpdate"
        func update(_ text: String) -> String { spec(#""updateStrategy":{"rollingUpdate":{\#(text)}}"#) }
        try ValidationCases.check(
            Self.workload("DaemonSet"),
            [
                (update(#""maxUnavailable":0,"maxSurge":1"#), []),
                (
                    update(#""maxUnavailable":0"#),
                    ["\(path).maxUnavailable: Required value: cannot be 0 when maxSurge is 0"]
                ),
                (
                    update(#""maxSurge":"10%""#),
                    [
                        #"\#(path).maxSurge: Invalid value: "10%": may not be set when maxUnavailable is non-zero"#
                    ]
                ), (spec(#""updateStrategy":{"type":"OnDelete","rollingUpdate":{"maxUnavailable":-1}}"#), []),
                (
                    spec(#""updateStrategy":{"type":"Now"}"#),
                    [
                        #"spec.updateStrategy: Unsupported value: {"Type":"Now","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete""#
                    ]
                ),
            ])
    }

    func testStatuses() throws {
        func status(_ text: String) -> String { #"{"status":{\#(text)}}"# }
        let beyond = "cannot be greater than status.replicas"
        try ValidationCases.checkStatuses(
            Self.workload("Deployment"),
            [
                (status(#""replicas":2,"updatedReplicas":2,"readyReplicas":1,"availableReplicas":1"#), []),
                (
                    status(#""replicas":1,"updatedReplicas":2,"availableReplicas":1,"collisionCount":-1"#),
                    [
                        "status.collisionCount: Invalid value: -1: must be greater than or equal to 0",
                        "status.updatedReplicas: Invalid value: 2: \(beyond)",
                        "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
                    ]
                ),
            ])
        var collided = Self.workload("StatefulSet")
        collided["status"] = ["replicas": 1, "collisionCount": 2]
        try ValidationCases.checkStatuses(
            collided,
            [
                (
                    status(#""collisionCount":1,"availableReplicas":1"#),
                    [
                        "status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas",
                        "status.collisionCount: Invalid value: 1: cannot be decremented",
                    ]
                ),
                (status(#""currentReplicas":2"#), ["status.currentReplicas: Invalid value: 2: \(beyond)"]),
            ])
        try ValidationCases.checkStatuses(
            Self.workload("DaemonSet"),
            [
                (
                    status(#""numberReady":-1"#),
                    ["status.numberReady: Invalid value: -1: must be greater than or equal to 0"]
                )
            ])
        try ValidationCases.checkStatuses(
            Self.workload("ReplicaSet"),
            [
                (
                    status(#""fullyLabeledReplicas":1"#),
                    ["status.fullyLabeledReplicas: Invalid value: 1: \(beyond)"]
                )
            ])
    }

    func testDisruptionBudgets() throws {
        let budget: JSON = [
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": ["name": "Any_Name"],
            "spec": ["minAvailable": 1, "selector": ["matchLabels": ["a": "b"]]],
        ]
        try ValidationCases.check(
            budget,
            [
                ("{}", []),
                (
                    spec(#""maxUnavailable":1,"selector":null"#),
                    [
                        #"spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set"#
                    ]
                ),
                (
                    spec(#""minAvailable":"120%""#),
                    [#"spec.minAvailable: Invalid value: "120%": must not be greater than 100%"#]
                ),
                (
                    spec(#""unhealthyPodEvictionPolicy":"Never""#),
                    [
                        #"spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget""#
                    ]
                ),
            ])
    }
}
