import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// metrics.k8s.io over HTTPS, with a node that tells what it uses.
final class MetricsTests: XCTestCase {
    private var server: TestServer!
    private let node = FakeNode()
    private let root = "/apis/metrics.k8s.io/v1beta1"

    override func setUpWithError() throws {
        server = try TestServer()
        let routes = try XCTUnwrap(server.plugin.provider.pipeline).extensions
        routes.add(plugin: "node", try node.routes(), provider: node)
        try create("/api/v1/nodes", ["kind": "Node", "metadata": ["name": "here", "labels": ["a": "b"]]])
        try create("/api/v1/nodes", ["kind": "Node", "metadata": ["name": "elsewhere"]])
        try create("/api/v1/namespaces/default/serviceaccounts", ["kind": "ServiceAccount", "metadata": ["name": "x"]])
        for (name, place) in [("measured", "here"), ("other", "here"), ("far", "elsewhere")] {
            let container: JSON = ["name": "main", "image": "i"]
            let pod: JSON = [
                "kind": "Pod", "metadata": ["name": .string(name), "labels": ["app": .string(name)]],
                "spec": ["nodeName": .string(place), "serviceAccountName": "x", "containers": .array([container])],
            ]
            let object = try create("/api/v1/namespaces/default/pods", pod)
            if name == "measured" { node.uid.withLock { $0 = object.uid } }
        }
    }

    override func tearDownWithError() throws { try server.stop() }

    @discardableResult
    private func create(_ path: String, _ object: JSON) throws -> JSON {
        let answer = try server.request("POST", path, object.with("apiVersion", "v1"))
        XCTAssertEqual(answer.status, 201, answer.text)
        return try JSON(parsing: Array(answer.text.utf8))
    }

    private func get(_ path: String, headers: [String: String] = [:]) throws -> (status: Int, json: JSON) {
        let answer = try server.request("GET", root + path, headers: headers)
        return (answer.status, try JSON(parsing: Array(answer.text.utf8)))
    }

    func testMetrics() throws {
        let nodes = try get("/nodes")
        XCTAssertEqual(nodes.status, 200)
        XCTAssertEqual(nodes.json["kind"], "NodeMetricsList")
        XCTAssertEqual(nodes.json["items"].arrayValue.map(\.name), ["here"])
        XCTAssertEqual(nodes.json["items"][0]["usage"]["memory"], "4Ki")
        XCTAssertEqual(nodes.json["items"][0].labels["a"], "b")
        let looks = node.looks.withLock { $0 }
        XCTAssertEqual(looks, 2, "the first answer is measured between two looks")
        let pods = try get("/pods")
        XCTAssertEqual(pods.json["items"].arrayValue.map(\.name), ["measured"], "what was not measured is left out")
        XCTAssertEqual(pods.json["items"][0]["containers"][0]["name"], "main")
        XCTAssertEqual(node.looks.withLock { $0 }, looks, "what was measured lately serves again")

        let rows: [(String, Int, Int)] = [
            ("/namespaces/default/pods?labelSelector=app%3Dmeasured", 200, 1),
            ("/namespaces/default/pods?labelSelector=app%3Dother", 200, 0),
            ("/namespaces/kube-system/pods", 200, 0), ("/pods?fieldSelector=metadata.name%3Dmeasured", 200, 1),
            ("/nodes?labelSelector=a%3Db", 200, 1), ("/nodes?labelSelector=a%3Dc", 200, 0),
            ("/nodes/elsewhere", 404, 0), ("/namespaces/default/pods/far", 404, 0),
            ("/namespaces/default/pods/none", 404, 0), ("/pods?watch=1", 405, 0),
        ]
        for (path, status, count) in rows {
            let answer = try get(path)
            XCTAssertEqual(answer.status, status, path)
            XCTAssertEqual(answer.json["items"].arrayValue.count, count, path)
        }
        XCTAssertEqual(try get("/namespaces/default/pods/measured").json["kind"], "PodMetrics")
        XCTAssertEqual(
            try get("/namespaces/default/pods/far").json["message"],
            "podmetrics.metrics.k8s.io \"default/far\" not found")
        XCTAssertEqual(try server.request("DELETE", root + "/nodes/here").status, 405)
    }

    func testForms() throws {
        let table = try get("/nodes", headers: ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"])
        XCTAssertEqual(
            table.json["columnDefinitions"].arrayValue.map { $0["name"] }, ["Name", "cpu", "memory", "Window"])
        XCTAssertEqual(table.json["rows"][0]["cells"][0], "here")
        XCTAssertEqual(table.json["rows"][0]["cells"][2], "4Ki")
        let groups = try JSON(parsing: Array(try server.request("GET", "/apis").text.utf8))
        XCTAssertTrue(groups["groups"].arrayValue.contains { $0["name"] == "metrics.k8s.io" })
        let list = try get("")
        XCTAssertEqual(list.json["resources"].arrayValue.map { $0["kind"] }, ["NodeMetrics", "PodMetrics"])
        XCTAssertEqual(try server.inProcess("GET", root + "/nodes").json["items"].arrayValue.count, 1)
    }
}

/// A node that is asked for its summary.
private final class FakeNode: APIExtensionProvider {
    let uid = Mutex("")
    let looks = Mutex(Int64(0))

    func routes() throws -> JSON {
        ["routes": [["methods": ["GET"], "path": "/api/v1/nodes/{name}/proxy/{rest...}", "upgrade": "none"]]]
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        close(stream)
        guard request["parameters"]["rest"] == "stats/summary" else { throw PluginError.notFound("no such path") }
        let look = looks.withLock { looks -> Int64 in
            looks += 1
            return looks
        }
        let entry: JSON = [
            "name": "main", "startTime": "2026-01-02T03:04:05Z",
            "cpu": [
                "time": .string(Timestamp.now().formatted(fraction: .nano)),
                "usageCoreNanoSeconds": .integer(look * 1_000_000),
            ], "memory": ["workingSetBytes": 4096],
        ]
        var host = entry
        host["nodeName"] = "here"
        let pod: JSON = ["podRef": ["uid": .string(uid.withLock { $0 })], "containers": .array([entry])]
        let document: JSON = ["node": host, "pods": .array([pod])]
        return ["status": 200, "body": .string(document.serializedString())]
    }
}
