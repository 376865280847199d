import Objects
import XCTest

@testable import ObjectSchema

/// Other servers' OpenAPI documents within this server's.
final class OpenAPIOthersTests: XCTestCase {
    private func reference(_ name: String) -> JSON { ["$ref": .string("#/definitions/\(name)")] }

    private func document(_ root: String, _ definitions: JSON, uses name: String) -> JSON {
        let item: JSON = ["get": ["schema": reference(name)]]
        return ["paths": .object(JSONObject([(root + "/things", item)])), "definitions": definitions]
    }

    func testNamesThatAreTaken() {
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
        var others = OpenAPIOthers(custom: ["com.example.v1.Widget"])
        let thing: JSON = [
            "type": "object", "properties": ["metadata": reference(meta), "next": reference("a.Thing")],
        ]
        others.add(
            document("/apis/a/v1", ["a.Thing": thing, meta: ["description": "theirs"]], uses: "a.Thing"),
            below: "/apis/a/v1")
        others.add(document("/apis/b/v1", ["a.Thing": thing, meta: [:]], uses: "a.Thing"), below: "/apis/b/v1")
        others.add(document("/apis/c/v1", ["a.Thing": ["type": "string"]], uses: "a.Thing"), below: "/apis/c/v1")
        others.add(
            document("/apis/d/v1", ["com.example.v1.Widget": ["type": "string"]], uses: "com.example.v1.Widget"),
            below: "/apis/d/v1")
        XCTAssertEqual(
            others.paths.map(\.path),
            ["/apis/a/v1/things", "/apis/b/v1/things", "/apis/c/v1/things", "/apis/d/v1/things"])
        XCTAssertEqual(
            others.paths.map { $0.item["get"]["schema"] },
            ["a.Thing", "a.Thing", "a.Thing_v2", "com.example.v1.Widget_v2"].map(reference))
        XCTAssertEqual(others.definitions.map(\.name), ["a.Thing", "a.Thing_v2", "com.example.v1.Widget_v2"])
        XCTAssertEqual(others.definitions.map(\.schema).first, thing, "the same of two servers is there once")
        XCTAssertEqual(others.ownNames, [meta], "Kubernetes' own is this server's")
    }

    func testOnlyWhatIsNeededBelowAPath() throws {
        var others = OpenAPIOthers()
        others.add(
            [
                "paths": [
                    "/apis/a/v1": ["get": ["parameters": [["$ref": "#/parameters/p"], ["name": "q"]]]],
                    "/apis/a/v1beta1/x": ["get": ["schema": reference("X")]], "/apis/a/v12": [:], "/version": [:],
                ], "parameters": ["p": ["name": "p", "in": "query"]], "definitions": ["X": [:], "Y": [:]],
            ], below: "/apis/a/v1")
        XCTAssertEqual(others.paths.map(\.path), ["/apis/a/v1"])
        XCTAssertEqual(
            others.paths.first?.item, ["get": ["parameters": [["name": "p", "in": "query"], ["name": "q"]]]])
        XCTAssertTrue(others.definitions.isEmpty)
    }

    func testTheDocumentIsWhole() throws {
        var others = OpenAPIOthers()
        others.add(
            document(
                "/apis/a/v1", ["a.Thing": ["properties": ["status": reference("io.k8s.api.core.v1.Node")]]],
                uses: "a.Thing"),
            below: "/apis/a/v1")
        let text = OpenAPIDocument.v2(resources: [], others: others)
        let made = try JSON(parsing: text)
        XCTAssertTrue(made["paths"]["/apis/a/v1/things"].exists)
        XCTAssertTrue(made["definitions"]["a.Thing"].exists)
        XCTAssertTrue(made["definitions"]["io.k8s.api.core.v1.NodeSpec"].exists, "and what those need")
    }
}
