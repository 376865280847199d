import Objects
import XCTest

@testable import API

/// Custom resources and their definitions where Kubernetes' own tests look closely.
final class CustomEdgeTests: XCTestCase {
    private var server: TestServer!
    private let widgets = CustomDefinitions.widgetsPath
    private let merge = ["Content-Type": "application/merge-patch+json"]

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func define(_ change: (inout JSON) -> Void = { _ in }) throws {
        let answer = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets(change))
        XCTAssertEqual(answer.status, 201, answer.text)
    }

    func testKinds() throws {
        try define()
        let widget = CustomDefinitions.widget("w", ["size": 3])
        XCTAssertEqual(try server.request("POST", widgets, widget).status, 201)
        let rows: [(String, String, String)] = [("POST", widgets, "v"), ("PUT", widgets + "/w", "w")]
        for (method, path, name) in rows {
            let other = CustomDefinitions.widget(name, ["size": 3]).with("kind", "Other")
            let wrong = try server.request(method, path, other)
            XCTAssertEqual(wrong.status, 422, method)
            XCTAssertEqual(
                try wrong.json["message"].stringValue,
                "Other.example.com \"\(name)\" is invalid: kind: Invalid value: \"Other\": must be Widget")
            XCTAssertEqual(try wrong.json["details"]["kind"], "Other")
        }
        let none = try server.request("POST", widgets, ["metadata": ["name": "v"], "spec": ["size": 3]])
        XCTAssertEqual(none.status, 400)
        XCTAssertTrue(
            try none.json["message"].stringValue?.hasPrefix("Object 'Kind' is missing in '{") ?? false, none.text)
        let patched = try server.request("PATCH", widgets + "/w", ["kind": "Other"], headers: merge)
        XCTAssertEqual(
            try patched.json["message"].stringValue,
            "Other.example.com \"w\" is invalid: kind: Invalid value: \"Other\": must be Widget")
    }

    func testWarningsAndSelectors() throws {
        try define()
        var widget = CustomDefinitions.widget("w", ["size": 3])
        widget["metadata"]["finalizers"] = ["mine", "example.com/mine"]
        let text =
            #"299 - "metadata.finalizers: \"mine\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers""#
        XCTAssertEqual(try server.request("POST", widgets, widget).headers["warning"], text)
        XCTAssertNil(
            try server.request("PATCH", widgets + "/w", ["spec": ["size": 4]], headers: merge).headers["warning"],
            "it is known")
        for path in [widgets, "/api/v1/pods", "/api/v1/nodes"] {
            XCTAssertEqual(
                try server.request("GET", path + "?fieldSelector=spec.nothing%3Dx").json["message"],
                "field label not supported: spec.nothing", path)
        }
        XCTAssertEqual(
            try server.request("GET", "/api/v1/configmaps?fieldSelector=spec.nothing%3Dx").json["message"],
            "\"spec.nothing\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }

    func testEmbeddedMetadataOfAWrongType() throws {
        try define {
            $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["inner"] = [
                "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
            ]
        }
        var widget = CustomDefinitions.widget("w", ["size": 3])
        widget["inner"] = ["apiVersion": "v1", "kind": "Pod", "metadata": ["name": "n", "namespace": 42]]
        let answer = try server.request("POST", widgets, widget)
        XCTAssertEqual(answer.status, 400)
        XCTAssertEqual(
            try answer.json["message"].stringValue,
            "Widget in version \"v1\" cannot be handled as a Widget: inner.metadata: Invalid value: "
                + #"{"name":"n","namespace":42}: json: cannot unmarshal number into Go struct field ObjectMeta.namespace of type string"#
        )
    }

    /// A write that changes nothing keeps the defaults that the definition has got since.
    func testDefaultsAreKept() throws {
        try define()
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("w", ["size": 3])).status, 201)
        let definition = CustomDefinitions.path + "/widgets.example.com"
        func setDefault(_ value: JSON) throws {
            let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/default"
            let change: JSON =
                value.isNull
                ? [["op": "remove", "path": .string(path)]] : [["op": "add", "path": .string(path), "value": value]]
            let type = ["Content-Type": "application/json-patch+json"]
            XCTAssertEqual(try server.request("PATCH", definition, change, headers: type).status, 200)
        }
        try setDefault(7)
        let shown = try server.request("GET", widgets + "/w").json
        XCTAssertEqual(shown["spec"]["replicas"], 7)
        let written = try server.request("PUT", widgets + "/w", shown).json
        XCTAssertNotEqual(written.resourceVersion, shown.resourceVersion)
        XCTAssertEqual(try server.request("PUT", widgets + "/w", written).json, written, "once")
        try setDefault(.null)
        XCTAssertEqual(try server.request("GET", widgets + "/w").json["spec"]["replicas"], 7)
    }

    func testStoredVersionsHaveTheStorageVersion() throws {
        try define()
        let path = CustomDefinitions.path + "/widgets.example.com/status"
        let answer = try server.request("PATCH", path, ["status": ["storedVersions": ["v2"]]], headers: merge)
        XCTAssertEqual(answer.status, 422)
        XCTAssertTrue(answer.text.contains("must have the storage version v1"), answer.text)
    }

    func testApprovalOfKubernetesOwnGroups() throws {
        let name = "widgets.example.k8s.io"
        let key = "api-approved.kubernetes.io"
        try define {
            $0["metadata"] = ["name": .string(name), "annotations": [key: "unapproved, for tests"]]
            $0["spec"]["group"] = "example.k8s.io"
        }
        func condition() throws -> JSON {
            try server.request("GET", "\(CustomDefinitions.path)/\(name)").json["status"]["conditions"].arrayValue.first
            {
                $0["type"] == "KubernetesAPIApprovalPolicyConformant"
            } ?? .null
        }
        XCTAssertEqual(try condition()["status"], "False")
        XCTAssertEqual(try condition()["reason"], "UnapprovedAPI")
        let change: JSON = ["metadata": ["annotations": [key: "https://example.com/1"]]]
        XCTAssertEqual(
            try server.request("PATCH", "\(CustomDefinitions.path)/\(name)", change, headers: merge).status, 200)
        XCTAssertEqual(try condition()["status"], "True")
        XCTAssertEqual(try condition()["reason"], "ApprovedAnnotation")
        XCTAssertEqual(try condition()["message"], "approved in https://example.com/1")
    }
}
