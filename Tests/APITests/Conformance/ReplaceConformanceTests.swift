import Objects
import XCTest

@testable import API

/// What PUT makes of objects that are not there, and of those whose revision it does not name.
final class ReplaceConformanceTests: ConformanceCase {
    private static let roles = "/apis/rbac.authorization.k8s.io/v1"

    func testWhatIsNotThereIsCreatedOfSomeKinds() throws {
        let rows: [(path: String, kind: String, fields: JSON, status: Int)] = [
            ("\(Self.roles)/clusterroles/a", "ClusterRole", ["rules": []], 201),
            ("\(Self.roles)/namespaces/default/roles/a", "Role", ["rules": []], 201),
            ("/api/v1/namespaces/default/services/a", "Service", ["spec": ["ports": [["port": 80]]]], 201),
            ("/api/v1/namespaces/default/limitranges/a", "LimitRange", ["spec": ["limits": []]], 201),
            ("/api/v1/namespaces/default/endpoints/a", "Endpoints", [:], 201),
            ("/apis/node.k8s.io/v1/runtimeclasses/a", "RuntimeClass", ["handler": "h"], 201),
            ("/apis/coordination.k8s.io/v1/namespaces/default/leases/a", "Lease", [:], 201),
            ("/api/v1/namespaces/default/configmaps/a", "ConfigMap", [:], 404),
        ]
        for row in rows {
            var object = row.fields
            object.kind = row.kind
            object.apiVersion = row.path.hasPrefix("/api/v1") ? "v1" : groupVersion(of: row.path)
            object.name = "a"
            let answer = try ask("PUT", row.path, object)
            XCTAssertEqual(answer.status, row.status, "\(row.kind): \(answer.text)")
        }
    }

    private func groupVersion(of path: String) -> String {
        path.split(separator: "/").dropFirst().prefix(2).joined(separator: "/")
    }

    func testCreationNeedsItsOwnPermission() throws {
        let role: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": "updates-leases"],
            "rules": [["apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]]],
        ]
        let binding: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": ["name": "updates-leases"],
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "updates-leases"],
            "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "lee"]],
        ]
        XCTAssertEqual(try ask("POST", Self.roles + "/clusterroles", role).status, 201)
        XCTAssertEqual(try ask("POST", Self.roles + "/clusterrolebindings", binding).status, 201)
        let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/b"
        let lease: JSON = ["apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": "b"]]
        let refused = try ask("PUT", path, lease, headers: ["Impersonate-User": "lee"])
        XCTAssertEqual(refused.status, 403)
        XCTAssertTrue(refused.text.contains("cannot create resource"), refused.text)
        let present = try ask("PUT", path, lease).json
        try server.eventually("the role is known") {
            try self.ask("PUT", path, present, headers: ["Impersonate-User": "lee"]).status == 200
        }
    }

    func testSomeKindsWantTheirRevision() throws {
        let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        let lease: JSON = ["apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": "c"]]
        let present = try ask("POST", path, lease).json
        for revision in ["", "0"] {
            var object = lease
            if !revision.isEmpty { object.resourceVersion = revision }
            let answer = try ask("PUT", path + "/c", object)
            XCTAssertEqual(answer.status, 422, answer.text)
            XCTAssertEqual(
                try answer.json["details"]["causes"],
                [
                    [
                        "reason": "FieldValueInvalid", "message": "Invalid value: 0: must be specified for an update",
                        "field": "metadata.resourceVersion",
                    ]
                ])
        }
        var other = lease
        other.uid = "00000000-0000-0000-0000-000000000000"
        XCTAssertEqual(try ask("PUT", path + "/c", other).status, 409, "another object")
        XCTAssertEqual(try ask("PUT", path + "/c", present).status, 200)
        XCTAssertEqual(try merge(path + "/c", ["spec": ["holderIdentity": "me"]]).status, 200)
    }
}
