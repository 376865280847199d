import Objects
import XCTest

@testable import API

/// HorizontalPodAutoscalers of autoscaling/v1, which has no fields for most of what v2 says.
final class AutoscalerConversionTests: XCTestCase {
    private let prefix = "autoscaling.alpha.kubernetes.io/"

    private let whole: JSON = [
        "metadata": ["name": "a", "annotations": ["k": "v"]],
        "spec": [
            "maxReplicas": 3,
            "metrics": [
                [
                    "type": "Pods",
                    "pods": [
                        "metric": ["name": "rate", "selector": ["matchLabels": ["a": "b"]]],
                        "target": ["type": "AverageValue", "averageValue": "10"],
                    ],
                ],
                [
                    "type": "Object",
                    "object": [
                        "describedObject": ["kind": "Service", "name": "s"], "metric": ["name": "hits"],
                        "target": ["type": "Value", "value": "5"],
                    ],
                ],
                [
                    "type": "External",
                    "external": [
                        "metric": ["name": "queue", "selector": ["matchLabels": ["q": "1"]]],
                        "target": ["type": "AverageValue", "averageValue": "7"],
                    ],
                ],
                [
                    "type": "ContainerResource",
                    "containerResource": [
                        "name": "memory", "container": "c", "target": ["type": "AverageValue", "averageValue": "1Gi"],
                    ],
                ],
                [
                    "type": "Resource",
                    "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 60]],
                ],
            ],
            "behavior": [
                "scaleUp": ["selectPolicy": "Max", "policies": [["type": "Pods", "value": 4, "periodSeconds": 15]]]
            ],
        ],
        "status": [
            "currentReplicas": 1, "desiredReplicas": 2,
            "currentMetrics": [
                [
                    "type": "Resource",
                    "resource": ["name": "cpu", "current": ["averageUtilization": 40, "averageValue": "100m"]],
                ]
            ], "conditions": [["type": "AbleToScale", "status": "True"]],
        ],
    ]

    func testNothingIsLostToVersionOne() throws {
        let one = AutoscalerConversion.toV1(whole)
        XCTAssertEqual(one["spec"], ["maxReplicas": 3, "targetCPUUtilizationPercentage": 60])
        XCTAssertEqual(
            one["status"], ["currentReplicas": 1, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 40])
        let annotations = one["metadata"]["annotations"]
        XCTAssertEqual(annotations["k"], "v")
        let metrics = try JSON(parsing: Array((annotations[prefix + "metrics"].stringValue ?? "").utf8))
        XCTAssertEqual(
            metrics,
            [
                [
                    "type": "Pods",
                    "pods": [
                        "metricName": "rate", "selector": ["matchLabels": ["a": "b"]], "targetAverageValue": "10",
                    ],
                ],
                [
                    "type": "Object",
                    "object": [
                        "target": ["kind": "Service", "name": "s"], "metricName": "hits", "targetValue": "5",
                    ],
                ],
                [
                    "type": "External",
                    "external": [
                        "metricName": "queue", "metricSelector": ["matchLabels": ["q": "1"]], "targetAverageValue": "7",
                    ],
                ],
                [
                    "type": "ContainerResource",
                    "containerResource": ["name": "memory", "container": "c", "targetAverageValue": "1Gi"],
                ],
            ])
        XCTAssertEqual(AutoscalerConversion.toV2(one), whole)
    }

    func testTheCountsAreThereInVersionOne() {
        let one = AutoscalerConversion.toV1(["spec": ["maxReplicas": 1], "status": ["desiredReplicas": 0]])
        XCTAssertEqual(one["status"], ["desiredReplicas": 0, "currentReplicas": 0])
    }

    /// What stands in version 2 for fields of its own is not shown beside them.
    func testOldAnnotationsGo() {
        let two: JSON = [
            "metadata": ["annotations": .object(JSONObject([(prefix + "metrics", "[]")]))], "spec": ["maxReplicas": 1],
        ]
        XCTAssertTrue(AutoscalerConversion.toV1(two)["metadata"]["annotations"].isNull)
    }
}
