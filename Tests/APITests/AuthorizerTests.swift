import Objects
import XCTest

@testable import API

final class AuthorizerTests: XCTestCase {
    private let authorizer = Authorizer()

    override func setUp() {
        func role(_ name: String, _ rules: JSON) {
            authorizer.update(
                resource: "clusterroles.rbac.authorization.k8s.io",
                key: "clusterroles.rbac.authorization.k8s.io//\(name)",
                object: ["metadata": ["name": .string(name)], "rules": rules])
        }
        role("reader", [["verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]]])
        role("one", [["verbs": ["*"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"]]])
        role("paths", [["verbs": ["get"], "nonResourceURLs": ["/metrics", "/healthz/*"]]])
        role("status", [["verbs": ["patch"], "apiGroups": ["*"], "resources": ["*/status"]]])
        bind("a", "reader", ["kind": "User", "name": "ann"])
        bind("b", "one", ["kind": "Group", "name": "ops"])
        bind("c", "paths", ["kind": "Group", "name": "ops"])
        bind("d", "status", ["kind": "User", "name": "ann"])
        bind("e", "reader", ["kind": "ServiceAccount", "name": "sa", "namespace": "x"], namespace: "y")
    }

    private func bind(_ name: String, _ role: String, _ subject: JSON, namespace: String = "") {
        let kind = namespace.isEmpty ? "clusterrolebindings" : "rolebindings"
        authorizer.update(
            resource: "\(kind).rbac.authorization.k8s.io",
            key: "\(kind).rbac.authorization.k8s.io/\(namespace)/\(name)",
            object: [
                "metadata": ["name": .string(name), "namespace": .string(namespace)],
                "roleRef": ["kind": "ClusterRole", "name": .string(role)], "subjects": [subject],
            ])
    }

    private struct Stranger: AccessAuthorizer {
        let asksOthers = true
        func decide(_ user: UserInfo, _ wanted: Authorizer.Attributes, mayWait: Bool) -> AccessDecision {
            .noOpinion(reason: "")
        }
        func listing(of user: UserInfo) -> AccessListing { .unknown("nobody knows") }
    }

    func testListings() {
        bind("f", "missing", ["kind": "User", "name": "eve"])
        bind("g", "reader", ["kind": "Group", "name": "twice"])
        bind("h", "reader", ["kind": "User", "name": "eve"])
        let reader = Authorizer.Rule(["verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]])
        let missing = "clusterrole.rbac.authorization.k8s.io \"missing\" not found"
        let master = UserInfo(name: "root", groups: ["system:masters", "twice"])
        let account = UserInfo(name: "system:serviceaccount:x:sa")
        let rows: [(UserInfo, String, Authorizer.Listing, String)] = [
            (UserInfo(name: "bob"), "x", .init(), "nobody's bindings"),
            (
                UserInfo(name: "eve", groups: ["twice"]), "x", .init(rules: [reader], problems: [missing]),
                "each rule once"
            ),
            (account, "y", .init(rules: [reader]), "in a namespace"), (account, "x", .init(), "and in no other"),
            (master, "x", .init(rules: Authorizer.Rule.everything + [reader]), "those who may everything"),
        ]
        for (user, namespace, expected, reason) in rows {
            XCTAssertEqual(authorizer.listing(of: user, namespace: namespace), expected, reason)
        }
        authorizer.replace([.other(Stranger()), .roles, .other(UniformAuthorizer(isAllowing: true))])
        XCTAssertTrue(authorizer.mayWait)
        XCTAssertEqual(
            authorizer.listing(of: UserInfo(name: "eve"), namespace: "x"),
            .init(
                rules: [reader] + Authorizer.Rule.everything, isIncomplete: true, problems: ["nobody knows", missing]),
            "all say what they can")
    }

    func testDecisions() {
        let ann = UserInfo(name: "ann")
        let bob = UserInfo(name: "bob", groups: ["ops"])
        let account = UserInfo(name: "system:serviceaccount:x:sa")
        let root = UserInfo(name: "root", groups: ["system:masters"])
        let rows: [(UserInfo, Authorizer.Attributes, Bool, String)] = [
            (ann, .init(verb: "get", resource: "pods", namespace: "n"), true, "by a cluster role"),
            (ann, .init(verb: "delete", resource: "pods", namespace: "n"), false, "another verb"),
            (
                ann, .init(verb: "get", resource: "pods", subresource: "log", namespace: "n"), true,
                "a named subresource"
            ),
            (
                ann, .init(verb: "get", resource: "pods", subresource: "exec", namespace: "n"), false,
                "another subresource"
            ),
            (ann, .init(verb: "get", group: "apps", resource: "pods"), false, "another group"),
            (
                ann, .init(verb: "patch", group: "apps", resource: "deployments", subresource: "status"), true,
                "any status"
            ),
            (bob, .init(verb: "delete", group: "apps", resource: "deployments", name: "web"), true, "the named one"),
            (bob, .init(verb: "delete", group: "apps", resource: "deployments", name: "db"), false, "another name"),
            (bob, .init(verb: "list", group: "apps", resource: "deployments"), false, "a list has no name"),
            (bob, .init(verb: "get", path: "/metrics"), true, "a path"),
            (bob, .init(verb: "get", path: "/healthz/ping"), true, "below a path"),
            (bob, .init(verb: "get", path: "/version"), false, "another path"),
            (account, .init(verb: "get", resource: "pods", namespace: "y"), true, "in the binding's namespace"),
            (account, .init(verb: "get", resource: "pods", namespace: "x"), false, "in another"),
            (account, .init(verb: "list", resource: "pods"), false, "in all"),
            (root, .init(verb: "x", resource: "y"), true, "masters"),
            (.anonymous, .init(verb: "get", resource: "pods"), false, "nobody"),
        ]
        for (user, wanted, expected, reason) in rows {
            XCTAssertEqual(authorizer.allows(user, wanted), expected, reason)
        }
    }

    func testReasons() {
        let rows: [(UserInfo, Authorizer.Attributes, String)] = [
            (
                UserInfo(name: "ann"), .init(verb: "get", resource: "pods"),
                "RBAC: allowed by ClusterRoleBinding \"a\" of ClusterRole \"reader\" to User \"ann\""
            ),
            (
                UserInfo(name: "bob", groups: ["ops"]), .init(verb: "get", path: "/metrics"),
                "RBAC: allowed by ClusterRoleBinding \"c\" of ClusterRole \"paths\" to Group \"ops\""
            ),
            (
                UserInfo(name: "system:serviceaccount:x:sa"), .init(verb: "get", resource: "pods", namespace: "y"),
                "RBAC: allowed by RoleBinding \"e/y\" of ClusterRole \"reader\" to ServiceAccount \"sa/x\""
            ),
        ]
        for (user, wanted, reason) in rows {
            XCTAssertEqual(authorizer.decide(user, wanted, mayWait: false), .allowed(reason: reason))
        }
    }

    func testRemovedBindingsCountNoMore() {
        authorizer.update(
            resource: "clusterrolebindings.rbac.authorization.k8s.io",
            key: "clusterrolebindings.rbac.authorization.k8s.io//a", object: nil)
        XCTAssertFalse(authorizer.allows(UserInfo(name: "ann"), .init(verb: "get", resource: "pods")))
    }

    func testBootstrapRoles() throws {
        let fresh = Authorizer()
        for (path, object) in BootstrapPolicy.objects {
            let resource = path.split(separator: "/").last.map(String.init) ?? ""
            guard path.contains("rbac") else { continue }
            fresh.update(resource: "\(resource).rbac.authorization.k8s.io", key: "r//\(object.name)", object: object)
        }
        let user = UserInfo(name: "u", groups: ["system:authenticated"])
        XCTAssertTrue(fresh.allows(user, .init(verb: "get", path: "/apis/apps/v1")))
        XCTAssertTrue(
            fresh.allows(
                user, .init(verb: "create", group: "authorization.k8s.io", resource: "selfsubjectaccessreviews")))
        XCTAssertFalse(fresh.allows(user, .init(verb: "get", resource: "secrets", namespace: "a")))
        XCTAssertTrue(fresh.allows(.anonymous, .init(verb: "get", path: "/version")))
    }
}
