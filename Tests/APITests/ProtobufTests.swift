import ObjectSchema
import Objects
import XCTest

@testable import API

/// Answers in Kubernetes' protobuf encoding, and which form clients get for what they accept.
final class ProtobufTests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"
    private let protobuf = "application/vnd.kubernetes.protobuf"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func map(_ name: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name), "labels": ["a": "b"]],
            "data": ["k": "v"],
        ]
    }

    private func decode(_ bytes: [UInt8]) throws -> JSON {
        try bytes.withUnsafeBytes { try KubernetesProtobuf.decode($0) }
    }

    /// A JSON object as it is after protobuf, which knows no difference between absent and null.
    private func withoutTypes(_ list: JSON) -> [JSON] {
        list["items"].arrayValue.map { item in
            var item = item
            item.removeValue(forKey: "apiVersion")
            item.removeValue(forKey: "kind")
            return item
        }
    }

    func testObjectsListsAndFailures() throws {
        let accept = ["Accept": protobuf]
        let created = try server.request("POST", maps, map("a"), headers: accept)
        XCTAssertEqual(created.status, 201)
        XCTAssertEqual(created.headers["content-type"], protobuf)
        let shown = try server.request("GET", maps + "/a").json
        XCTAssertEqual(try decode(created.body), shown)
        XCTAssertEqual(try decode(try server.request("GET", maps + "/a", headers: accept).body), shown)
        // What came out can go in again.
        var changed = shown
        changed["data"]["k"] = "w"
        let updated = try server.request(
            "PUT", maps + "/a", bytes: try KubernetesProtobuf.encode(changed),
            headers: ["Content-Type": protobuf, "Accept": protobuf])
        XCTAssertEqual(updated.status, 200)
        XCTAssertEqual(try decode(updated.body)["data"], ["k": "w"])
        for number in 0..<300 { _ = try server.inProcess("POST", maps, map("m\(number)")) }
        let list = try server.request("GET", maps + "?limit=250", headers: accept)
        XCTAssertEqual(list.headers["content-type"], protobuf)
        let decoded = try decode(list.body)
        let json = try server.request("GET", maps + "?limit=250").json
        XCTAssertEqual(decoded.kind, "ConfigMapList")
        XCTAssertEqual(decoded.metadata, json.metadata)
        XCTAssertEqual(decoded["items"].arrayValue, withoutTypes(json))
        let missing = try server.request("GET", maps + "/none", headers: accept)
        XCTAssertEqual(missing.status, 404)
        XCTAssertEqual(missing.headers["content-type"], protobuf)
        let status = try decode(missing.body)
        XCTAssertEqual(status.kind, "Status")
        XCTAssertEqual(status["reason"], "NotFound")
        XCTAssertEqual(status["details"]["name"], "none")
        XCTAssertEqual(status["code"], 404)
        let options = try KubernetesProtobuf.encode([
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": ["uid": "another"],
        ])
        XCTAssertEqual(
            try server.request("DELETE", maps + "/a", bytes: options, headers: ["Content-Type": protobuf]).status, 409,
            "options in protobuf are read")
        let deleted = try server.request("DELETE", maps + "/a", headers: accept)
        XCTAssertEqual(try decode(deleted.body)["status"], "Success")
        let groups = try decode(try server.request("GET", "/apis", headers: accept).body)
        XCTAssertEqual(groups.kind, "APIGroupList")
        XCTAssertTrue(groups["groups"].arrayValue.contains { $0["name"] == "apps" })
    }

    func testOnlyMetadata() throws {
        _ = try server.request("POST", maps, map("a"))
        let accept = ["Accept": protobuf + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"]
        let shown = try decode(try server.request("GET", maps + "/a", headers: accept).body)
        XCTAssertEqual(shown.kind, "PartialObjectMetadata")
        XCTAssertEqual(shown.metadata, try server.request("GET", maps + "/a").json.metadata)
        let list = try decode(
            try server.request(
                "GET", maps,
                headers: ["Accept": protobuf + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"]
            ).body)
        XCTAssertEqual(list.kind, "PartialObjectMetadataList")
        XCTAssertEqual(list["items"].arrayValue.map(\.name), ["a"])
    }

    /// As the typed client for definitions sends them and reads what becomes of them.
    func testDefinitions() throws {
        let headers = ["Content-Type": protobuf, "Accept": "\(protobuf),application/json"]
        let body = try KubernetesProtobuf.encode(CustomDefinitions.widgets())
        let created = try server.request("POST", CustomDefinitions.path, bytes: body, headers: headers)
        XCTAssertEqual(created.status, 201)
        let path = CustomDefinitions.path + "/widgets.example.com"
        let shown = try decode(try server.request("GET", path, headers: headers).body)
        XCTAssertEqual(shown, try server.request("GET", path).json)
        XCTAssertEqual(shown["spec"]["versions"][0]["schema"]["openAPIV3Schema"], CustomDefinitions.schema)
        XCTAssertTrue(
            shown["status"]["conditions"].arrayValue.contains { $0["type"] == "Established" && $0["status"] == "True" })
        XCTAssertEqual(
            try server.request("POST", CustomDefinitions.widgetsPath, CustomDefinitions.widget("w")).status, 201)
        let services = "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps"
        let service = try decode(try server.request("GET", services, headers: headers).body)
        XCTAssertEqual(service, try server.request("GET", services).json)
    }

    /// The next frame of a watch: its length in four bytes, then a WatchEvent.
    private func event(_ client: TLSClient, _ pending: inout [UInt8]) throws -> (type: String, object: JSON) {
        func take(_ count: Int) throws -> [UInt8] {
            while pending.count < count { pending += try XCTUnwrap(try client.chunk(), "the watch ended") }
            defer { pending.removeSubrange(..<count) }
            return Array(pending[..<count])
        }
        let size = try take(4).reduce(0) { $0 << 8 | Int($1) }
        let frame = try take(size)
        // Field 1 is the type, field 2 a message whose field 1 is the object with its envelope.
        XCTAssertEqual(frame[0], 0x0A)
        let type = String(decoding: frame[2..<(2 + Int(frame[1]))], as: UTF8.self)
        let start = try XCTUnwrap(
            (0..<(frame.count - 4)).first { frame[$0..<($0 + 4)].elementsEqual([0x6b, 0x38, 0x73, 0]) })
        return (type, try decode(Array(frame[start...])))
    }

    func testWatches() throws {
        _ = try server.request("POST", maps, map("a"))
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(maps)?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan HTTP/1.1\r\n"
                + "Host: a\r\nAuthorization: Bearer \(TestServer.token)\r\nAccept: \(protobuf),application/json\r\n\r\n"
        )
        XCTAssertEqual(try client.response(headOnly: true).headers["content-type"], protobuf + ";stream=watch")
        var pending: [UInt8] = []
        let added = try event(client, &pending)
        XCTAssertEqual(added.type, "ADDED")
        XCTAssertEqual(added.object, try server.request("GET", maps + "/a").json)
        let mark = try event(client, &pending)
        XCTAssertEqual(mark.type, "BOOKMARK")
        XCTAssertEqual(mark.object.kind, "ConfigMap")
        XCTAssertEqual(mark.object.metadata["annotations"], ["k8s.io/initial-events-end": "true"])
        _ = try server.request("DELETE", maps + "/a")
        var deleted = try event(client, &pending)
        // The server writes objects of its own when it starts, and marks how far the watch has come.
        while deleted.type == "BOOKMARK" { deleted = try event(client, &pending) }
        XCTAssertEqual(deleted.type, "DELETED")
        XCTAssertEqual(deleted.object.name, "a")
        let past = try server.connect()
        defer { past.close() }
        past.send(
            "GET \(maps)?watch=1&resourceVersion=999999 HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\nAccept: \(protobuf)\r\n\r\n")
        XCTAssertEqual(try past.response(headOnly: true).status, 200)
        var rest: [UInt8] = []
        let failed = try event(past, &rest)
        XCTAssertEqual(failed.type, "ERROR")
        XCTAssertEqual(failed.object.kind, "Status")
    }

    func testWhichFormClientsGet() throws {
        _ = try server.request("POST", maps, map("a"))
        _ = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets())
        _ = try server.request("POST", CustomDefinitions.widgetsPath, CustomDefinitions.widget("w"))
        let widget = CustomDefinitions.widgetsPath + "/w"
        let json = "application/json"
        let rows: [(path: String, accept: String, status: Int, type: String, reason: String)] = [
            (maps + "/a", protobuf, 200, protobuf, "protobuf alone"),
            (maps + "/a", "\(protobuf),\(json)", 200, protobuf, "in this order"),
            (maps + "/a", "\(json),\(protobuf)", 200, json, "in the other"),
            (maps + "/a", "\(json);q=0.5, \(protobuf);q=0.9", 200, protobuf, "by quality"),
            (maps + "/a", "\(protobuf);q=0, */*", 200, json, "refused by quality"),
            (maps + "/a", "*/*;q=0.8,\(protobuf);q=0.8", 200, protobuf, "the more specific one"),
            (maps + "/a", "application/*", 200, json, "any"),
            (maps + "/a", "application/cbor,\(json)", 200, json, "CBOR is passed over"),
            (maps + "/a", "application/cbor", 406, json, "CBOR alone"),
            (maps, "application/cbor-seq", 406, json, "CBOR alone, of a list"),
            (maps + "/a", "\(protobuf);as=Table;g=meta.k8s.io;v=v1", 406, json, "tables are in JSON only"),
            (
                maps + "/a", "\(protobuf);as=Table;g=meta.k8s.io;v=v1,\(json);as=Table;g=meta.k8s.io;v=v1", 200, json,
                "a table in JSON instead"
            ),
            (widget, protobuf, 406, protobuf, "a custom resource has no encoding; the refusal has"),
            (widget, "\(protobuf),\(json)", 200, json, "a custom resource in JSON"),
            (CustomDefinitions.path, "\(protobuf),\(json)", 200, protobuf, "definitions have one"),
            (maps + "/none", "\(json),\(protobuf)", 404, json, "a failure follows the preference too"),
        ]
        for row in rows {
            let answer = try server.request("GET", row.path, headers: ["Accept": row.accept])
            XCTAssertEqual(answer.status, row.status, row.reason)
            XCTAssertEqual(answer.headers["content-type"], row.type, row.reason)
        }
        // A write that could not be answered is not done.
        XCTAssertEqual(
            try server.request("POST", maps, map("b"), headers: ["Accept": "application/cbor"]).status, 406)
        XCTAssertEqual(try server.request("GET", maps + "/b").status, 404)
        XCTAssertEqual(
            try server.request("POST", maps, bytes: [0xA0], headers: ["Content-Type": "application/cbor"]).status, 415)
    }
}
