import Objects
import XCTest

@testable import API

/// Services, endpoints and ingresses as clients live with them: their statuses, watches and collections.
final class NetworkConformanceTests: ConformanceCase {
    private static let services = "/api/v1/namespaces/default/services"

    private func service(_ name: String, _ spec: JSON, labels: JSON = [:]) -> JSON {
        [
            "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name), "labels": labels], "spec": spec,
        ]
    }

    /// What a status says comes by the status alone, and a watch shows each step of it.
    func testAServicesStatus() throws {
        let path = Self.services + "/status-life"
        let selector = "labelSelector=life%3Dstatus"
        let before = try ask("GET", "\(Self.services)?\(selector)").json.metadata["resourceVersion"].stringValue ?? ""
        let spec: JSON = [
            "type": "LoadBalancer", "loadBalancerClass": "example.com/internal-vip",
            "ports": [["name": "http", "port": 80, "targetPort": 80]],
        ]
        XCTAssertEqual(
            try ask("POST", Self.services, service("status-life", spec, labels: ["life": "status"])).status, 201)
        XCTAssertEqual(try ask("GET", path + "/status").json["status"], ["loadBalancer": [:]])
        let balanced: JSON = ["loadBalancer": ["ingress": [["ip": "203.0.113.1"]]]]
        let patched = try merge(
            path + "/status", ["metadata": ["annotations": ["patchedstatus": "true"]], "status": balanced]
        ).json
        XCTAssertEqual(patched.annotations["patchedstatus"], "true")
        XCTAssertEqual(patched["status"]["loadBalancer"]["ingress"][0]["ip"], "203.0.113.1")
        var updated = patched
        updated["status"]["conditions"] = [
            [
                "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from a test",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            ]
        ]
        updated["spec"]["externalName"] = "not.by.the.status"
        let conditioned = try ask("PUT", path + "/status", updated)
        XCTAssertEqual(conditioned.status, 200, conditioned.text)
        XCTAssertEqual(try conditioned.json["status"]["conditions"][0]["reason"], "E2E")
        XCTAssertFalse(try conditioned.json["spec"]["externalName"].exists)
        let labelled = try merge(
            path, ["metadata": ["labels": ["service": "patched"]], "status": ["loadBalancer": .null]])
        XCTAssertEqual(
            try labelled.json["status"]["conditions"].count, 1, "the status is not the object's to change")
        XCTAssertEqual(try labelled.json["status"]["loadBalancer"], patched["status"]["loadBalancer"])
        XCTAssertEqual(try ask("DELETE", path).status, 200)
        let events = try events("\(Self.services)?\(selector)&resourceVersion=\(before)") { $0["type"] == "DELETED" }
        XCTAssertEqual(
            events.map { $0["type"].stringValue ?? "" }, ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"])
        XCTAssertEqual(events.last?["object"].labels["service"], "patched")
    }

    /// What a collection held is free again.
    func testACollectionOfServices() throws {
        let selector = "labelSelector=life%3Dcollection"
        let fixed: JSON = ["type": "NodePort", "ports": [["port": 80, "nodePort": 30477]], "clusterIP": "10.96.3.77"]
        let specs: [JSON] = [fixed, ["ports": [["port": 80]]], ["clusterIP": "None"]]
        for (index, spec) in specs.enumerated() {
            let labels: JSON = index == 2 ? [:] : ["life": "collection"]
            let made = try ask("POST", Self.services, service("c\(index)", spec, labels: labels))
            XCTAssertEqual(made.status, 201, made.text)
        }
        let deleted = try ask("DELETE", "\(Self.services)?\(selector)")
        XCTAssertEqual(deleted.status, 200, deleted.text)
        XCTAssertEqual(try ask("GET", "\(Self.services)?\(selector)").json["items"], [])
        XCTAssertEqual(try ask("GET", Self.services + "/c2").status, 200, "without the label")
        let again = try ask("POST", Self.services, service("again", fixed))
        XCTAssertEqual(again.status, 201, "address and port are free: \(again.text)")
        for name in ["again", "c2"] { XCTAssertEqual(try ask("DELETE", "\(Self.services)/\(name)").status, 200) }
    }

    /// Endpoints that nobody but their writer keeps.
    func testEndpointsByHand() throws {
        let collection = "/api/v1/namespaces/default/endpoints"
        let selector = "labelSelector=test-endpoint-static%3Dtrue"
        let made = try ask(
            "POST", collection,
            [
                "apiVersion": "v1", "kind": "Endpoints",
                "metadata": ["name": "testservice", "labels": ["test-endpoint-static": "true"]],
                "subsets": [["addresses": [["ip": "10.0.0.24"]], "ports": [["name": "http", "port": 80]]]],
            ])
        XCTAssertEqual(made.status, 201, made.text)
        let version = try made.json.resourceVersion
        var updated = try made.json
        updated["metadata"]["labels"]["test-service"] = "updated"
        XCTAssertEqual(try ask("PUT", collection + "/testservice", updated).status, 200)
        let subsets: JSON = [["addresses": [["ip": "10.0.0.25"]], "ports": [["name": "http-test", "port": 8080]]]]
        let patched = try ask(
            "PATCH", collection + "/testservice",
            ["metadata": ["labels": ["test-service": "patched"]], "subsets": subsets],
            type: "application/strategic-merge-patch+json")
        XCTAssertEqual(try patched.json["subsets"][0]["addresses"], [["ip": "10.0.0.25"]])
        XCTAssertEqual(
            try patched.json["subsets"][0]["ports"], [["name": "http-test", "port": 8080, "protocol": "TCP"]])
        XCTAssertEqual(try ask("DELETE", "\(collection)?\(selector)").status, 200)
        let events = try events("\(collection)?\(selector)&resourceVersion=\(version)") { $0["type"] == "DELETED" }
        XCTAssertEqual(events.map { $0["type"].stringValue ?? "" }, ["MODIFIED", "MODIFIED", "DELETED"])
        XCTAssertEqual(events.last?["object"].labels["test-service"], "patched")
    }

    func testAnIngresssStatus() throws {
        let collection = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
        let made = try ask(
            "POST", collection,
            [
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "life"],
                "spec": ["defaultBackend": ["service": ["name": "default-backend", "port": ["number": 8080]]]],
            ])
        XCTAssertEqual(made.status, 201, made.text)
        let status: JSON = ["loadBalancer": ["ingress": [["ip": "169.1.1.1"]]]]
        let patched = try merge(
            collection + "/life/status", ["metadata": ["annotations": ["patchedstatus": "true"]], "status": status])
        XCTAssertEqual(try patched.json["status"], status)
        XCTAssertEqual(try patched.json.annotations["patchedstatus"], "true")
        XCTAssertEqual(try patched.json.generation, try made.json.generation, "a status is no wish")
        var updated = try patched.json
        updated["status"]["loadBalancer"]["ingress"] = [["ip": "169.1.1.2"]]
        XCTAssertEqual(
            try ask("PUT", collection + "/life/status", updated).json["status"]["loadBalancer"]["ingress"],
            [["ip": "169.1.1.2"]])
        updated = try ask("GET", collection + "/life").json
        updated["spec"]["ingressClassName"] = "example"
        updated["status"] = [:]
        let replaced = try ask("PUT", collection + "/life", updated)
        XCTAssertEqual(
            try replaced.json["status"]["loadBalancer"]["ingress"].count, 1, "the status stays: \(replaced.text)")
        XCTAssertEqual(try replaced.json.generation, 2)
        XCTAssertEqual(try ask("DELETE", collection + "/life").status, 200)
    }

    /// The value of a class, and whether its pods push others out, is settled when it is made.
    func testPriorityClasses() throws {
        let path = "/apis/scheduling.k8s.io/v1/priorityclasses"
        let made = try ask(
            "POST", path,
            [
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": ["name": "settled"],
                "value": 7,
            ])
        XCTAssertEqual(made.status, 201, made.text)
        let rows: [(change: JSON, status: Int)] = [
            (["value": 8], 422), (["preemptionPolicy": "Never"], 422), (["description": "an example"], 200),
            (["metadata": ["labels": ["a": "b"]]], 200), (["globalDefault": false], 200),
        ]
        for row in rows { XCTAssertEqual(try merge(path + "/settled", row.change).status, row.status, "\(row.change)") }
        XCTAssertEqual(try ask("GET", path + "/settled").json["value"], 7)
        XCTAssertEqual(try ask("DELETE", path + "/settled").status, 200)
    }
}
