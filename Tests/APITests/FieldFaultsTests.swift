import Objects
import XCTest

@testable import API

/// In which words and order strict field validation tells what it has against an object.
final class FieldFaultsTests: XCTestCase {
    private var server: TestServer!

    override func tearDownWithError() throws { try server?.stop() }

    private let object: JSON = ["z": 1, "a": 2, "m": ["k": 1, "b": [["x": 1]]], "known": ["twice": 1]]

    func testOrders() {
        let unknown = ["a", "m.b[0].x", "z"]
        func told(_ repeated: RepeatedKeys, isCustom: Bool = false) -> [String] {
            FieldFaults(object, unknown: unknown, repeated: repeated, isCustom: isCustom).texts
        }
        let plain = unknown.map { "unknown field \"\($0)\"" }
        XCTAssertEqual(told(RepeatedKeys()), plain, "as they were found")
        XCTAssertEqual(
            told(RepeatedKeys(fields: ["known.twice", "z", "m.k"])),
            [
                "unknown field \"z\"", "unknown field \"a\"", "duplicate field \"m.k\"", "unknown field \"m.b[0].x\"",
                "duplicate field \"known.twice\"",
            ], "both from front to back, and no unknown field is told of twice")
        XCTAssertEqual(
            told(RepeatedKeys(fields: ["known.twice"]), isCustom: true), ["duplicate field \"known.twice\""] + plain,
            "custom resources are looked at afterwards")
        var yaml = RepeatedKeys()
        yaml.isYAML = true
        XCTAssertEqual(
            told(yaml), ["unknown field \"a\"", "unknown field \"m.b[0].x\"", "unknown field \"z\""],
            "keys in order in YAML")
        XCTAssertEqual(
            FieldFaults(ofPatched: object, unknown: ["z", "a"], isCustom: false).texts,
            ["unknown field \"a\"", "unknown field \"z\""])
        XCTAssertEqual(
            FieldFaults(ofPatched: object, unknown: ["z", "a"], isCustom: true).texts,
            ["unknown field \"z\"", "unknown field \"a\""])
    }

    func testCustomResources() throws {
        server = try TestServer()
        _ = try server.request(
            "POST", CustomDefinitions.path,
            CustomDefinitions.widgets {
                $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["inner"] = [
                    "type": "object", "x-kubernetes-embedded-resource": true,
                    "properties": ["spec": ["type": "object"]],
                ]
            })
        let text = """
            {"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","zzz":1,"aaa":1},"top":1,
            "spec":{"size":3,"size":3,"none":1,"inner":{"apiVersion":"v1","kind":"Pod","metadata":{"odd":1},"other":1}}}
            """
        let answer = try server.request(
            "POST", CustomDefinitions.widgetsPath + "?fieldValidation=Strict", bytes: Array(text.utf8))
        XCTAssertEqual(answer.status, 400)
        let fields = [
            "metadata.aaa", "metadata.zzz", "spec.inner.other", "spec.none", "top", "spec.inner.metadata.odd",
        ]
        XCTAssertEqual(
            try answer.json["message"].stringValue,
            "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: duplicate field \"spec.size\", "
                + fields.map { "unknown field \"\($0)\"" }.joined(separator: ", "))
    }

    /// A repeated key in the YAML of an apply is told of with its line, one warning each.
    func testRepeatedKeysOfApplies() throws {
        server = try TestServer()
        let path = "/api/v1/namespaces/default/configmaps/a?fieldManager=m"
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: a\n  k: b\n  l: a\n  l: b\n"
        let type = ["Content-Type": "application/apply-patch+yaml"]
        let warned = try server.request("PATCH", path, bytes: Array(yaml.utf8), headers: type)
        XCTAssertEqual(warned.status, 201, warned.text)
        XCTAssertEqual(
            warned.headers["warning"], #"299 - "line 9: key \"l\" already set in map""#, "the last of two headers")
        let strict = try server.request(
            "PATCH", path + "&fieldValidation=Strict", bytes: Array(yaml.utf8), headers: type)
        XCTAssertEqual(strict.status, 400)
        XCTAssertTrue(
            try strict.json["message"].stringValue?.hasPrefix(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 7: key \"k\""
            )
                ?? false, strict.text)
    }
}
