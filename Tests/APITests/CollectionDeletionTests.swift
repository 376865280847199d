import Objects
import XCTest

@testable import API

/// Deletion of all that a selector selects.
final class CollectionDeletionTests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    func testMoreThanOneGroupGoes() throws {
        let count = 75
        let client = try server.connect()
        defer { client.close() }
        for number in 0..<count {
            var map: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string("m\(number)")]]
            map["metadata"]["labels"] = ["half": .string(number % 2 == 0 ? "even" : "odd")]
            if number == 4 { map["metadata"]["finalizers"] = ["example.com/wait"] }
            XCTAssertEqual(try client.request("POST", maps, body: map.serialized()).status, 201)
        }
        let deleted = try server.request("DELETE", maps + "?labelSelector=half%3Deven").json
        XCTAssertEqual(deleted.kind, "ConfigMapList")
        let even = Set(stride(from: 0, to: count, by: 2).map { "m\($0)" })
        XCTAssertEqual(Set(deleted["items"].arrayValue.map(\.name)), even)
        let left = try server.request("GET", maps).json["items"].arrayValue
        let odd = Set(stride(from: 1, to: count, by: 2).map { "m\($0)" })
        XCTAssertEqual(Set(left.map(\.name)), odd.union(["m4", "kube-root-ca.crt"]).intersection(left.map(\.name)))
        XCTAssertEqual(left.filter { $0.deletionTimestamp != nil }.map(\.name), ["m4"], "its finalizer keeps it")
        XCTAssertEqual(Set(left.map(\.name)).intersection(odd), odd)
    }
}
