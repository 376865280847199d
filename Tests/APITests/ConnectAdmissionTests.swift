import Objects
import Synchronization
import XCTest

@testable import API

/// What policies and webhooks see of connections to pods, services and nodes, and that webhooks are asked at the same time.
final class ConnectAdmissionTests: XCTestCase {
    private static let path = "/apis/admissionregistration.k8s.io/v1"
    private static let pods = "/api/v1/namespaces/default/pods"
    private var server: TestServer!
    private var webhook: ReviewServer!

    override func setUpWithError() throws {
        server = try TestServer()
        webhook = try ReviewServer { path, request in
            switch path.prefix(while: { $0 != "?" }) {
            // Instead of the first word of the command.
            case "/patch":
                [
                    "allowed": true, "patchType": "JSONPatch",
                    "patch": .string(
                        Base64.encode(Array(#"[{"op":"replace","path":"/command/0","value":"ls"}]"#.utf8))),
                ]
            default:
                request["name"] == "kept"
                    ? ["allowed": false, "status": ["code": 403, "message": "nobody looks into it"]] : ["allowed": true]
            }
        }
    }

    override func tearDownWithError() throws {
        try webhook.stop()
        try server.stop()
    }

    private func store(_ kind: String, _ resource: String, _ entries: [JSON]) throws {
        let answer = try server.request(
            "POST", "\(Self.path)/\(resource)",
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind), "metadata": ["name": "hooks"],
                "webhooks": .array(entries),
            ])
        XCTAssertEqual(answer.status, 201, answer.text)
    }

    private func entry(_ path: String, _ resources: JSON, _ operations: JSON) -> JSON {
        [
            "name": .string(path.dropFirst() + ".example.com"), "clientConfig": webhook.client(path),
            "rules": [
                ["apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": resources]
            ], "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
        ]
    }

    func testWebhooksSeeConnections() throws {
        try store(
            "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
            [entry("/look", ["pods/*", "services/proxy", "nodes/proxy"], ["CONNECT"])])
        let exec = "/kept/exec?command=ls&command=-l&container=main&stdout=true&tty=1&stdin=false"
        try server.eventually("the webhook is asked") {
            try self.server.request("POST", Self.pods + exec).status == 403
        }
        let denied = try server.request("POST", Self.pods + exec)
        XCTAssertEqual(
            try denied.json["message"],
            "admission webhook \"look.example.com\" denied the request: nobody looks into it")
        let request = try XCTUnwrap(webhook.requests.last).request
        XCTAssertEqual(request["operation"], "CONNECT")
        XCTAssertEqual(request["kind"], ["group": "", "version": "v1", "kind": "PodExecOptions"])
        XCTAssertEqual(request["resource"], ["group": "", "version": "v1", "resource": "pods"])
        XCTAssertEqual(request["subResource"], "exec")
        XCTAssertEqual(request["namespace"], "default")
        XCTAssertEqual(
            request["object"],
            [
                "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "tty": true, "container": "main",
                "command": ["ls", "-l"],
            ])
        XCTAssertTrue(request["oldObject"].isNull)
        XCTAssertTrue(request["options"].isNull)

        let rows: [(String, String, JSON)] = [
            (
                Self.pods + "/kept/attach?stdin=1", "attach",
                ["kind": "PodAttachOptions", "apiVersion": "v1", "stdin": true]
            ),
            (
                Self.pods + "/kept/portforward?ports=80,443", "portforward",
                ["kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": [80, 443]]
            ),
            (
                Self.pods + "/kept/proxy/a/b", "proxy",
                ["kind": "PodProxyOptions", "apiVersion": "v1", "path": "a/b"]
            ),
            (
                "/api/v1/namespaces/default/services/kept/proxy/", "proxy",
                ["kind": "ServiceProxyOptions", "apiVersion": "v1"]
            ), ("/api/v1/nodes/kept/proxy/x", "proxy", ["kind": "NodeProxyOptions", "apiVersion": "v1", "path": "x"]),
        ]
        for (path, subresource, options) in rows {
            XCTAssertEqual(try server.request("GET", path).status, 403, path)
            let seen = try XCTUnwrap(webhook.requests.last).request
            XCTAssertEqual(seen["subResource"].stringValue, subresource, path)
            XCTAssertEqual(seen["object"], options, path)
        }
        let asked = webhook.requests.count
        XCTAssertEqual(try server.request("GET", Self.pods + "/kept/log").status, 404, "a log is read")
        XCTAssertEqual(webhook.requests.count, asked)
        XCTAssertEqual(try server.request("POST", Self.pods + "/other/exec").status, 404, "allowed, and not there")
    }

    func testPoliciesSeeConnections() throws {
        let policy: JSON = [
            "metadata": ["name": "no-shell"],
            "spec": [
                "matchConstraints": [
                    "resourceRules": [
                        [
                            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"],
                            "resources": ["pods/exec"],
                        ]
                    ]
                ],
                "validations": [
                    [
                        "expression": "!('sh' in object.command) || request.name != 'kept'",
                        "message": "no shells", "reason": "Forbidden",
                    ]
                ],
            ],
        ]
        XCTAssertEqual(try server.request("POST", Self.path + "/validatingadmissionpolicies", policy).status, 201)
        let binding: JSON = [
            "metadata": ["name": "no-shell"], "spec": ["policyName": "no-shell", "validationActions": ["Deny"]],
        ]
        XCTAssertEqual(
            try server.request("POST", Self.path + "/validatingadmissionpolicybindings", binding).status, 201)
        try server.eventually("the policy is in force") {
            try self.server.request("POST", Self.pods + "/kept/exec?command=sh").status == 403
        }
        let denied = try server.request("POST", Self.pods + "/kept/exec?command=sh")
        XCTAssertEqual(
            try denied.json["message"],
            "pods \"kept\" is forbidden: ValidatingAdmissionPolicy 'no-shell' with binding 'no-shell' denied request: no shells"
        )
        XCTAssertEqual(try server.request("POST", Self.pods + "/kept/exec?command=ls").status, 404)
    }

    /// Policies and then webhooks change how a client is connected; who only looks sees what became of it.
    func testConnectionsAreChanged() throws {
        let policy: JSON = [
            "metadata": ["name": "no-terminal"],
            "spec": [
                "reinvocationPolicy": "Never",
                "matchConstraints": [
                    "resourceRules": [
                        [
                            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"],
                            "resources": ["pods/exec"],
                        ]
                    ]
                ],
                "mutations": [
                    [
                        "patchType": "JSONPatch",
                        "jsonPatch": ["expression": "[JSONPatch{op: 'add', path: '/tty', value: false}]"],
                    ]
                ],
            ],
        ]
        XCTAssertEqual(try server.request("POST", Self.path + "/mutatingadmissionpolicies", policy).status, 201)
        XCTAssertEqual(
            try server.request(
                "POST", Self.path + "/mutatingadmissionpolicybindings",
                ["metadata": ["name": "no-terminal"], "spec": ["policyName": "no-terminal"]]
            ).status, 201)
        try store(
            "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", [entry("/patch", ["pods/exec"], ["*"])])
        try store(
            "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
            [entry("/look", ["pods/exec"], ["CONNECT"])])
        let exec = Self.pods + "/kept/exec?command=sh&command=-c&tty=true&stdout=true"
        try server.eventually("all three have their say") {
            XCTAssertTrue([403, 404].contains(try self.server.request("POST", exec).status))
            let seen = self.webhook.requests.last { $0.path.hasPrefix("/look") }?.request["object"]
            return seen == [
                "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "tty": false, "command": ["ls", "-c"],
            ]
        }
    }

    func testTheQueryOfChangedOptions() throws {
        let resources = ResourceTable.ofSchema()
        func context(_ target: String) throws -> RequestContext {
            let request = try APIRequest(method: .post, target: target, user: .anonymous, isInternal: false)
            guard case .resource(let path) = request.path else { throw TLSClient.Failure(message: target) }
            let pods = try XCTUnwrap(resources.find(group: "", version: "v1", resource: "pods"))
            return RequestContext(request: request, path: path, resource: pods)
        }
        let asked = try context("/api/v1/namespaces/d/pods/p/exec?command=a&tty=1&x=y&container=c")
        var options = ConnectOptions.of(asked)
        options["command"] = ["b", "c"]
        options["stdin"] = true
        options.removeValue(forKey: "tty")
        XCTAssertEqual(
            try ConnectOptions.query(options, asked).pairs.map { "\($0.name)=\($0.value)" },
            ["x=y", "stdin=true", "container=c", "command=b", "command=c"])
        options.kind = "Pod"
        XCTAssertThrowsError(try ConnectOptions.query(options, asked), "another kind")
        let proxied = try context("/api/v1/namespaces/d/pods/p/proxy/a/b")
        XCTAssertThrowsError(try ConnectOptions.query(ConnectOptions.of(proxied), proxied), "a path is the client's")
    }

    func testValidatingWebhooksAreAskedAtTheSameTime() throws {
        let meeting = try Meeting(count: 3)
        defer { try? meeting.server.stop() }
        let entries = ["/allow", "/deny", "/allow"].enumerated().map { index, path in
            var entry = entry(path, ["configmaps"], ["CREATE"])
            entry["name"] = .string("hook-\(index).example.com")
            entry["clientConfig"] = meeting.server.clientConfig(path)
            return entry
        }
        try store("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", entries)
        var answer: TLSClient.Response?
        try server.eventually("the webhooks are asked") {
            let object: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["generateName": "a"]]
            answer = try self.server.request("POST", "/api/v1/namespaces/default/configmaps", object)
            return answer?.status != 201
        }
        XCTAssertEqual(
            try answer?.json["message"],
            "admission webhook \"hook-1.example.com\" denied the request: all have been asked")
    }
}

/// A webhook that answers nobody before so many have asked.
private final class Meeting: Sendable {
    let server: TestHTTPSServer

    init(count: Int) throws {
        let state = State()
        server = try TestHTTPSServer { exchange in
            guard let review = try? JSON(parsing: exchange.body) else {
                return exchange.respond(.text(400, "no JSON"))
            }
            let all = state.waiting.withLock { waiting in
                waiting.append((exchange, review))
                return waiting.count == count ? waiting : []
            }
            for (exchange, review) in all {
                let isDenied = exchange.head.target.hasPrefix("/deny")
                let response: JSON = [
                    "uid": review["request"]["uid"], "allowed": .bool(!isDenied),
                    "status": ["message": "all have been asked"],
                ]
                exchange.respond(
                    .json(200, ["apiVersion": review["apiVersion"], "kind": review["kind"], "response": response]))
            }
        }
    }

    private final class State: Sendable {
        let waiting = Mutex<[(exchange: HTTPExchange, review: JSON)]>([])
    }
}
