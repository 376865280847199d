import Objects
import XCTest

@testable import API

/// The scale subresource of custom resources where Kubernetes' own tests look closely.
final class CustomScaleTests: XCTestCase {
    private var server: TestServer!
    private let widgets = CustomDefinitions.widgetsPath
    private let merge = ["Content-Type": "application/merge-patch+json"]

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func define(_ path: String = ".spec.free.replicas") throws {
        let answer = try server.request(
            "POST", CustomDefinitions.path,
            CustomDefinitions.widgets {
                $0["spec"]["versions"][0]["subresources"]["scale"] = [
                    "specReplicasPath": .string(path), "statusReplicasPath": ".status.free.replicas",
                    "labelSelectorPath": ".status.free.selector",
                ]
                $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["free"] = [
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                ]
            })
        XCTAssertEqual(answer.status, 201, answer.text)
    }

    func testWhatNoScaleCanShow() throws {
        try define()
        let prefix = "Widget.example.com \"a\" is invalid: .spec.free.replicas: Invalid value: "
        let rows: [(replicas: JSON, message: String)] = [
            (-1, "-1: should be a non-negative integer"),
            (.integer(1 << 40), "\(1 << 40): should be less than or equal to 2147483647"),
            ("x", "0: .spec.free.replicas accessor error: x is of the type string, expected int64"),
            (1.5, "0: .spec.free.replicas accessor error: 1.5 is of the type float64, expected int64"),
            (
                ["a": 1],
                "0: .spec.free.replicas accessor error: map[a:1] is of the type map[string]interface {}, expected int64"
            ),
        ]
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("there")).status, 201)
        for row in rows {
            let spec: JSON = ["size": 3, "free": ["replicas": row.replicas]]
            let made = try server.request("POST", widgets, CustomDefinitions.widget("a", spec))
            XCTAssertEqual(made.status, 422)
            XCTAssertEqual(try made.json["message"].stringValue, prefix + row.message)
            XCTAssertEqual(
                try server.request("PATCH", widgets + "/there", ["spec": spec], headers: merge).status, 422)
        }
        for (status, field): (JSON, String) in [
            (["replicas": -1], ".status.free.replicas"), (["selector": 1], ".status.free.selector"),
        ] {
            let written = try server.request(
                "PATCH", widgets + "/there/status", ["status": ["free": status]], headers: merge)
            XCTAssertEqual(written.status, 422)
            XCTAssertEqual(try written.json["details"]["causes"][0]["field"].stringValue, field)
        }
    }

    func testScalesAreOfTheirType() throws {
        try define()
        let spec: JSON = ["size": 3, "free": ["replicas": 3]]
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("a", spec)).status, 201)
        let rows: [(patch: JSON, code: Int, words: String)] = [
            (
                ["spec": ["replicas": "x"]], 422,
                "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas"
            ),
            (
                ["spec": ["replicas": .integer(1 << 40)]], 422,
                "json: cannot unmarshal number 1099511627776 into Go struct"
            ),
            (
                ["spec": ["replicas": -1]], 422,
                ".spec.free.replicas: Invalid value: -1: should be a non-negative integer"
            ),
            (["spec": ["none": 1]], 422, "strict decoding error: unknown field \"spec.none\""),
            (["metadata": ["name": "b"]], 400, "the name of the object (b) does not match the name on the URL (a)"),
            (["spec": ["replicas": 4]], 200, ""),
        ]
        for row in rows {
            let answer = try server.request(
                "PATCH", widgets + "/a/scale?fieldValidation=Strict", row.patch, headers: merge)
            XCTAssertEqual(answer.status, row.code, answer.text)
            guard row.code != 200 else { continue }
            XCTAssertTrue(try answer.json["message"].stringValue?.contains(row.words) ?? false, answer.text)
        }
        var scale: JSON = [
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": ["name": "a"], "spec": ["replicas": 5],
        ]
        XCTAssertEqual(try server.request("PUT", widgets + "/a/scale", scale).json["spec"]["replicas"], 5)
        scale["metadata"] = [:]
        XCTAssertEqual(
            try server.request("PUT", widgets + "/a/scale", scale).json["message"],
            "the name of the object (a based on URL) was undeterminable: name must be provided")
    }

    /// A number that is not there can be set, and not be shown.
    func testANumberThatIsNotThere() throws {
        try define()
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("a")).status, 201)
        XCTAssertEqual(
            try server.request("GET", widgets + "/a/scale").json["message"],
            "Internal error occurred: the spec replicas field \".spec.free.replicas\" does not exist")
        let none = try server.request("PATCH", widgets + "/a/scale", ["metadata": [:]], headers: merge)
        XCTAssertEqual(none.status, 400)
        XCTAssertEqual(try none.json["message"], "the spec replicas field \".spec.free.replicas\" cannot be empty")
        let set = try server.request("PATCH", widgets + "/a/scale", ["spec": ["replicas": 7]], headers: merge)
        XCTAssertEqual(try set.json["spec"]["replicas"], 7, set.text)
        XCTAssertEqual(try server.request("GET", widgets + "/a").json["spec"]["free"], ["replicas": 7])
    }

    /// What stands between dots is a name, brackets and all.
    func testNamesWithBrackets() throws {
        try define(".spec.free.replicas[0]")
        let spec: JSON = ["size": 3, "free": ["replicas[0]": 3]]
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("a", spec)).status, 201)
        XCTAssertEqual(try server.request("GET", widgets + "/a/scale").json["spec"]["replicas"], 3)
        let set = try server.request("PATCH", widgets + "/a/scale", ["spec": ["replicas": 5]], headers: merge)
        XCTAssertEqual(set.status, 200, set.text)
        XCTAssertEqual(try server.request("GET", widgets + "/a").json["spec"]["free"], ["replicas[0]": 5])
    }
}
