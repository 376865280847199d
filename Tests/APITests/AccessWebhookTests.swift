import Objects
import PluginKit
import XCTest

@testable import API

/// An authorizing webhook behind the stored roles, over the API.
final class AccessWebhookTests: XCTestCase {
    private var webhook: JSONServer!
    private var server: TestServer?

    override func setUpWithError() throws {
        webhook = try JSONServer { question in
            let spec = question.body["spec"]
            let status: JSON =
                switch spec["resourceAttributes"]["name"].stringValue
                    ?? spec["nonResourceAttributes"]["path"].stringValue
                {
                case "yes", "/metrics": ["allowed": true, "reason": "it is fine"]
                case "never": ["allowed": false, "denied": true, "reason": "not that"]
                default: ["allowed": false, "reason": "no idea"]
                }
            return ["apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "status": status]
        }
    }

    override func tearDownWithError() throws {
        try server?.stop()
        try webhook.stop()
    }

    private func start(_ change: (inout JSON) -> Void = { _ in }) throws -> TestServer {
        var entry: JSON = [
            "type": "Webhook", "name": "example",
            "webhook": ["url": .string(webhook.url("/may")), "certificateAuthority": .string(webhook.authority)],
        ]
        change(&entry)
        let server = try TestServer(
            options: ["authorization": ["authorizers": [["type": "RBAC"], entry]]])
        self.server = server
        return server
    }

    private func get(_ server: TestServer, _ name: String) throws -> TLSClient.Response {
        try server.request(
            "GET", name.hasPrefix("/") ? name : "/api/v1/namespaces/default/configmaps/\(name)",
            headers: ["Impersonate-User": "ann", "Impersonate-Group": "g"])
    }

    func testItDecidesWhatTheRolesDoNotAllow() throws {
        let server = try start()
        XCTAssertEqual(try get(server, "yes").status, 404, "allowed, and not there")
        XCTAssertEqual(try get(server, "yes").status, 404)
        XCTAssertEqual(webhook.questions.count, 1, "an answer is kept")
        XCTAssertEqual(
            webhook.questions.first?.body["spec"],
            [
                "user": "ann", "groups": ["g", "system:authenticated"],
                "resourceAttributes": [
                    "verb": "get", "namespace": "default", "version": "v1", "resource": "configmaps", "name": "yes",
                ],
            ])
        let denied = try get(server, "never")
        XCTAssertEqual(denied.status, 403)
        XCTAssertTrue(denied.text.contains("in the namespace \\\"default\\\": not that"), denied.text)
        XCTAssertEqual(try get(server, "other").status, 403)
        XCTAssertEqual(try get(server, "/metrics").status, 200)
        let review = try server.request(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            [
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": [
                    "resourceAttributes": [
                        "verb": "get", "namespace": "default", "version": "v1", "resource": "configmaps",
                        "name": "never",
                    ]
                ],
            ], headers: ["Impersonate-User": "ann", "Impersonate-Group": "g"])
        XCTAssertEqual(try review.json["status"], ["allowed": false, "denied": true, "reason": "not that"])
    }

    func testSelectorsAreTold() throws {
        let server = try start()
        let path = "/api/v1/namespaces/default/configmaps"
        let ann = ["Impersonate-User": "ann", "Impersonate-Group": "g"]
        let fields: JSON = [
            ["key": "metadata.name", "operator": "In", "values": ["never"]],
            ["key": "metadata.namespace", "operator": "NotIn", "values": ["x"]],
        ]
        let labels: JSON = [
            ["key": "a", "operator": "In", "values": ["b"]], ["key": "c", "operator": "NotIn", "values": ["d", "e"]],
            ["key": "f", "operator": "Exists"], ["key": "g", "operator": "DoesNotExist"],
        ]
        let query =
            "?fieldSelector=metadata.name%3Dnever,metadata.namespace!%3Dx"
            + "&labelSelector=a%3Db,c%20notin%20(d,e),f,!g,h%3E1"
        for (method, verb) in [("GET", "list"), ("DELETE", "deletecollection")] {
            XCTAssertEqual(try server.request(method, path + query, headers: ann).status, 403)
            let asked = webhook.questions.last?.body["spec"]["resourceAttributes"] ?? .null
            XCTAssertEqual(asked["verb"].stringValue, verb)
            XCTAssertEqual(asked["name"], "never", "as if that object were asked for")
            XCTAssertEqual(asked["fieldSelector"]["requirements"], fields)
            XCTAssertEqual(asked["labelSelector"]["requirements"], labels, "what cannot be told is left out")
        }
        for selector: JSON in [["requirements": labels], ["rawSelector": "a=b,c notin (d,e),f,!g"]] {
            let review = try server.request(
                "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                [
                    "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                    "spec": [
                        "user": .string("user-\(selector.count)-\(selector["rawSelector"].exists)"),
                        "resourceAttributes": ["verb": "list", "resource": "pods", "labelSelector": selector],
                    ],
                ])
            XCTAssertEqual(review.status, 201, review.text)
            XCTAssertEqual(
                webhook.questions.last?.body["spec"]["resourceAttributes"]["labelSelector"], ["requirements": labels])
        }
    }

    func testFailurePolicyAndConditions() throws {
        let server = try start {
            $0["webhook"]["failurePolicy"] = "Deny"
            $0["webhook"]["unauthorizedTTL"] = "0s"
            $0["webhook"]["matchConditions"] = [["expression": "request.resourceAttributes.name != 'unasked'"]]
        }
        webhook.answer { _ in nil }
        let denied = try get(server, "other")
        XCTAssertEqual(denied.status, 403)
        XCTAssertTrue(denied.text.contains("authorizer example does not answer"), denied.text)
        let count = webhook.questions.count
        XCTAssertEqual(try get(server, "unasked").status, 403)
        XCTAssertEqual(webhook.questions.count, count, "the condition does not hold")
        let broken = try get(server, "/metrics")
        XCTAssertTrue(broken.text.contains("a match condition of authorizer example resulted in error"), broken.text)
    }

    func testMistakesOfSettingsAreTold() {
        for (settings, message): (JSON, String) in [
            ([["type": "ABAC"]], "authorizers[0].type is \"ABAC\": it must be Node, RBAC or Webhook"),
            ([["type": "RBAC"], ["type": "RBAC"]], "authorizers[1]: there is an authorizer \"rbac\" already"),
            ([["type": "Webhook"]], "authorizers[0].webhook.url is \"\": it must be an https URL"),
            (
                [["type": "Webhook", "webhook": ["url": "https://a", "timeout": "1m"]]],
                "webhook.timeout must be above 0s and at most 30s"
            ),
            (
                [["type": "Webhook", "webhook": ["url": "https://a", "matchConditions": [["expression": "1"]]]]],
                "matchConditions[0].expression: must evaluate to bool"
            ),
        ] {
            do {
                _ = try AuthorizationSettings(["authorizers": settings])
                XCTFail("accepted: \(message)")
            } catch {
                XCTAssertTrue("\(error)".contains(message), "\(error)")
            }
        }
    }
}
