import Objects
import XCTest

@testable import API

final class ImpersonationTests: XCTestCase {
    private static func of(_ headers: [(name: String, value: String)]) throws -> Impersonation? {
        try Impersonation(headers)
    }

    func testEachPartThatIsNamedMustBeAllowed() throws {
        let identity = "authentication.k8s.io"
        func part(_ resource: String, _ name: String, _ change: (inout Authorizer.Attributes) -> Void = { _ in })
            -> Authorizer.Attributes
        {
            var part = Authorizer.Attributes(verb: "impersonate", resource: resource, name: name)
            change(&part)
            return part
        }
        let account = part("serviceaccounts", "b") { $0.namespace = "a" }
        let rows: [([(String, String)], [Authorizer.Attributes], [String], String)] = [
            ([("impersonate-user", "ann")], [part("users", "ann")], ["system:authenticated"], "a user"),
            (
                [("impersonate-user", "ann"), ("impersonate-group", "g"), ("impersonate-group", "h")],
                [part("users", "ann"), part("groups", "g"), part("groups", "h")], ["g", "h", "system:authenticated"],
                "with groups"
            ),
            (
                [("impersonate-user", "system:serviceaccount:a:b")], [account],
                ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"],
                "an account has the groups of its namespace"
            ),
            (
                [("impersonate-user", "system:serviceaccount:a:b"), ("impersonate-group", "system:masters")],
                [account, part("groups", "system:masters")], ["system:masters", "system:authenticated"],
                "an account's other groups are asked for as everybody's"
            ),
            (
                [("impersonate-user", "a:b:c:d"), ("impersonate-group", "system:masters")],
                [part("users", "a:b:c:d"), part("groups", "system:masters")],
                ["system:masters", "system:authenticated"], "a name that only looks like an account's"
            ),
            (
                [("impersonate-user", "system:anonymous")], [part("users", "system:anonymous")],
                ["system:unauthenticated"], "nobody"
            ),
            (
                [("impersonate-user", "ann"), ("impersonate-uid", "7")],
                [part("users", "ann"), part("uids", "7") { $0.group = identity }], ["system:authenticated"], "a uid"
            ),
            (
                [("impersonate-user", "ann"), ("impersonate-extra-example.com%2Fteam", "x")],
                [
                    part("users", "ann"),
                    part("userextras", "x") {
                        $0.group = identity
                        $0.subresource = "example.com/team"
                    },
                ], ["system:authenticated"], "extra"
            ),
        ]
        for (headers, wanted, groups, reason) in rows {
            let found = try XCTUnwrap(try Self.of(headers.map { (name: $0.0, value: $0.1) }), reason)
            XCTAssertEqual(found.wanted, wanted, reason)
            XCTAssertEqual(found.user.groups, groups, reason)
        }
        XCTAssertNil(try Self.of([(name: "user-agent", value: "x")]))
        XCTAssertThrowsError(try Self.of([(name: "impersonate-group", value: "g")]), "a group of nobody")
    }

    func testWaysThatAreConstrained() throws {
        let group = "authentication.k8s.io"
        let agent = UserInfo(
            name: "system:serviceaccount:kube-system:agent", groups: ["system:serviceaccounts"],
            extra: ["authentication.kubernetes.io/node-name": ["n"]])
        let ann = UserInfo(name: "ann")
        let rows: [([(String, String)], UserInfo, [String], [String], String)] = [
            (
                [("impersonate-user", "bob")], ann, ["impersonate:user-info users bob"], ["system:authenticated"],
                "a user"
            ),
            (
                [("impersonate-user", "bob"), ("impersonate-group", "g"), ("impersonate-extra-k", "v")], ann,
                [
                    "impersonate:user-info users bob", "impersonate:user-info groups g",
                    "impersonate:user-info userextras/k v",
                ], ["g", "system:authenticated"], "with all that is said of them"
            ),
            (
                [("impersonate-user", "system:serviceaccount:a:b")], ann,
                ["impersonate:serviceaccount serviceaccounts b"],
                ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"], "an account"
            ),
            (
                [("impersonate-user", "system:serviceaccount:a:b"), ("impersonate-group", "g")], ann, [], [],
                "an account with other groups: only altogether"
            ),
            (
                [("impersonate-user", "system:node:n")], ann, ["impersonate:arbitrary-node nodes n"],
                ["system:nodes", "system:authenticated"], "a node"
            ),
            (
                [("impersonate-user", "system:node:n")], agent,
                ["impersonate:associated-node nodes *", "impersonate:arbitrary-node nodes n"],
                ["system:nodes", "system:authenticated"], "the node that the caller runs on"
            ),
            (
                [("impersonate-user", "system:node:m")], agent, ["impersonate:arbitrary-node nodes m"],
                ["system:nodes", "system:authenticated"], "another one"
            ),
        ]
        for (headers, caller, parts, groups, reason) in rows {
            let wanted = try XCTUnwrap(try Self.of(headers.map { (name: $0.0, value: $0.1) }), reason)
            let ways = ConstrainedImpersonation.all(wanted, caller)
            XCTAssertEqual(
                ways.flatMap(\.parts).map {
                    "\($0.verb) \($0.resource)\($0.subresource.isEmpty ? "" : "/" + $0.subresource) \($0.name)"
                }, parts, reason)
            XCTAssertTrue(ways.flatMap(\.parts).allSatisfy { $0.group == group }, reason)
            XCTAssertTrue(ways.allSatisfy { $0.user.groups == groups }, reason)
        }
    }

    func testAConstrainedCallerDoesNoMore() throws {
        let authorizer = Authorizer()
        func allow(_ rules: JSON) {
            authorizer.update(
                resource: "clusterroles.rbac.authorization.k8s.io", key: "clusterroles.rbac.authorization.k8s.io//r",
                object: ["metadata": ["name": "r"], "rules": rules])
        }
        authorizer.update(
            resource: "clusterrolebindings.rbac.authorization.k8s.io",
            key: "clusterrolebindings.rbac.authorization.k8s.io//r",
            object: [
                "metadata": ["name": "r"], "roleRef": ["kind": "ClusterRole", "name": "r"],
                "subjects": [["kind": "User", "name": "ann"]],
            ])
        let ann = UserInfo(name: "ann")
        let bob = try XCTUnwrap(try Self.of([(name: "impersonate-user", value: "bob")]))
        let list = Authorizer.Attributes(verb: "list", resource: "pods", namespace: "default")
        let identity: JSON = [
            "apiGroups": ["authentication.k8s.io"], "resources": ["users"], "resourceNames": ["bob"],
            "verbs": ["impersonate:user-info"],
        ]
        let action: JSON = ["apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:user-info:list"]]
        allow([identity, action])
        let found = try bob.check(ann, authorizer, action: list)
        XCTAssertEqual(found.user.name, "bob")
        XCTAssertEqual(found.impersonator, ann)
        XCTAssertEqual(found.constraint, "impersonate:user-info")
        var delete = list
        delete.verb = "delete"
        XCTAssertThrowsError(try bob.check(ann, authorizer, action: delete), "another verb")
        allow([identity])
        XCTAssertThrowsError(try bob.check(ann, authorizer, action: list), "no action at all")
        allow([action])
        XCTAssertThrowsError(try bob.check(ann, authorizer, action: list), "nobody to be")
        allow([["apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]]])
        XCTAssertEqual(try bob.check(ann, authorizer, action: delete).constraint, "", "whoever may be bob altogether")
    }

    func testWhoMayImpersonateAccountsGetsNoGroups() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let root = "/apis/rbac.authorization.k8s.io/v1"
        let role: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": "acting"],
            "rules": [["verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"]]],
        ]
        XCTAssertEqual(try server.request("POST", root + "/clusterroles", role).status, 201)
        let binding: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": ["name": "acting"],
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "acting"],
            "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:bootstrap:abcdef"]],
        ]
        XCTAssertEqual(try server.request("POST", root + "/clusterrolebindings", binding).status, 201)
        var secret: JSON = [
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": ["name": "bootstrap-token-abcdef"],
        ]
        for (key, value) in [
            ("token-id", "abcdef"), ("token-secret", "0123456789abcdef"), ("usage-bootstrap-authentication", "true"),
        ] { secret["stringData"][key] = .string(value) }
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces/kube-system/secrets", secret).status, 201)
        func act(_ headers: [String: String]) throws -> TLSClient.Response {
            try server.request(
                "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"], headers: headers,
                token: "abcdef.0123456789abcdef")
        }
        let account = "system:serviceaccount:default:default"
        try server.eventually("the role is in force") { try act(["Impersonate-User": account]).status == 201 }
        let refused = try act(["Impersonate-User": account, "Impersonate-Group": "system:masters"])
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "groups \"system:masters\" is forbidden: User \"system:bootstrap:abcdef\" cannot impersonate resource \"groups\" "
                + "in API group \"\" at the cluster scope")
    }
}
