import Objects
import PluginKit
import XCTest

@testable import API

/// Roles: what covers what, what a start adds to them, what they gather of others, and what nobody may give away.
final class RoleTests: XCTestCase {
    private static let root = "/apis/rbac.authorization.k8s.io/v1"

    private func rule(_ verbs: String, _ groups: String, _ resources: String, _ names: String = "") -> JSON {
        BootstrapPolicy.allow(verbs, groups, resources, names: names)
    }

    func testCoverage() {
        let rows: [([JSON], [JSON], [String], String)] = [
            ([rule("get", "apps", "deployments")], [rule("*", "*", "*")], [], "all of everything"),
            (
                [rule("get list", "apps", "deployments")], [rule("get", "apps", "deployments")],
                [#"{APIGroups:["apps"], Resources:["deployments"], Verbs:["list"]}"#], "one verb of two"
            ),
            (
                [rule("create delete", "core", "pods")], [],
                [#"{APIGroups:[""], Resources:["pods"], Verbs:["create" "delete"]}"#], "nothing at all"
            ),
            (
                [rule("get", "core", "secrets")], [rule("get", "core", "secrets", "a")],
                [#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#], "one name is not all"
            ),
            (
                [rule("get", "core", "secrets", "a b")], [rule("get", "core", "secrets", "a")],
                [#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}"#], "another name"
            ),
            ([rule("get", "core", "secrets", "a")], [rule("get", "core", "secrets")], [], "one name of all"),
            ([rule("get", "apps", "deployments/scale")], [rule("get", "*", "*/scale")], [], "a subresource of all"),
            (
                [BootstrapPolicy.allow("get", paths: "/a/b /c")], [BootstrapPolicy.allow("get", paths: "/a/*")],
                [#"{NonResourceURLs:["/c"], Verbs:["get"]}"#], "a path below"
            ),
        ]
        for (wanted, present, expected, reason) in rows {
            let missing = RuleCoverage.missing(
                wanted.map(Authorizer.Rule.init), in: present.map(Authorizer.Rule.init))
            XCTAssertEqual(RuleCoverage.compact(missing).map(RuleCoverage.description), expected, reason)
        }
    }

    func testReconciliation() {
        let wanted = BootstrapPolicy.role("r", labels: ["aggregate-to-view"], [rule("get list", "core", "pods")])
        func present(_ change: (inout JSON) -> Void) -> JSON {
            var object = wanted
            change(&object)
            return object
        }
        func updated(_ object: JSON, _ change: (inout JSON) -> Void) -> RoleReconciliation.Step {
            var object = object
            change(&object)
            return .update(object)
        }
        let more = rule("watch", "core", "pods")
        let short = present { $0["rules"] = [rule("get", "core", "pods"), more] }
        let unlabelled = present { $0["metadata"]["labels"] = ["mine": "1"] }
        let protected = present {
            $0["rules"] = []
            $0["metadata"]["annotations"][RoleReconciliation.annotation] = "false"
        }
        let rows: [(JSON, RoleReconciliation.Step, String)] = [
            (wanted, .nothing, "as it should be"), (present { $0["rules"].append(more) }, .nothing, "more stays"),
            (short, updated(short) { $0["rules"].append(rule("list", "core", "pods")) }, "what is missing is added"),
            (
                unlabelled,
                updated(unlabelled) {
                    $0["metadata"]["labels"] = [
                        "mine": "1", "kubernetes.io/bootstrapping": "rbac-defaults",
                        "rbac.authorization.k8s.io/aggregate-to-view": "true",
                    ]
                }, "labels too"
            ), (protected, .nothing, "who says no is heard"),
        ]
        for (object, step, reason) in rows { XCTAssertEqual(RoleReconciliation.step(object, wanted), step, reason) }

        let gathering = BootstrapPolicy.aggregated("view", from: "aggregate-to-view")
        var plain = gathering
        plain.removeValue(forKey: "aggregationRule")
        plain["rules"] = [more]
        guard case .update(let changed) = RoleReconciliation.step(plain, gathering) else {
            return XCTFail("a role of an older cluster comes to gather")
        }
        XCTAssertEqual(changed["aggregationRule"], gathering["aggregationRule"])
        XCTAssertEqual(changed["rules"], [more], "its rules follow from others")

        let binding = BootstrapPolicy.binding("b", [.group("g"), .account("a")])
        var other = binding
        other["roleRef"]["name"] = "c"
        XCTAssertEqual(RoleReconciliation.step(other, binding), .replace, "a role reference cannot be changed")
        var fewer = binding
        fewer["subjects"] = [BootstrapPolicy.Subject.user("u").json, BootstrapPolicy.Subject.group("g").json]
        XCTAssertEqual(
            RoleReconciliation.step(fewer, binding),
            updated(fewer) { $0["subjects"].append(BootstrapPolicy.Subject.account("a").json) })
    }

    func testDefaultsAreConsistent() {
        let objects = BootstrapPolicy.objects + BootstrapPolicy.namespacedObjects
        let places = objects.map { "\($0.path)/\($0.object.name)" }
        XCTAssertEqual(Set(places).count, places.count, "each once")
        for (path, object) in objects where object["roleRef"].exists {
            let isCluster = object["roleRef"]["kind"] == "ClusterRole"
            let roles = isCluster ? Self.root + "/clusterroles" : path.replacing("rolebindings", with: "roles")
            XCTAssertTrue(
                places.contains("\(roles)/\(object["roleRef"]["name"].stringValue ?? "")"),
                "\(object.name) binds a role that is there")
        }
        let admin = objects.first { $0.object.name == "admin" }?.object ?? .null
        let rules = admin["rules"].arrayValue.map(Authorizer.Rule.init)
        let wanted = [
            rule("get", "core", "pods"), rule("create", "core", "pods/exec"),
            rule("create", "rbac.authorization.k8s.io", "rolebindings"),
        ]
        XCTAssertEqual(
            RuleCoverage.missing(wanted.map(Authorizer.Rule.init), in: rules), [], "of view, edit and its own")
        XCTAssertFalse(
            RuleCoverage.missing([Authorizer.Rule(rule("create", "core", "endpoints"))], in: rules).isEmpty,
            "nobody in a namespace sends its traffic elsewhere")
    }

    // MARK: - With a server

    func testRolesGatherRules() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        let roles = Self.root + "/clusterroles"
        func rules(_ name: String) throws -> [JSON] {
            try server.request("GET", "\(roles)/\(name)").json["rules"].arrayValue
        }
        let crontabs = rule("get list watch", "stable.example.com", "crontabs")
        XCTAssertFalse(try rules("view").isEmpty, "from the first answer on")
        XCTAssertFalse(try rules("view").contains(crontabs))
        var role = BootstrapPolicy.role("crontabs", labels: ["aggregate-to-view"], [crontabs])
        XCTAssertEqual(try server.request("POST", roles, role).status, 201)
        try server.eventually("view has it, and what gathers from it") {
            try ["view", "edit", "admin"].allSatisfy { try rules($0).contains(crontabs) }
        }
        role["metadata"]["labels"] = [:]
        XCTAssertEqual(try server.request("PUT", roles + "/crontabs", role).status, 200)
        try server.eventually("and loses it") { try !rules("admin").contains(crontabs) }
    }

    func testAStartBringsRolesUpToDate() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        let merge = ["Content-Type": "application/merge-patch+json"]
        let place = Self.root + "/clusterroles/system:kube-dns"
        let before = try server.request("GET", place).json["rules"]
        XCTAssertEqual(try server.request("PATCH", place, ["rules": []], headers: merge).status, 200)
        let binding = Self.root + "/clusterrolebindings/system:basic-user"
        XCTAssertEqual(try server.request("PATCH", binding, ["subjects": .null], headers: merge).status, 200)
        let kept = Self.root + "/clusterroles/system:discovery"
        let protection: JSON = [
            "metadata": ["annotations": [.init(RoleReconciliation.annotation): "false"]], "rules": [],
        ]
        XCTAssertEqual(try server.request("PATCH", kept, protection, headers: merge).status, 200)
        try server.restart()
        let after = try server.request("GET", place).json["rules"]
        XCTAssertEqual(
            RuleCoverage.missing(
                before.arrayValue.map(Authorizer.Rule.init), in: after.arrayValue.map(Authorizer.Rule.init)),
            [])
        XCTAssertEqual(try server.request("GET", binding).json["subjects"][0]["name"], "system:authenticated")
        XCTAssertTrue(try server.request("GET", kept).json["rules"].isEmpty, "it was protected")
        let version = try server.request("GET", place).json.resourceVersion
        try server.restart()
        XCTAssertEqual(try server.request("GET", place).json.resourceVersion, version, "nothing more to do")
    }

    func testNobodyGivesAwayWhatTheyLack() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        let binding: JSON = [
            "metadata": ["name": "ann"], "subjects": [BootstrapPolicy.Subject.user("ann").json],
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"],
        ]
        let bindings = Self.root + "/namespaces/default/rolebindings"
        XCTAssertEqual(try server.request("POST", bindings, binding).status, 201)
        let ann = ["Impersonate-User": "ann"]
        func post(_ path: String, _ object: JSON) throws -> TLSClient.Response {
            try server.request("POST", path, object, headers: ann)
        }
        let roles = Self.root + "/namespaces/default/roles"
        let good: JSON = ["metadata": ["name": "good"], "rules": [rule("get", "core", "pods")]]
        try server.eventually("she may") { try post(roles, good).status != 403 }
        let refused = try post(
            roles,
            ["metadata": ["name": "bad"], "rules": [rule("get delete", "core", "nodes pods"), rule("*", "*", "*")]])
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            """
            roles.rbac.authorization.k8s.io "bad" is forbidden: user "ann" (groups=["system:authenticated"]) is attempting to \
            grant RBAC permissions not currently held:
            {APIGroups:[""], Resources:["nodes"], Verbs:["get" "delete"]}
            {APIGroups:["*"], Resources:["*"], Verbs:["*"]}
            """)
        func bind(_ role: JSON) -> JSON {
            [
                "metadata": ["name": "to"], "subjects": [BootstrapPolicy.Subject.user("bob").json],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role],
            ]
        }
        XCTAssertEqual(try post(bindings, bind("cluster-admin")).status, 403, "more than she has")
        let unknown = try post(bindings, bind("later"))
        XCTAssertEqual(unknown.status, 404, "a role that is yet to come may say anything")
        XCTAssertEqual(try unknown.json["message"], "clusterroles.rbac.authorization.k8s.io \"later\" not found")
        XCTAssertEqual(try post(bindings, bind("view")).status, 201, "less than she has")
    }
}
