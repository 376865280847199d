import Objects
import XCTest

@testable import API

final class StoredObjectTests: XCTestCase {
    private func spliced(_ text: String, _ revision: UInt64 = 7) -> String {
        String(decoding: Array(text.utf8).withUnsafeBytes { StoredObject.bytes($0, revision: revision) }, as: UTF8.self)
    }

    func testResourceVersionIsPutIn() {
        XCTAssertEqual(
            spliced(#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"metadata":{}}}"#),
            #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"7","name":"a"},"data":{"metadata":{}}}"#
        )
        XCTAssertEqual(spliced(#"{"metadata":{}}"#), #"{"metadata":{"resourceVersion":"7"}}"#, "empty metadata")
        XCTAssertEqual(spliced("{}"), "{}", "no metadata")
    }

    func testPartialObjects() throws {
        let value = Array(#"{"kind":"X","metadata":{"name":"}\"{","labels":{"a":"]"}},"spec":{}}"#.utf8)
        var output: [UInt8] = []
        value.withUnsafeBytes { StoredObject.writePartial($0, revision: 3, version: "v1", into: &output) }
        let json = try JSON(parsing: output)
        XCTAssertEqual(json.kind, "PartialObjectMetadata")
        XCTAssertEqual(json.name, #"}"{"#, "braces and quotes in strings")
        XCTAssertEqual(json.resourceVersion, "3")
        XCTAssertTrue(json["spec"].isNull)
    }

    func testNormalized() throws {
        let object: JSON = [
            "spec": 1, "metadata": ["resourceVersion": "5", "selfLink": "/a", "name": "a"], "kind": "K",
            "apiVersion": "v1",
        ]
        XCTAssertEqual(
            StoredObject.normalized(object).serializedString(),
            #"{"apiVersion":"v1","kind":"K","metadata":{"name":"a"},"spec":1}"#)
        // Also where the members are in order already.
        for text in [
            #"{"apiVersion":"v1","kind":"K","metadata":{"name":"a"},"spec":1}"#,
            #"{"apiVersion":"v1","kind":"K","metadata":{"resourceVersion":"5","name":"a"},"spec":1}"#,
            #"{"apiVersion":"v1","kind":"K","metadata":{"name":"a","selfLink":"/a"},"spec":1}"#,
            #"{"kind":"K","apiVersion":"v1","metadata":{"name":"a"},"spec":1}"#,
            #"{"apiVersion":"v1","kind":"K","spec":1,"metadata":{"name":"a"}}"#,
        ] {
            XCTAssertEqual(
                StoredObject.normalized(try JSON(parsing: Array(text.utf8))).serializedString(),
                #"{"apiVersion":"v1","kind":"K","metadata":{"name":"a"},"spec":1}"#, text)
        }
        XCTAssertEqual(
            StoredObject.normalized(["kind": "K"]).serializedString(),
            #"{"apiVersion":null,"kind":"K","metadata":{}}"#)
    }

    func testIndexAndSelection() throws {
        let pods = try XCTUnwrap(ResourceTable.ofSchema().stored("pods"))
        let pod: JSON = [
            "metadata": ["name": "a", "namespace": "b", "labels": ["app": "web", "tier": ""]],
            "spec": ["nodeName": "n1"],
            "status": ["phase": "Running"],
        ]
        let index = StoredObject.index(of: pod, pods)
        let rows: [(String, Bool)] = [
            ("", true), ("labelSelector=app%3Dweb", true), ("labelSelector=app%3Dx", false),
            ("labelSelector=!app", false),
            ("labelSelector=tier", true), ("fieldSelector=spec.nodeName%3Dn1", true),
            ("fieldSelector=spec.nodeName%21%3Dn1", false),
            ("fieldSelector=metadata.name%3Da,status.phase%3DRunning", true),
            ("fieldSelector=status.podIP%3D", true), ("fieldSelector=spec.hostNetwork%3Dfalse", true),
            ("labelSelector=app+in+(a,web)&fieldSelector=metadata.namespace%3Db", true),
        ]
        for (query, expected) in rows {
            let selection = try Selection(try Query(parsing: query[...]), pods)
            XCTAssertEqual(index.withUnsafeBytes { selection.matches(index: $0) }, expected, query)
        }
        XCTAssertThrowsError(try Selection(try Query(parsing: "fieldSelector=spec.x%3D1"), pods))
        XCTAssertThrowsError(try Selection(try Query(parsing: "labelSelector=a%3D%3D%3Db"), pods))
    }
}
