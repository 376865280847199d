import Glibc
import Objects
import PluginKit
import XCTest

@testable import API

/// Files of kind AuthorizationConfiguration: what is wrong with them, and what happens when they change.
final class AuthorizationFileTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws { directory = try temporaryDirectory() }
    override func tearDownWithError() throws { try FileTree.remove(directory) }

    private func document(_ authorizers: JSON) -> [UInt8] {
        let document: JSON = [
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
            "authorizers": authorizers,
        ]
        return document.serialized()
    }

    private func kubeconfig(_ server: String, authority: String = "") throws -> String {
        let config: JSON = [
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [["name": "c", "context": ["cluster": "s", "user": "u"]]],
            "clusters": [
                [
                    "name": "s",
                    "cluster": [
                        "server": .string(server),
                        "certificate-authority-data": .string(Base64.encode(Array(authority.utf8))),
                    ],
                ]
            ], "users": [["name": "u", "user": ["token": "hush"]]],
        ]
        let path = directory + "/webhook.kubeconfig"
        try AtomicFile.write(config.serialized(), to: path, isDurable: false)
        return path
    }

    private func webhook(_ file: String, _ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var webhook: JSON = [
            "timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "NoOpinion",
            "connectionInfo": ["type": "KubeConfigFile", "kubeConfigFile": .string(file)],
        ]
        change(&webhook)
        return ["type": "Webhook", "name": "w", "webhook": webhook]
    }

    func testMistakesAreToldWithTheirPlace() throws {
        let file = try kubeconfig("https://a.example.com")
        let rows: [(authorizers: JSON, expected: String, reason: String)] = [
            ([], "authorizers: Required value: at least one authorization mode must be defined", "nobody"),
            ([["name": "a"]], "authorizers[0].type: Required value", "no type"),
            ([["type": "ABAC", "name": "a"]], "authorizers[0].type: Unsupported value: \"ABAC\"", "an unknown type"),
            (
                [["type": "RBAC", "name": "a"], ["type": "RBAC", "name": "b"]],
                "authorizers[1].type: Duplicate value: \"RBAC\"", "the roles twice"
            ),
            (
                [["type": "RBAC", "name": "a"], ["type": "Node", "name": "a"]],
                "authorizers[1].name: Duplicate value: \"a\"", "a name twice"
            ),
            ([["type": "RBAC"]], "authorizers[0].name: Required value", "no name"),
            ([["type": "RBAC", "name": "A"]], "authorizer name is invalid: a lowercase RFC 1123", "no such name"),
            ([["type": "Webhook", "name": "a"]], "webhook: Required value: required when type=Webhook", "no webhook"),
            (
                [["type": "RBAC", "name": "a", "webhook": [:]]], "may only be specified when type=Webhook",
                "a webhook of none"
            ),
            ([webhook(file) { $0["timeout"] = .null }], "webhook.timeout: Required value", "no timeout"),
            ([webhook(file) { $0["timeout"] = "31s" }], "\"31s\": must be > 0s and <= 30s", "too long"),
            ([webhook(file) { $0["authorizedTTL"] = "-1s" }], "\"-1s\": must be > 0s", "a time before"),
            (
                [webhook(file) { $0["subjectAccessReviewVersion"] = "v2" }],
                "subjectAccessReviewVersion: Unsupported value: \"v2\": supported values: \"v1\", \"v1beta1\"",
                "a version"
            ),
            ([webhook(file) { $0["failurePolicy"] = .null }], "failurePolicy: Required value", "no policy"),
            (
                [webhook(file) { $0["matchConditions"] = [["expression": "true"]] }],
                "matchConditionSubjectAccessReviewVersion: Required value", "conditions of no version"
            ),
            (
                [
                    webhook(file) {
                        $0["matchConditionSubjectAccessReviewVersion"] = "v1"
                        $0["matchConditions"] = [["expression": "true"], ["expression": "true"], ["expression": " "]]
                    }
                ], "matchConditions[2].expression: Required value", "an empty condition"
            ),
            (
                [
                    webhook(file) {
                        $0["matchConditionSubjectAccessReviewVersion"] = "v1"
                        $0["matchConditions"] = [["expression": "request.user"], ["expression": "request.user =="]]
                    }
                ], "matchConditions[1].expression: Invalid value: \"request.user ==\": compilation failed", "no CEL"
            ),
            ([webhook("relative")], "kubeConfigFile: Invalid value: \"relative\": must be an absolute path", "a path"),
            ([webhook("/no/such/file")], "error loading file: ", "no file"),
            (
                [webhook(file) { $0["connectionInfo"] = ["type": "InClusterConfig"] }],
                "connectionInfo.type: Invalid value: \"InClusterConfig\"", "not in a pod"
            ),
            (
                [webhook(file) { $0["url"] = "https://a" }], "unknown field \"authorizers[0].webhook.url\"",
                "a member that is none"
            ),
        ]
        for (authorizers, expected, reason) in rows {
            XCTAssertThrowsError(
                try AuthorizationFile(path: "/etc/z.yaml").steps(document(authorizers)), reason
            ) { error in
                let text = (error as? PluginError)?.message ?? ""
                XCTAssertTrue(text.hasPrefix("/etc/z.yaml: "), text)
                XCTAssertTrue(text.contains(expected), "\(reason): \(text)")
            }
        }
        XCTAssertThrowsError(try AuthorizationSettings(["configFile": "/etc/z.yaml", "authorizers": []])) {
            XCTAssertTrue("\($0)".contains("authorizers and configFile must not both be given"), "\($0)")
        }
    }

    func testTheFileIsFollowed() throws {
        let server = try JSONServer { question in
            let spec = question.body["spec"]
            let isBeta = question.body.apiVersion == "authorization.k8s.io/v1beta1"
            let groups = spec[isBeta ? "group" : "groups"].arrayValue.compactMap(\.stringValue)
            return [
                "apiVersion": .string(question.body.apiVersion), "kind": "SubjectAccessReview",
                "status": ["allowed": .bool(groups.contains("friends"))],
            ]
        }
        defer { XCTAssertNoThrow(try server.stop()) }
        let path = directory + "/authorization.yaml"
        let roles: JSON = ["type": "RBAC", "name": "rbac"]
        let config = try kubeconfig(server.url("/may"), authority: server.authority)
        func write(_ authorizers: JSON) throws {
            try AtomicFile.write(document(authorizers), to: path, isDurable: false)
        }
        try write([roles])
        let api = try TestServer(options: ["authorization": ["configFile": .string(path)]])
        defer { XCTAssertNoThrow(try api.stop()) }
        let ann = ["Impersonate-User": "ann", "Impersonate-Group": "friends"]
        func status() throws -> Int {
            try api.request("GET", "/api/v1/namespaces/default/configmaps/a", headers: ann).status
        }
        func listing() throws -> JSON {
            try api.request(
                "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
                [
                    "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                    "spec": ["namespace": "default"],
                ], headers: ann
            ).json["status"]
        }
        XCTAssertEqual(try status(), 403)
        XCTAssertEqual(try listing()["incomplete"], false)
        try write([roles, webhook(config) { $0["subjectAccessReviewVersion"] = "v1beta1" }])
        try api.eventually("the webhook is asked") { try status() == 404 }
        XCTAssertEqual(server.questions.first?.authorization, "Bearer hush")
        XCTAssertEqual(server.questions.first?.body.apiVersion, "authorization.k8s.io/v1beta1")
        XCTAssertEqual(try listing()["incomplete"], true)
        XCTAssertEqual(
            try listing()["evaluationError"], "webhook authorizer does not support user rule resolution")
        try write([["type": "Nobody", "name": "x"]])
        try api.eventually("the bad file is counted") {
            try api.request("GET", "/metrics").text.split(separator: "\n").contains {
                $0.hasPrefix("apiserver_authorization_config_controller_automatic_reloads_total")
                    && $0.contains("status=\"failure\"") && $0.hasSuffix(" 1")
            }
        }
        XCTAssertEqual(try status(), 404, "what it said before holds")
        try write([["type": "AlwaysAllow", "name": "all"]])
        try api.eventually("everything may be listed") { try listing()["resourceRules"][0]["resources"] == ["*"] }
        try write([["type": "AlwaysDeny", "name": "none"]])
        try api.eventually("nothing is allowed") { try status() == 403 }
    }
}
