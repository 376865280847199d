import Objects
import XCTest

@testable import API

/// What a status has from the start, and whenever somebody writes it: clients with types take for given what Kubernetes
/// always sends, and refuse an answer without it.
final class StatusConformanceTests: ConformanceCase {
    private static let template: JSON = [
        "metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i"]]],
    ]
    private static let selector: JSON = ["matchLabels": ["a": "b"]]

    func testNewObjects() throws {
        let workload: JSON = ["replicas": 0, "selector": Self.selector, "template": Self.template]
        let rows: [(place: String, spec: JSON, status: JSON)] = [
            ("apps/v1 replicasets", workload, ["replicas": 0]),
            ("apps/v1 statefulsets", workload.with("serviceName", "s"), ["replicas": 0, "availableReplicas": 0]),
            ("apps/v1 deployments", workload, [:]),
            (
                "apps/v1 daemonsets", ["selector": Self.selector, "template": Self.template],
                [
                    "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
                ]
            ),
            (
                "v1 replicationcontrollers",
                ["replicas": 0, "selector": ["a": "b"], "template": Self.template], ["replicas": 0]
            ),
            (
                "policy/v1 poddisruptionbudgets", ["minAvailable": 1, "selector": Self.selector],
                ["currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0]
            ),
            (
                "autoscaling/v2 horizontalpodautoscalers",
                ["maxReplicas": 1, "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "d"]],
                ["desiredReplicas": 0]
            ),
        ]
        for row in rows {
            let parts = row.place.split(separator: " ")
            let root = parts[0].contains("/") ? "/apis" : "/api"
            let path = "\(root)/\(parts[0])/namespaces/default/\(parts[1])"
            let made = try ask("POST", path, ["metadata": ["name": "status"], "spec": row.spec])
            XCTAssertEqual(made.status, 201, row.place)
            let status = try made.json["status"]
            XCTAssertEqual(status.canonicalText(), row.status.canonicalText(), row.place)
        }
    }

    func testWrittenStatuses() throws {
        let path = "/apis/apps/v1/namespaces/default/replicasets"
        let spec: JSON = ["replicas": 0, "selector": Self.selector, "template": Self.template]
        XCTAssertEqual(try ask("POST", path, ["metadata": ["name": "written"], "spec": spec]).status, 201)
        let patched = try ask(
            "PATCH", path + "/written/status", ["status": ["replicas": .null, "observedGeneration": 2]],
            type: "application/merge-patch+json")
        XCTAssertEqual(try patched.json["status"].canonicalText(), #"{"observedGeneration":2,"replicas":0}"#)
        let impossible = try ask(
            "PATCH", path + "/written/status", ["status": ["readyReplicas": 2]], type: "application/merge-patch+json")
        XCTAssertEqual(impossible.status, 422)
    }

    func testRequiredTextsOfStatuses() throws {
        let path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
        let spec: JSON = ["defaultBackend": ["service": ["name": "s", "port": ["number": 80]]]]
        XCTAssertEqual(try ask("POST", path, ["metadata": ["name": "written"], "spec": spec]).status, 201)
        let status: JSON = ["loadBalancer": ["ingress": [["ip": "192.0.2.1", "ports": [["port": 80]]]]]]
        let patched = try ask(
            "PATCH", path + "/written/status", ["status": status], type: "application/merge-patch+json")
        XCTAssertEqual(
            try patched.json["status"]["loadBalancer"]["ingress"][0]["ports"][0].canonicalText(),
            #"{"port":80,"protocol":""}"#)
        let wrong = try ask(
            "PATCH", path + "/written/status", ["status": ["loadBalancer": ["ingress": [["ip": "x"]]]]],
            type: "application/merge-patch+json")
        XCTAssertEqual(wrong.status, 422)
    }

    func testConditionsOfBudgets() throws {
        let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
        let spec: JSON = ["minAvailable": 1, "selector": Self.selector]
        XCTAssertEqual(try ask("POST", path, ["metadata": ["name": "judged"], "spec": spec]).status, 201)
        let condition: JSON = [
            "type": "example.com/Fine", "status": "True", "reason": "All_Well:1", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        ]
        let place = "status.conditions[0]."
        let rows: [(member: String, value: JSON, field: String?)] = [
            ("observedGeneration", 3, nil), ("type", "no such type", place + "type"), ("type", .null, place + "type"),
            ("status", "Perhaps", place + "status"), ("status", .null, place + "status"),
            ("observedGeneration", -1, place + "observedGeneration"),
            ("lastTransitionTime", .null, place + "lastTransitionTime"), ("reason", .null, place + "reason"),
            ("reason", "9lives", place + "reason"), ("reason", "Ends:", place + "reason"),
            ("reason", .string(String(repeating: "r", count: 1025)), place + "reason"),
            ("message", .string(String(repeating: "m", count: 32_769)), place + "message"),
        ]
        for row in rows {
            let status: JSON = ["conditions": .array([condition.with(row.member, row.value)])]
            let answer = try ask(
                "PATCH", path + "/judged/status", ["status": status], type: "application/merge-patch+json")
            let name = "\(row.member): \(row.value.serializedString().prefix(40))"
            XCTAssertEqual(answer.status, row.field == nil ? 200 : 422, name)
            XCTAssertEqual(try answer.json["details"]["causes"][0]["field"].stringValue, row.field, name)
        }
        let twice = try ask(
            "PATCH", path + "/judged/status", ["status": ["conditions": [condition, condition]]],
            type: "application/merge-patch+json")
        XCTAssertEqual(try twice.json["details"]["causes"][0]["reason"], "FieldValueDuplicate")
        let negative = try ask(
            "PATCH", path + "/judged/status", ["status": ["currentHealthy": -1]],
            type: "application/merge-patch+json")
        XCTAssertEqual(try negative.json["details"]["causes"][0]["field"], "status.currentHealthy")
    }

    func testScaleAsTable() throws {
        let path = "/apis/apps/v1/namespaces/default/deployments"
        let spec: JSON = ["replicas": 2, "selector": Self.selector, "template": Self.template]
        XCTAssertEqual(try ask("POST", path, ["metadata": ["name": "scaled"], "spec": spec]).status, 201)
        let accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        let rows: [(include: String, kind: JSON)] = [
            ("", "PartialObjectMetadata"), ("?includeObject=Object", "Scale"), ("?includeObject=None", .null),
        ]
        for row in rows {
            let answer = try ask("GET", path + "/scaled/scale" + row.include, headers: ["Accept": accept])
            XCTAssertEqual(answer.headers["content-type"], "application/json", row.include)
            let table = try answer.json
            XCTAssertEqual(
                table["columnDefinitions"].arrayValue.map(\.["name"].stringValue),
                ["Name", "Desired", "Available", "Age"], row.include)
            XCTAssertEqual(Array(table["rows"][0]["cells"].arrayValue.prefix(3)), ["scaled", 2, 0], row.include)
            XCTAssertEqual(table["rows"][0]["object"]["kind"], row.kind, row.include)
        }
    }
}
