import Objects
import XCTest

@testable import Controllers

final class AutoscalerPlanTests: XCTestCase {
    private let now = Timestamp(seconds: 100_000)

    private func autoscaler(_ minimum: Int64 = 1, _ maximum: Int64 = 10, behavior: JSON = .null) -> JSON {
        var spec: JSON = ["minReplicas": .integer(minimum), "maxReplicas": .integer(maximum)]
        if behavior.exists { spec["behavior"] = behavior }
        return ["metadata": ["name": "a", "generation": 1], "spec": spec]
    }
    private func wants(_ replicas: Int64, _ name: String = "cpu") -> AutoscalerPlan.Outcome {
        .proposal(replicas: replicas, name: name, status: ["type": "Resource"])
    }
    private let fails = AutoscalerPlan.Outcome.failure(reason: "FailedGetResourceMetric", message: "no metrics")

    func testSizes() {
        let cases: [(String, JSON, Int64, [AutoscalerPlan.Outcome], Int64, String)] = [
            ("above its bounds", autoscaler(), 12, [], 10, "Current number of replicas above Spec.MaxReplicas"),
            ("below its bounds", autoscaler(3), 1, [], 3, "Current number of replicas below Spec.MinReplicas"),
            ("turned off", autoscaler(), 0, [], 0, ""), ("more", autoscaler(), 3, [wants(5)], 5, "cpu above target"),
            ("the most of all", autoscaler(), 3, [wants(4, "x"), wants(5, "y"), wants(2)], 5, "y above target"),
            ("at most twice as many", autoscaler(1, 50), 5, [wants(40)], 10, "cpu above target"),
            ("at most all", autoscaler(1, 6), 5, [wants(40)], 6, "cpu above target"),
            ("as many", autoscaler(), 3, [wants(3)], 3, ""), ("not known", autoscaler(), 3, [fails], 3, ""),
            ("less, perhaps", autoscaler(), 3, [wants(2), fails], 3, ""),
            ("more, for sure", autoscaler(), 3, [fails, wants(4)], 4, "cpu above target"),
        ]
        for (reason, object, current, outcomes, desired, why) in cases {
            var memory = AutoscalerMemory()
            let plan = AutoscalerPlan(object, current: current, outcomes: outcomes, memory: &memory, now: now)
            XCTAssertEqual(plan.desired, desired, reason)
            XCTAssertEqual(plan.reason, why, reason)
        }
    }

    func testConditions() {
        func conditions(_ object: JSON, _ current: Int64, _ outcomes: [AutoscalerPlan.Outcome]) -> [String] {
            var memory = AutoscalerMemory()
            let plan = AutoscalerPlan(object, current: current, outcomes: outcomes, memory: &memory, now: now)
            return plan.conditions.arrayValue.map {
                "\($0["type"].stringValue ?? "")=\($0["status"].stringValue ?? "") \($0["reason"].stringValue ?? "")"
            }
        }
        XCTAssertEqual(
            conditions(autoscaler(), 3, [wants(3)]),
            [
                "ScalingActive=True ValidMetricFound", "AbleToScale=True ReadyForNewScale",
                "ScalingLimited=False DesiredWithinRange",
            ])
        XCTAssertEqual(conditions(autoscaler(), 3, [fails]), ["ScalingActive=False FailedGetResourceMetric"])
        XCTAssertEqual(conditions(autoscaler(), 0, []), ["ScalingActive=False ScalingDisabled"])
        XCTAssertEqual(conditions(autoscaler(1, 4), 3, [wants(9)]).last, "ScalingLimited=True TooManyReplicas")
        XCTAssertEqual(conditions(autoscaler(1, 40), 3, [wants(9)]).last, "ScalingLimited=True ScaleUpLimit")
    }

    func testGoesDownWhenItWasLowForAWhile() {
        var memory = AutoscalerMemory()
        func plan(_ replicas: Int64, current: Int64, after seconds: Int64) -> AutoscalerPlan {
            AutoscalerPlan(
                autoscaler(), current: current, outcomes: [wants(replicas)], memory: &memory,
                now: now.adding(seconds: seconds))
        }
        XCTAssertEqual(plan(8, current: 8, after: 0).desired, 8)
        let held = plan(2, current: 8, after: 15)
        XCTAssertEqual(held.desired, 8)
        XCTAssertEqual(held.conditions.condition("AbleToScale")["reason"], "ScaleDownStabilized")
        XCTAssertEqual(plan(2, current: 8, after: 299).desired, 8)
        XCTAssertEqual(plan(2, current: 8, after: 301).desired, 2)
    }

    func testBehavior() {
        let cases: [(String, JSON, Int64, Int64, Int64)] = [
            ("as fast as may be", ["scaleUp": [:]], 2, 20, 6),
            (
                "one at a time", ["scaleUp": ["policies": [["type": "Pods", "value": 1, "periodSeconds": 60]]]], 3, 9, 4
            ),
            (
                "a tenth at a time",
                [
                    "scaleDown": [
                        "stabilizationWindowSeconds": 0,
                        "policies": [["type": "Percent", "value": 10, "periodSeconds": 60]],
                    ]
                ], 20, 1, 18
            ),
            ("not down", ["scaleDown": ["stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"]], 5, 1, 5),
            (
                "the slower one",
                [
                    "scaleUp": [
                        "selectPolicy": "Min",
                        "policies": [
                            ["type": "Pods", "value": 5, "periodSeconds": 60],
                            ["type": "Percent", "value": 50, "periodSeconds": 60],
                        ],
                    ]
                ], 4, 20, 6
            ),
            ("held down", ["scaleDown": ["stabilizationWindowSeconds": 0]], 5, 1, 1),
        ]
        for (reason, behavior, current, wanted, expected) in cases {
            var memory = AutoscalerMemory()
            memory.begin(current, now: now.adding(seconds: -1000))
            let plan = AutoscalerPlan(
                autoscaler(1, 30, behavior: behavior), current: current, outcomes: [wants(wanted)], memory: &memory,
                now: now)
            XCTAssertEqual(plan.desired, expected, reason)
        }
    }

    func testPoliciesCountWhatWasChangedLately() {
        let behavior: JSON = ["scaleUp": ["policies": [["type": "Pods", "value": 2, "periodSeconds": 60]]]]
        var memory = AutoscalerMemory()
        memory.begin(3, now: now)
        memory.changed(from: 3, to: 5, now: now)
        func desired(after seconds: Int64) -> Int64 {
            AutoscalerPlan(
                autoscaler(1, 30, behavior: behavior), current: 5, outcomes: [wants(20)], memory: &memory,
                now: now.adding(seconds: seconds)
            ).desired
        }
        XCTAssertEqual(desired(after: 30), 5, "two were added in this minute already")
        XCTAssertEqual(desired(after: 61), 7)
    }

    func testEvaluation() {
        let metrics: JSON = [
            [
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 50]],
            ],
            [
                "type": "ContainerResource",
                "containerResource": [
                    "name": "memory", "container": "main", "target": ["type": "AverageValue", "averageValue": "1Mi"],
                ],
            ], ["type": "External", "external": ["metric": ["name": "queue"]]],
        ]
        let pod: JSON = [
            "metadata": ["name": "p"],
            "spec": [
                "containers": [
                    ["name": "main", "resources": ["requests": ["cpu": "1"]]],
                    ["name": "side", "resources": ["requests": ["cpu": "1"]]],
                ]
            ],
            "status": [
                "phase": "Running", "startTime": "1970-01-01T00:00:00Z",
                "conditions": [["type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:01Z"]],
            ],
        ]
        func container(_ name: JSON, _ cpu: JSON, _ memory: JSON) -> JSON {
            ["name": name, "usage": ["cpu": cpu, "memory": memory]]
        }
        let item: JSON = [
            "metadata": ["name": "p"], "timestamp": .string(now.formatted(fraction: .none)), "window": "15s",
            "containers": [container("main", "1500m", "3Mi"), container("side", "500m", "9Mi")],
        ]
        let evaluation = MetricEvaluation(
            autoscaler: ["spec": ["metrics": metrics]], pods: [pod], usage: PodUsage(items: [item]), failure: "",
            current: 1, now: now)
        let results = evaluation.outcomes.map { outcome -> String in
            switch outcome {
            case .proposal(let replicas, let name, let status):
                return "\(replicas) \(name) \(status["resource"]["current"]["averageUtilization"].integerValue ?? -1)"
            case .failure(let reason, _): return reason
            }
        }
        XCTAssertEqual(
            results,
            [
                "2 cpu resource utilization (percentage of request) 100", "3 memory container resource -1",
                "FailedGetExternalMetric",
            ])
        let blind = MetricEvaluation(
            autoscaler: ["spec": ["metrics": metrics]], pods: [pod], usage: nil, failure: "nobody measures", current: 1,
            now: now)
        guard case .failure(let reason, let message) = blind.outcomes[0] else { return XCTFail("it knows something") }
        XCTAssertEqual(reason, "FailedGetResourceMetric")
        XCTAssertTrue(message.hasSuffix("unable to get metrics for resource cpu: nobody measures"), message)
    }
}
