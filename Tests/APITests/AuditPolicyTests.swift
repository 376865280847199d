import Objects
import XCTest

@testable import API

final class AuditPolicyTests: XCTestCase {
    private static func policy(_ rules: JSON, _ change: (inout JSON) -> Void = { _ in }) throws -> AuditPolicy {
        var json: JSON = ["apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules]
        change(&json)
        return try AuditPolicy(json)
    }

    private static func info(_ method: APIRequest.Method, _ target: String) throws -> RequestInfo {
        RequestInfo(try APIRequest(method: method, target: target, user: UserInfo(name: "u"), isInternal: false))
    }

    func testTheFirstRuleThatMatchesCounts() throws {
        let ann = UserInfo(name: "ann", groups: ["dev", "system:authenticated"])
        let pod = "/api/v1/namespaces/a/pods/p"
        let rows: [(JSON, String, Bool, String)] = [
            ([:], pod, true, "everything"), (["users": ["ann", "bob"]], pod, true, "one of the users"),
            (["users": ["bob"]], pod, false, "another user"), (["userGroups": ["dev"]], pod, true, "a group"),
            (["userGroups": ["ops"]], pod, false, "another group"), (["verbs": ["get"]], pod, true, "the verb"),
            (["verbs": ["list"]], pod, false, "another verb"),
            (["verbs": ["watch"]], "/api/v1/pods?watch=1", true, "a watch"),
            (["namespaces": ["a"]], pod, true, "the namespace"), (["namespaces": ["b"]], pod, false, "another"),
            (["namespaces": [""]], "/api/v1/nodes/n", true, "what is in no namespace"),
            (["namespaces": ["a"]], "/healthz", false, "a path has no namespace"),
            (["resources": [["group": ""]]], pod, true, "all of a group"),
            (["resources": [["group": "apps"]]], pod, false, "another group"),
            (["resources": [["resources": ["pods"]]]], pod, true, "the resource"),
            (["resources": [["resources": ["pods"]]]], pod + "/log", false, "not its subresources"),
            (["resources": [["resources": ["pods/log"]]]], pod + "/log", true, "a subresource"),
            (["resources": [["resources": ["pods/*"]]]], pod + "/log", true, "all of its subresources"),
            (["resources": [["resources": ["*/log"]]]], pod + "/log", true, "this one of all resources"),
            (["resources": [["resources": ["*"]]]], pod + "/log", true, "all"),
            (["resources": [["resources": ["pods"], "resourceNames": ["p"]]]], pod, true, "by name"),
            (["resources": [["resources": ["pods"], "resourceNames": ["q"]]]], pod, false, "another name"),
            (["nonResourceURLs": ["/healthz*"]], "/healthz/ping", true, "below a path"),
            (["nonResourceURLs": ["/version"]], "/healthz", false, "another path"),
            (["nonResourceURLs": ["*"]], pod, false, "a resource is no such path"),
        ]
        for (rule, target, matches, reason) in rows {
            var rule = rule
            rule["level"] = "Request"
            let policy = try Self.policy([rule, ["level": "Metadata"]])
            let level = policy.verdict(try Self.info(.get, target), ann).level
            XCTAssertEqual(level, matches ? .request : .metadata, reason)
        }
        let none = try Self.policy([["level": "Request", "users": ["bob"]]])
        XCTAssertEqual(none.verdict(try Self.info(.get, pod), ann).level, .none, "no rule")
    }

    func testOmissions() throws {
        let policy = try Self.policy(
            [
                ["level": "Request", "omitStages": ["ResponseStarted"], "verbs": ["get"], "omitManagedFields": false],
                ["level": "Metadata"],
            ]
        ) {
            $0["omitStages"] = ["RequestReceived"]
            $0["omitManagedFields"] = true
        }
        let user = UserInfo(name: "u")
        XCTAssertEqual(
            policy.verdict(try Self.info(.get, "/version"), user),
            .init(level: .request, omittedStages: [.requestReceived, .responseStarted], omitsManagedFields: false))
        XCTAssertEqual(
            policy.verdict(try Self.info(.post, "/version"), user),
            .init(level: .metadata, omittedStages: [.requestReceived], omitsManagedFields: true))
    }

    func testMistakesAreTold() {
        let rows: [(JSON, (inout JSON) -> Void, String)] = [
            ([], { _ in }, "rules must have at least one rule"),
            (
                [["level": "All"]], { _ in },
                "rules[0].level is \"All\": it must be one of None, Metadata, Request, RequestResponse"
            ),
            (
                [["level": "None", "omitStages": ["End"]]], { _ in },
                "rules[0].omitStages[0] is \"End\": it must be one of RequestReceived, ResponseStarted, ResponseComplete, Panic"
            ),
            (
                [["level": "None", "nonResourceURLs": ["a"]]], { _ in },
                "rules[0].nonResourceURLs[0] is \"a\": it must begin with /"
            ),
            (
                [["level": "None", "nonResourceURLs": ["/a*b"]]], { _ in },
                "rules[0].nonResourceURLs[0] is \"/a*b\": * may only be its last character"
            ),
            (
                [["level": "None", "nonResourceURLs": ["/a"], "namespaces": ["b"]]], { _ in },
                "rules[0] must not have nonResourceURLs together with resources or namespaces: no request is both"
            ),
            (
                [["level": "None"]], { $0["kind"] = "Rules" },
                "it must be of apiVersion audit.k8s.io/v1 and kind Policy, not of \"audit.k8s.io/v1\" and \"Rules\""
            ),
        ]
        for (rules, change, message) in rows {
            XCTAssertThrowsError(try Self.policy(rules, change), message) {
                XCTAssertEqual(($0 as? AuditPolicy.Mistake)?.text, message)
            }
        }
    }
}
