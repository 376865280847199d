import Objects
import XCTest

@testable import API

/// Server-side apply and managed fields, as clients meet them.
final class ServerSideApplyTests: XCTestCase {
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private let deployments = "/apis/apps/v1/namespaces/default/deployments"
    private let maps = "/api/v1/namespaces/default/configmaps"

    private func deployment(_ spec: JSON) -> JSON {
        var full: JSON = [
            "selector": ["matchLabels": ["app": "web"]],
            "template": [
                "metadata": ["labels": ["app": "web"]], "spec": ["containers": [["name": "c", "image": "i:1"]]],
            ],
        ]
        for (key, value) in spec.objectValue ?? [:] { full[key] = value }
        return ["apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"], "spec": full]
    }

    private func apply(_ path: String, _ body: JSON, _ query: String) throws -> TLSClient.Response {
        try server.request(
            "PATCH", path + "?" + query, body, headers: ["Content-Type": "application/apply-patch+yaml"])
    }

    private func managers(_ object: JSON) -> [String] {
        object.metadata["managedFields"].arrayValue.map {
            let part = $0["subresource"].stringValue.map { "/\($0)" } ?? ""
            return "\($0["manager"].stringValue ?? "")\(part) \($0["operation"].stringValue ?? "")"
        }
    }

    func testApplyCreatesThenChangesThenRemoves() throws {
        let created = try apply(deployments + "/web", deployment(["replicas": 2, "paused": true]), "fieldManager=me")
        XCTAssertEqual(created.status, 201)
        let first = try created.json
        XCTAssertEqual(managers(first), ["me Apply"])
        XCTAssertEqual(first["spec"]["template"]["spec"]["restartPolicy"], "Always", "defaults are filled in")
        XCTAssertTrue(
            first.metadata["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:restartPolicy"].isNull,
            "and belong to nobody")

        let same = try apply(deployments + "/web", deployment(["replicas": 2, "paused": true]), "fieldManager=me")
        XCTAssertEqual(same.status, 200)
        XCTAssertEqual(try same.json, first, "nothing changes, not even the version")

        let second = try apply(deployments + "/web", deployment(["replicas": 3]), "fieldManager=me").json
        XCTAssertEqual(second["spec"]["replicas"], 3)
        XCTAssertTrue(second["spec"]["paused"].isNull, "what is no longer applied goes")
        XCTAssertEqual(second.generation, 2)
    }

    func testTheSameApplyChangesNothingUntilTheObjectChanges() throws {
        let path = deployments + "/web"
        let config = deployment(["replicas": 2])
        let first = try apply(path, config, "fieldManager=me").json
        for _ in 0..<3 {
            let same = try apply(path, config, "fieldManager=me")
            XCTAssertEqual(same.status, 200)
            XCTAssertEqual(try same.json, first)
        }
        XCTAssertEqual(try apply(path, config, "fieldManager=me&dryRun=All").json, first)
        let shared = try apply(path, config, "fieldManager=you").json
        XCTAssertEqual(managers(shared), ["me Apply", "you Apply"], "the same by another is another apply")
        var changed = shared
        changed["spec"]["replicas"] = 7
        XCTAssertEqual(try server.request("PUT", path, changed, headers: ["User-Agent": "other"]).status, 200)
        for _ in 0..<2 {
            XCTAssertEqual(try apply(path, config, "fieldManager=me").status, 409, "it would change the object now")
        }
        let forced = try apply(path, config, "fieldManager=me&force=true").json
        XCTAssertEqual(forced["spec"]["replicas"], 2)
        XCTAssertEqual(try apply(path, config, "fieldManager=me&force=true").json, forced)
        XCTAssertEqual(try server.request("DELETE", path).status, 200)
        XCTAssertEqual(try apply(path, config, "fieldManager=me&force=true").status, 201, "there is none any more")
    }

    func testConflictAndForce() throws {
        _ = try apply(deployments + "/web", deployment(["replicas": 2]), "fieldManager=me")
        let refused = try apply(deployments + "/web", deployment(["replicas": 5]), "fieldManager=you")
        XCTAssertEqual(refused.status, 409)
        let status = try refused.json
        XCTAssertEqual(status["reason"], "Conflict")
        XCTAssertEqual(
            status["message"], "Apply failed with 1 conflict: conflict with \"me\": .spec.replicas")
        XCTAssertEqual(
            status["details"]["causes"],
            [["reason": "FieldManagerConflict", "message": "conflict with \"me\"", "field": ".spec.replicas"]])
        let forced = try apply(deployments + "/web", deployment(["replicas": 5]), "fieldManager=you&force=true")
        XCTAssertEqual(try forced.json["spec"]["replicas"], 5)
        let back = try apply(deployments + "/web", deployment(["replicas": 2]), "fieldManager=me")
        XCTAssertEqual(try back.json["message"], "Apply failed with 1 conflict: conflict with \"you\": .spec.replicas")
    }

    func testOtherWritesAreManagersToo() throws {
        let created = try server.request(
            "POST", deployments, deployment(["replicas": 1]), headers: ["User-Agent": "creator/v1 (linux)"]
        ).json
        XCTAssertEqual(managers(created), ["creator Update"])
        let scale = try server.request("GET", deployments + "/web/scale").json
        _ = try server.request(
            "PUT", deployments + "/web/scale?fieldManager=scaler", scale.with("spec", ["replicas": 4]))
        var object = try server.request("GET", deployments + "/web").json
        XCTAssertEqual(managers(object).sorted(), ["creator Update", "scaler/scale Update"])
        object["status"]["replicas"] = 4
        let after = try server.request("PUT", deployments + "/web/status?fieldManager=controller", object).json
        XCTAssertEqual(
            managers(after).sorted(), ["controller/status Update", "creator Update", "scaler/scale Update"])
        let refused = try apply(deployments + "/web", deployment(["replicas": 2]), "fieldManager=me")
        XCTAssertEqual(refused.status, 409)
        let message = try refused.json["message"].stringValue ?? ""
        XCTAssertTrue(message.contains("\"scaler\" with subresource \"scale\" using apps/v1"), message)
    }

    /// What admission adds is not the client's, so that a client which takes over all that it once created, and applies less
    /// than the server made of it, removes none of it.
    func testWhatAdmissionAddsBelongsToNobody() throws {
        let pods = "/api/v1/namespaces/default/pods"
        let config: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "labels": ["a": "1"]],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
        ]
        var created = try server.request("POST", pods + "?fieldManager=me", config).json
        XCTAssertTrue(created["spec"]["tolerations"].exists, "admission has added something")
        let owned = created.metadata["managedFields"][0]["fieldsV1"]["f:spec"]
        XCTAssertEqual(owned["f:restartPolicy"], [:], "defaults are the client's")
        for field in ["f:tolerations", "f:volumes", "f:serviceAccountName", "f:priority"] {
            XCTAssertTrue(owned[field].isNull, field)
        }
        // As kubectl does before it applies to the server what it has applied by itself so far.
        created["metadata"]["managedFields"][0]["operation"] = "Apply"
        let taken = try server.request("PUT", pods + "/p", created)
        XCTAssertEqual(taken.status, 200, taken.text)
        let applied = try apply(pods + "/p", config, "fieldManager=me")
        XCTAssertEqual(applied.status, 200, applied.text)
        XCTAssertEqual(try applied.json["spec"], created["spec"])
    }

    func testStatusIsAppliedApart() throws {
        _ = try apply(deployments + "/web", deployment(["replicas": 2]), "fieldManager=me")
        let status: JSON = [
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"],
            "spec": ["replicas": 9], "status": ["replicas": 2],
        ]
        let after = try apply(deployments + "/web/status", status, "fieldManager=me")
        XCTAssertEqual(after.status, 200)
        XCTAssertEqual(try after.json["status"]["replicas"], 2)
        XCTAssertEqual(try after.json["spec"]["replicas"], 2)
        XCTAssertEqual(managers(try after.json).sorted(), ["me Apply", "me/status Apply"])
    }

    func testManagersCanBeReset() throws {
        _ = try apply(maps + "/a", configMap(["k": "v"]), "fieldManager=me")
        let reset = try server.request(
            "PATCH", maps + "/a", ["metadata": ["managedFields": [[:]]]],
            headers: ["Content-Type": "application/merge-patch+json"]
        ).json
        XCTAssertTrue(reset.metadata["managedFields"].isNull)
        let next = try apply(maps + "/a", configMap(["k": "v"]), "fieldManager=me").json
        XCTAssertEqual(managers(next), ["me Apply", "before-first-apply Update"])
    }

    /// A scale's replicas belong to who applies them, by the path that the object has them at.
    func testScaleIsApplied() throws {
        let path = deployments + "/web"
        XCTAssertEqual(try apply(path, deployment(["replicas": 2]), "fieldManager=me").status, 201)
        let scale: JSON = ["apiVersion": "autoscaling/v1", "kind": "Scale", "spec": ["replicas": 5]]
        let refused = try apply(path + "/scale", scale, "fieldManager=auto")
        XCTAssertEqual(refused.status, 409)
        XCTAssertEqual(
            try refused.json["details"]["causes"],
            [["reason": "FieldManagerConflict", "message": "conflict with \"me\"", "field": ".spec.replicas"]])
        let forced = try apply(path + "/scale", scale, "fieldManager=auto&force=true")
        XCTAssertEqual(forced.status, 200, forced.text)
        XCTAssertEqual(try forced.json.kind, "Scale")
        XCTAssertEqual(try forced.json["spec"]["replicas"], 5)
        let owned = try server.request("GET", path).json
        XCTAssertEqual(owned["spec"]["replicas"], 5)
        XCTAssertEqual(Set(managers(owned)), ["auto/scale Apply", "me Apply"])
        XCTAssertEqual(
            owned.metadata["managedFields"].arrayValue.first { $0["manager"] == "auto" }?["fieldsV1"],
            ["f:spec": ["f:replicas": [:]]])
        XCTAssertEqual(
            try apply(path + "/scale", ["spec": ["replicas": 1]], "fieldManager=auto").status, 400, "no kind")
        XCTAssertEqual(
            try apply(path + "/scale", scale.with("spec", ["replicas": -1]), "fieldManager=auto").status, 422)
    }

    func testDryRunWritesNothing() throws {
        let draft = try apply(maps + "/a", configMap(["k": "v"]), "fieldManager=me&dryRun=All")
        XCTAssertEqual(draft.status, 201)
        XCTAssertEqual(try server.request("GET", maps + "/a").status, 404)
    }

    func testYAML() throws {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"1\"\n"
        let response = try server.request(
            "PATCH", maps + "/a?fieldManager=me", bytes: Array(text.utf8),
            headers: ["Content-Type": "application/apply-patch+yaml"])
        XCTAssertEqual(response.status, 201)
        XCTAssertEqual(try response.json["data"], ["k": "1"])
        let created = try server.request(
            "POST", maps, bytes: Array(text.replacing("name: a", with: "name: b").utf8),
            headers: ["Content-Type": "application/yaml"])
        XCTAssertEqual(created.status, 201)
    }

    private func configMap(_ data: JSON) -> JSON {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "a"], "data": data]
    }

    func testWhatIsRefused() throws {
        let rows: [(reason: String, query: String, body: JSON, code: Int, message: String)] = [
            (
                "no manager", "", configMap([:]), 422,
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
            ),
            (
                "managed fields in it", "fieldManager=me",
                configMap([:]).with("metadata", ["name": "a", "managedFields": [[:]]]), 400,
                "metadata.managedFields must be nil"
            ),
            (
                "another name", "fieldManager=me", configMap([:]).with("metadata", ["name": "b"]), 400,
                "the name of the object (b) does not match the name on the URL (a)"
            ),
            (
                "an unknown field", "fieldManager=me", configMap([:]).with("dates", ["k": "v"]), 500,
                "failed to create typed patch object (default/a; v1, Kind=ConfigMap): .dates: field not declared in schema"
            ),
            (
                "no kind", "fieldManager=me", ["metadata": ["name": "a"]], 400,
                "invalid object type: /, Kind="
            ),
        ]
        for row in rows {
            let response = try apply(maps + "/a", row.body, row.query)
            XCTAssertEqual(response.status, row.code, row.reason)
            XCTAssertEqual(try response.json["message"].stringValue, row.message, row.reason)
        }
        let forced = try server.request(
            "PATCH", maps + "/a?force=true", [:], headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(
            try forced.json["message"],
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch")
    }
}
