import ObjectSchema
import Objects
import XCTest

final class AutoscalerValidationTests: XCTestCase {
    private static let autoscaler: JSON = [
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "h"],
        "spec": [
            "maxReplicas": 3, "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "d"],
        ],
    ]

    private func spec(_ text: String) -> String { #"{"spec":{\#(text)}}"# }

    func testBounds() throws {
        let tooFew = "must be greater than or equal to `minReplicas`"
        try ValidationCases.check(
            Self.autoscaler,
            [
                ("{}", []),
                (
                    spec(#""maxReplicas":0"#),
                    [
                        "spec.maxReplicas: Required value: must be set and greater than 0",
                        "spec.maxReplicas: Invalid value: 0: \(tooFew)",
                    ]
                ),
                (
                    spec(#""maxReplicas":-1"#),
                    [
                        "spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1",
                        "spec.maxReplicas: Invalid value: -1: \(tooFew)",
                    ]
                ), (spec(#""minReplicas":4"#), ["spec.maxReplicas: Invalid value: 3: \(tooFew)"]),
                (
                    spec(#""minReplicas":0"#),
                    ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"]
                ),
                (
                    #"{"spec":null}"#,
                    [
                        "spec.maxReplicas: Required value: must be set and greater than 0",
                        "spec.scaleTargetRef.kind: Required value", "spec.scaleTargetRef.name: Required value",
                        #"spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group"#,
                    ]
                ),
            ])
    }

    func testTargets() throws {
        func target(_ text: String) -> String { spec(#""scaleTargetRef":{\#(text)}"#) }
        let group = "apiVersion must specify API group"
        try ValidationCases.check(
            Self.autoscaler,
            [
                (target(#""apiVersion":"v1","kind":"ReplicationController""#), []),
                (
                    target(#""apiVersion":"v1""#),
                    [#"spec.scaleTargetRef.apiVersion: Invalid value: "v1": \#(group)"#]
                ),
                (
                    target(#""apiVersion":"a/b/c""#),
                    [
                        #"spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#
                    ]
                ),
                (
                    target(#""kind":"","name":"a/b""#),
                    [
                        "spec.scaleTargetRef.kind: Required value",
                        #"spec.scaleTargetRef.name: Invalid value: "a/b": may not contain '/'"#,
                    ]
                ),
            ])
        var old = Self.autoscaler
        old["spec"]["scaleTargetRef"]["apiVersion"] = "v1"
        try ValidationCases.checkUpdates(
            old, [(spec(#""maxReplicas":5"#), []), (target(#""apiVersion":"v2""#), [])])
    }

    func testMetrics() throws {
        func metric(_ text: String) -> String { spec(#""metrics":[{\#(text)}]"#) }
        let path = "spec.metrics[0]"
        let types = #"supported values: "ContainerResource", "External", "Object", "Pods", "Resource""#
        let utilization = #""target":{"type":"Utilization","averageUtilization":50}"#
        try ValidationCases.check(
            Self.autoscaler,
            [
                (metric(#""type":"Resource","resource":{"name":"cpu",\#(utilization)}"#), []),
                (
                    metric(
                        #""type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"1k"}}"#
                    ),
                    []
                ),
                (
                    metric(#""type":"Other""#),
                    [
                        #"\#(path).type: Unsupported value: "Other": \#(types)"#,
                        #"\#(path).type: Unsupported value: "Other": \#(types)"#,
                    ]
                ),
                (
                    metric(#""type":"Pods""#),
                    ["\(path).pods: Required value: must populate information for the given metric source"]
                ),
                (
                    metric(
                        #""type":"Resource","resource":{"name":"",\#(utilization)},"external":{"metric":{"name":"m"},"target":{"type":"Value","value":"1"}}"#
                    ),
                    ["\(path).external: Forbidden: must populate the given metric source only"]
                ),
                (
                    metric(#""type":"Resource","resource":{"name":"cpu","target":{"type":"Much","averageValue":"0"}}"#),
                    [
                        #"\#(path).resource.target.type: Invalid value: "Much": must be either Utilization, Value, or AverageValue"#,
                        #"\#(path).resource.target.averageValue: Invalid value: "0": must be positive"#,
                    ]
                ),
                (
                    metric(#""type":"Resource","resource":{"name":"","target":{"type":"Utilization"}}"#),
                    [
                        "\(path).resource.name: Required value: must specify a resource name",
                        "\(path).resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
                    ]
                ),
                (
                    metric(
                        #""type":"Object","object":{"describedObject":{"kind":"Service","name":"s"},"metric":{"name":"m"},"target":{"type":"Value"}}"#
                    ),
                    [
                        "\(path).object.target.averageValue: Required value: must set either a target value or averageValue"
                    ]
                ),
                (
                    metric(
                        #""type":"External","external":{"metric":{"name":"a/b"},"target":{"type":"Value","value":"1","averageValue":"1"}}"#
                    ),
                    [
                        "\(path).external.target.value: Forbidden: may not set both a target value for metric and a per-pod target",
                        #"\#(path).external.metric.name: Invalid value: "a/b": may not contain '/'"#,
                    ]
                ),
                (
                    metric(
                        #""type":"ContainerResource","containerResource":{"name":"gpu","container":"A",\#(utilization)}"#
                    ),
                    [
                        #"\#(path).containerResource.name: Invalid value: "gpu": must be a standard resource type or fully qualified"#,
                        #"\#(path).containerResource.name: Invalid value: "gpu": must be a standard resource for containers"#,
                        #"\#(path).containerResource.container: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#,
                    ]
                ),
            ])
    }

    func testBehaviour() throws {
        func down(_ text: String) -> String { spec(#""behavior":{"scaleDown":{\#(text)}}"#) }
        let path = "spec.behavior.scaleDown"
        try ValidationCases.check(
            Self.autoscaler,
            [
                (down(#""stabilizationWindowSeconds":0"#), []),
                (down(#""policies":[]"#), ["\(path).policies: Required value: must specify at least one Policy"]),
                (
                    down(#""stabilizationWindowSeconds":3601,"selectPolicy":"Some","tolerance":"-0.1""#),
                    [
                        "\(path).stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                        #"\#(path).selectPolicy: Unsupported value: "Some": supported values: "Disabled", "Max", "Min""#,
                        #"\#(path).tolerance: Invalid value: "-100m": must be greater than or equal to 0"#,
                    ]
                ),
                (
                    down(#""policies":[{"type":"Nodes","value":0,"periodSeconds":1801}]"#),
                    [
                        #"\#(path).policies[0].type: Unsupported value: "Nodes": supported values: "Percent", "Pods""#,
                        "\(path).policies[0].value: Invalid value: 0: must be greater than zero",
                        "\(path).policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
                    ]
                ),
            ])
        let (object, _) = try ValidationCases.object(Self.autoscaler, down(#""stabilizationWindowSeconds":1"#))
        XCTAssertEqual(
            object["spec"]["behavior"]["scaleUp"]["policies"].arrayValue.map { $0["value"] }, [4, 100])
        XCTAssertEqual(
            object["spec"]["behavior"]["scaleDown"],
            try JSON(
                parsing:
                    #"{"stabilizationWindowSeconds":1,"selectPolicy":"Max","policies":[{"type":"Percent","value":100,"periodSeconds":15}]}"#
            ))
    }
}
