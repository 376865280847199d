import Glibc
import Objects
import PluginKit
import XCTest

@testable import API

/// The audit log of a server, as its file shows it.
final class AuditLogTests: XCTestCase {
    private var directory = ""
    private var server: TestServer?

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-audit-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    override func tearDownWithError() throws {
        try server?.stop()
        try FileTree.remove(directory)
    }

    /// - Parameter policy: YAML of the rules.
    private func start(_ policy: String, _ change: (inout JSON) -> Void = { _ in }) throws -> TestServer {
        let file = directory + "/policy.yaml"
        try AtomicFile.write(
            Array("apiVersion: audit.k8s.io/v1\nkind: Policy\n\(policy)".utf8), to: file, isDurable: false)
        var audit: JSON = ["policyFile": .string(file), "path": .string(directory + "/audit.log"), "mode": "blocking"]
        change(&audit)
        let server = try TestServer(options: ["audit": audit])
        self.server = server
        return server
    }

    private func events(_ file: String = "audit.log") throws -> [JSON] {
        try AtomicFile.read("\(directory)/\(file)").split(separator: 0x0A).map { try JSON(parsing: Array($0)) }
    }

    private func configMap(_ name: String, _ data: JSON = [:]) -> JSON {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": data]
    }

    private static let path = "/api/v1/namespaces/default/configmaps"

    func testEventsOfAWrite() throws {
        let server = try start(
            """
            omitManagedFields: true
            rules:
            - level: RequestResponse
              resources: [{resources: [configmaps]}]
            """)
        let answer = try server.request(
            "POST", Self.path, configMap("a", ["k": "v"]),
            headers: ["User-Agent": "test/1", "X-Forwarded-For": "192.0.2.7, 198.51.100.1"])
        XCTAssertEqual(answer.status, 201)
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/default").status, 200, "no rule is about it")
        let events = try events()
        XCTAssertEqual(events.map { $0["stage"].stringValue }, ["RequestReceived", "ResponseComplete"])
        let event = try XCTUnwrap(events.last)
        XCTAssertEqual(event["auditID"].stringValue, answer.headers["audit-id"])
        XCTAssertEqual(events.first?["auditID"], event["auditID"])
        let expected: [(String, JSON)] = [
            ("kind", "Event"), ("apiVersion", "audit.k8s.io/v1"), ("level", "RequestResponse"), ("verb", "create"),
            ("requestURI", .string(Self.path)), ("userAgent", "test/1"),
            ("sourceIPs", ["192.0.2.7", "198.51.100.1", "127.0.0.1"]),
            (
                "objectRef",
                ["resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"]
            ), ("responseStatus", ["metadata": [:], "code": 201]),
            (
                "annotations", ["authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""]
            ),
        ]
        for (key, value) in expected { XCTAssertEqual(event[key], value, key) }
        XCTAssertEqual(event["user"]["username"], "kubernetes-admin")
        XCTAssertEqual(event["requestObject"]["data"], ["k": "v"])
        XCTAssertEqual(event["responseObject"]["metadata"]["uid"], try answer.json.metadata["uid"])
        XCTAssertTrue(event["responseObject"].metadata["managedFields"].isNull)
        XCTAssertTrue(try answer.json.metadata["managedFields"].exists)
        for key in ["requestReceivedTimestamp", "stageTimestamp"] {
            XCTAssertEqual(event[key].stringValue?.count, "2026-01-01T00:00:00.000000Z".count, key)
        }
    }

    func testRefusals() throws {
        let server = try start("omitStages: [RequestReceived]\nrules:\n- level: Metadata\n")
        var asAnn = ["Impersonate-User": "ann", "Impersonate-Group": "dev", "Audit-ID": "mine"]
        XCTAssertEqual(try server.request("DELETE", Self.path + "/x", headers: asAnn).status, 403)
        XCTAssertEqual(try server.request("GET", Self.path, token: "wrong").status, 401)
        asAnn["Impersonate-User"] = nil
        XCTAssertEqual(try server.request("GET", Self.path, headers: asAnn).status, 400)
        let events = try events()
        XCTAssertEqual(events.count, 3)
        guard events.count == 3 else { return }
        XCTAssertEqual(events[0]["auditID"], "mine")
        XCTAssertEqual(events[0]["user"]["username"], "kubernetes-admin")
        XCTAssertEqual(events[0]["impersonatedUser"]["username"], "ann")
        XCTAssertEqual(events[0]["verb"], "delete")
        XCTAssertEqual(events[0]["annotations"]["authorization.k8s.io/decision"], "forbid")
        XCTAssertEqual(events[0]["responseStatus"]["reason"], "Forbidden")
        XCTAssertTrue(events[0]["responseObject"].isNull, "level Metadata shows no object")
        XCTAssertEqual(events[1]["stage"], "ResponseStarted")
        XCTAssertEqual(events[1]["responseStatus"]["code"], 401)
        XCTAssertEqual(events[2]["responseStatus"]["code"], 400, "a group of nobody")
    }

    func testWatchesHaveABeginningAndAnEnd() throws {
        let server = try start("rules:\n- level: RequestResponse\n")
        let client = try server.connect()
        client.send(
            Array(
                ("GET \(Self.path)?watch=1&timeoutSeconds=600 HTTP/1.1\r\nHost: localhost\r\n"
                    + "Authorization: Bearer \(TestServer.token)\r\n\r\n").utf8))
        try server.eventually("the watch has begun") {
            try self.events().map { $0["stage"].stringValue } == ["RequestReceived", "ResponseStarted"]
        }
        client.close()
        try server.eventually("it has ended") { try self.events().count == 3 }
        let event = try XCTUnwrap(try events().last)
        XCTAssertEqual(event["stage"], "ResponseComplete")
        XCTAssertEqual(event["verb"], "watch")
        XCTAssertEqual(event["responseStatus"]["code"], 200)
    }

    func testAdmissionTellsTheLog() throws {
        let server = try start("omitStages: [RequestReceived]\nrules:\n- level: Request\n  verbs: [create]\n")
        let group = "/apis/admissionregistration.k8s.io/v1"
        let policy: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": ["name": "p"],
            "spec": [
                "matchConstraints": [
                    "resourceRules": [
                        [
                            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                            "resources": ["configmaps"],
                        ]
                    ]
                ],
                "validations": [
                    ["expression": "true"],
                    ["expression": "object.metadata.name != 'odd'", "message": "it is odd"],
                ],
                "auditAnnotations": [
                    ["key": "name", "valueExpression": "'name is ' + object.metadata.name"],
                    ["key": "nothing", "valueExpression": "null"],
                ],
            ],
        ]
        XCTAssertEqual(try server.request("POST", group + "/validatingadmissionpolicies", policy).status, 201)
        let binding: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": ["name": "b"], "spec": ["policyName": "p", "validationActions": ["Audit"]],
        ]
        let bound = try server.request("POST", group + "/validatingadmissionpolicybindings", binding)
        XCTAssertEqual(bound.status, 201, bound.text)
        try server.eventually("the policy is in force") {
            XCTAssertEqual(
                try server.request("POST", Self.path + "?dryRun=All", self.configMap("even")).status, 201)
            return try self.events().last?["annotations"]["p/name"] == "name is even"
        }
        XCTAssertEqual(try server.request("POST", Self.path, configMap("odd")).status, 201, "it is only told of")
        let notes = try XCTUnwrap(try events().last)["annotations"]
        XCTAssertEqual(notes["p/name"], "name is odd")
        XCTAssertTrue(notes["p/nothing"].isNull)
        let text = try XCTUnwrap(notes["validation.policy.admission.k8s.io/validation_failure"].stringValue)
        XCTAssertEqual(
            try JSON(parsing: Array(text.utf8)),
            [
                [
                    "message": "it is odd", "policy": "p", "binding": "b", "expressionIndex": 1,
                    "validationActions": ["Audit"],
                ]
            ])
    }

    func testWebhooksTellTheLog() throws {
        let webhook = try ReviewServer { path, _ in
            path.hasPrefix("/mutate")
                ? [
                    "allowed": true, "patchType": "JSONPatch", "auditAnnotations": ["why": "because"],
                    "patch": .string(
                        Base64.encode(
                            JSON([["op": "add", "path": "/data", "value": ["x": "y"]]] as [JSON]).serialized())),
                ] : nil
        }
        defer { XCTAssertNoThrow(try webhook.stop()) }
        let server = try start("omitStages: [RequestReceived]\nrules:\n- level: Request\n  verbs: [create]\n")
        func entry(_ path: String) -> JSON {
            [
                "name": .string(path.dropFirst() + ".example.com"), "clientConfig": webhook.client(path),
                "rules": [
                    ["apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]]
                ], "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
                "failurePolicy": "Ignore",
            ]
        }
        let hooks: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": ["name": "hooks"], "webhooks": [entry("/mutate")],
        ]
        XCTAssertEqual(
            try server.request(
                "POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", hooks
            ).status, 201)
        try server.eventually("the webhook is asked") {
            XCTAssertEqual(try server.request("POST", Self.path + "?dryRun=All", self.configMap("a")).status, 201)
            return !webhook.requests.isEmpty
        }
        let notes = try XCTUnwrap(try events().last)["annotations"]
        XCTAssertEqual(notes["mutate.example.com/why"], "because")
        XCTAssertEqual(
            notes["mutation.webhook.admission.k8s.io/round_0_index_0"].stringValue,
            #"{"configuration":"hooks","webhook":"mutate.example.com","mutated":true}"#)
        XCTAssertEqual(
            notes["patch.webhook.admission.k8s.io/round_0_index_0"].stringValue,
            #"{"configuration":"hooks","webhook":"mutate.example.com","patch":[{"op":"add","path":"/data","value":{"x":"y"}}],"patchType":"JSONPatch"}"#
        )
    }

    func testLargeFilesArePutAside() throws {
        let server = try start("rules:\n- level: RequestResponse\n") {
            $0["maximumSizeMiB"] = 1
            $0["maximumBackups"] = 1
            $0["mode"] = "batch"
        }
        let large = String(repeating: "x", count: 300_000)
        for number in 0..<6 {
            let answer = try server.request("POST", Self.path, configMap("c\(number)", ["k": .string(large)]))
            XCTAssertEqual(answer.status, 201)
        }
        try server.stop()
        self.server = nil
        var names: [String] = []
        try FileTree.walk(directory) { names.append($0.name) }
        let aside = names.filter { AuditFile.isBackup($0, "audit", ".log") }
        XCTAssertEqual(aside.count, 1, "\(names)")
        for name in aside + ["audit.log"] {
            XCTAssertFalse(try events(name).isEmpty, "whole lines alone: \(name)")
            XCTAssertLessThanOrEqual(try AtomicFile.read("\(directory)/\(name)").count, 1 << 20, name)
        }
    }

    func testAnswersAreShownInWhicheverCoding() {
        let type: [UInt8] = [0x0A, 2] + "v1".utf8 + [0x12, 9] + "ConfigMap".utf8
        let object: [UInt8] = [0x0A, 3, 0x0A, 1] + "a".utf8 + [0x12, 6, 0x0A, 1] + "k".utf8 + [0x12, 1] + "v".utf8
        let binary = "k8s\0".utf8 + [0x0A, UInt8(type.count)] + type + [0x12, UInt8(object.count)] + object
        let rows: [(String, [UInt8], JSON, String)] = [
            ("application/json", Array(#"{"kind":"ConfigMap"}"#.utf8), "ConfigMap", "JSON"),
            ("application/json;as=Table;g=meta.k8s.io;v=v1", Array(#"{"kind":"Table"}"#.utf8), "Table", "a form of it"),
            ("application/vnd.kubernetes.protobuf", binary, "ConfigMap", "protobuf"),
            ("application/vnd.kubernetes.protobuf", Array("none".utf8), .null, "what is none"),
            ("text/plain", Array("{}".utf8), .null, "text"),
        ]
        for (contentType, body, kind, reason) in rows {
            let response = HTTPResponse(status: 200, contentType: contentType, body: .bytes(body))
            XCTAssertEqual(AuditRecord.object(response)["kind"], kind, reason)
        }
    }

    func testMistakesOfSettingsAreTold() {
        XCTAssertNil(try AuditSettings(.null, directory: "/tmp"))
        for (json, message): (JSON, String) in [
            (["path": "x"], "option audit.policyFile must name the file with the audit policy"),
            (["policyFile": .string(directory + "/none")], "cannot open"),
        ] {
            XCTAssertThrowsError(try AuditSettings(json, directory: "/tmp"), message) {
                XCTAssertTrue("\($0)".contains(message), "\($0)")
            }
        }
    }
}
