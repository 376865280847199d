import Objects
import XCTest

@testable import API

/// Validating and mutating webhooks, over HTTPS.
final class AdmissionWebhookTests: XCTestCase {
    private static let path = "/apis/admissionregistration.k8s.io/v1"
    private static let configMaps = "/api/v1/namespaces/default/configmaps"
    private var server: TestServer!
    private var webhook: ReviewServer!

    override func setUpWithError() throws {
        server = try TestServer()
        webhook = try ReviewServer { path, request in
            switch path.prefix(while: { $0 != "?" }) {
            case "/deny":
                request["object"]["data"]["bad"].exists
                    ? ["allowed": false, "status": ["code": 403, "reason": "Forbidden", "message": "it is bad"]]
                    : ["allowed": true, "warnings": ["look out"]]
            case "/silent-deny": ["allowed": false]
            case "/wrong-uid": ["allowed": true, "uid": "another"]
            case "/mutate":
                Self.patched(
                    request["object"]["metadata"]["labels"].isNull
                        ? [["op": "add", "path": "/metadata/labels", "value": ["first": "1"]]]
                        : [["op": "add", "path": "/metadata/labels/again", "value": "1"]])
            case "/mutate-more": Self.patched([["op": "add", "path": "/metadata/labels/second", "value": "2"]])
            case "/no-patch-type": ["allowed": true, "patch": "W10="]
            case "/kind": Self.patched([["op": "replace", "path": "/kind", "value": "Secret"]])
            case "/rename": Self.patched([["op": "replace", "path": "/metadata/name", "value": "other"]])
            default: nil
            }
        }
    }

    override func tearDownWithError() throws {
        try webhook.stop()
        try server.stop()
    }

    private static func patched(_ patch: JSON) -> JSON {
        ["allowed": true, "patchType": "JSONPatch", "patch": .string(Base64.encode(patch.serialized()))]
    }

    private func entry(_ path: String, _ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var entry: JSON = [
            "name": .string(path.dropFirst() + ".example.com"), "clientConfig": webhook.client(path),
            "rules": [
                [
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["configmaps"],
                ]
            ],
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
        ]
        change(&entry)
        return entry
    }

    /// Stores webhooks and waits until one of them was asked: they come into force with the event of their creation.
    private func enforce(_ kind: String, _ entries: [JSON]) throws {
        let resource = kind == "ValidatingWebhookConfiguration" ? "validating" : "mutating"
        let answer = try server.request(
            "POST", "\(Self.path)/\(resource)webhookconfigurations",
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind), "metadata": ["name": "hooks"],
                "webhooks": .array(entries),
            ])
        XCTAssertEqual(answer.status, 201, answer.text)
        try server.eventually("the webhook is asked") {
            _ = try self.create("probe", [:], dryRun: true)
            return self.webhook.requests.contains { $0.request["name"].stringValue == "probe" }
        }
    }

    private func create(_ name: String, _ data: JSON, dryRun: Bool = false) throws -> TLSClient.Response {
        try server.request(
            "POST", Self.configMaps + (dryRun ? "?dryRun=All" : ""),
            ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": data])
    }

    func testValidatingWebhookAllowsWarnsAndDenies() throws {
        try enforce("ValidatingWebhookConfiguration", [entry("/deny")])
        let fine = try create("a", ["good": "1"])
        XCTAssertEqual(fine.status, 201)
        XCTAssertEqual(fine.headers["warning"], "299 - \"look out\"")
        let denied = try create("b", ["bad": "1"])
        XCTAssertEqual(denied.status, 403)
        XCTAssertEqual(
            try denied.json["message"].stringValue,
            "admission webhook \"deny.example.com\" denied the request: it is bad")
        XCTAssertEqual(try server.request("GET", Self.configMaps + "/b").status, 404)

        let asked = try XCTUnwrap(webhook.requests.first { $0.request["name"].stringValue == "a" })
        XCTAssertEqual(asked.path, "/deny?timeout=10s")
        let request = asked.request
        XCTAssertEqual(request["operation"], "CREATE")
        XCTAssertEqual(request["kind"], ["group": "", "version": "v1", "kind": "ConfigMap"])
        XCTAssertEqual(request["resource"], ["group": "", "version": "v1", "resource": "configmaps"])
        XCTAssertEqual(request["namespace"], "default")
        XCTAssertEqual(request["userInfo"]["username"], "kubernetes-admin")
        XCTAssertEqual(request["object"]["data"], ["good": "1"])
        XCTAssertEqual(request["object"]["kind"], "ConfigMap")
        XCTAssertTrue(request["oldObject"].isNull)
        XCTAssertEqual(request["dryRun"], false)
    }

    func testUpdatesShowBothObjectsAndDeletionsTheOld() throws {
        XCTAssertEqual(try create("a", ["k": "1"]).status, 201)
        try enforce(
            "ValidatingWebhookConfiguration",
            [entry("/deny") { $0["rules"][0]["operations"] = ["*"] }])
        let patch = try server.request(
            "PATCH", Self.configMaps + "/a", ["data": ["k": "2"]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(patch.status, 200, patch.text)
        let update = try XCTUnwrap(webhook.requests.last).request
        XCTAssertEqual(update["operation"], "UPDATE")
        XCTAssertEqual(update["oldObject"]["data"], ["k": "1"])
        XCTAssertEqual(update["object"]["data"], ["k": "2"])
        XCTAssertEqual(try server.request("DELETE", Self.configMaps + "/a").status, 200)
        let deletion = try XCTUnwrap(webhook.requests.last).request
        XCTAssertEqual(deletion["operation"], "DELETE")
        XCTAssertEqual(deletion["oldObject"]["data"], ["k": "2"])
        XCTAssertTrue(deletion["object"].isNull)
    }

    func testFailuresFollowThePolicy() throws {
        try enforce(
            "ValidatingWebhookConfiguration",
            [
                entry("/wrong-uid") { $0["failurePolicy"] = "Ignore" },
                entry("/silent-deny") {
                    $0["matchConditions"] = [["name": "silent", "expression": "object.metadata.name == 'silent'"]]
                },
                entry("/wrong-uid") {
                    $0["name"] = "strict.example.com"
                    $0["matchConditions"] = [["name": "strict", "expression": "object.metadata.name == 'strict'"]]
                },
                entry("/hang") {
                    $0["timeoutSeconds"] = 1
                    $0["matchConditions"] = [["name": "hang", "expression": "object.metadata.name == 'hang'"]]
                },
                entry("/side-effects") {
                    $0["sideEffects"] = "NoneOnDryRun"
                    $0["matchConditions"] = [["name": "error", "expression": "object.data.missing == ''"]]
                    $0["failurePolicy"] = "Ignore"
                },
            ])
        XCTAssertEqual(try create("fine", [:]).status, 201)
        let silent = try create("silent", [:])
        XCTAssertEqual(silent.status, 400)
        XCTAssertEqual(
            try silent.json["message"].stringValue,
            "admission webhook \"silent-deny.example.com\" denied the request without explanation")
        let strict = try create("strict", [:])
        XCTAssertEqual(strict.status, 500)
        let message = try strict.json["message"].stringValue ?? ""
        XCTAssertTrue(
            message.hasPrefix("Internal error occurred: failed calling webhook \"strict.example.com\": "), message)
        XCTAssertTrue(message.contains("expected response.uid="), message)
        let hang = try create("hang", [:])
        XCTAssertEqual(hang.status, 500)
        XCTAssertTrue(hang.text.contains("context deadline exceeded"), hang.text)
        XCTAssertTrue(hang.text.contains("failed to call webhook: Post"), hang.text)
    }

    func testMutatingWebhooksPatchInOrderAndAgain() throws {
        try enforce(
            "MutatingWebhookConfiguration",
            [entry("/mutate") { $0["reinvocationPolicy"] = "IfNeeded" }, entry("/mutate-more")])
        let made = try create("m", ["k": "v"]).json
        XCTAssertEqual(made.labels, ["first": "1", "second": "2", "again": "1"])
        XCTAssertEqual(made["data"], ["k": "v"])
        XCTAssertEqual(webhook.requests.count { $0.request["name"].stringValue == "m" }, 3)
    }

    func testMutationsThatMayNotBe() throws {
        try enforce(
            "MutatingWebhookConfiguration",
            [
                entry("/rename") {
                    $0["matchConditions"] = [
                        ["name": "r", "expression": "!(object.metadata.name in ['typeless', 'other'])"]
                    ]
                },
                entry("/kind") {
                    $0["matchConditions"] = [["name": "k", "expression": "object.metadata.name == 'other'"]]
                },
                entry("/no-patch-type") {
                    $0["matchConditions"] = [["name": "t", "expression": "object.metadata.name == 'typeless'"]]
                },
            ])
        let renamed = try create("r", [:])
        XCTAssertEqual(renamed.status, 500)
        XCTAssertTrue(renamed.text.contains("attempted to change the object's name or namespace"), renamed.text)
        let other = try create("other", [:])
        XCTAssertEqual(other.status, 500)
        XCTAssertTrue(other.text.contains("attempted to change the object's kind"), other.text)
        let typeless = try create("typeless", [:])
        XCTAssertTrue(
            typeless.text.contains("webhook returned response.patch but not response.patchType"), typeless.text)
    }

    func testDryRunNeedsWebhooksWithoutSideEffects() throws {
        try enforce("ValidatingWebhookConfiguration", [entry("/deny")])
        let answer = try server.request(
            "PATCH", "\(Self.path)/validatingwebhookconfigurations/hooks",
            ["webhooks": [["name": "deny.example.com", "sideEffects": "Some"]]],
            headers: ["Content-Type": "application/strategic-merge-patch+json"])
        guard answer.status == 200 else {
            return XCTAssertEqual(answer.status, 422, "v1 has no webhooks with side effects")
        }
        try server.eventually("dry runs are refused") {
            try self.create("d", [:], dryRun: true).text.contains("does not support dry run")
        }
    }

    /// Reads and writes of other resources do not wait for a webhook that hangs.
    func testOthersDoNotWait() throws {
        try enforce(
            "ValidatingWebhookConfiguration",
            [
                entry("/deny"),
                entry("/hang") {
                    $0["timeoutSeconds"] = 30
                    $0["failurePolicy"] = "Ignore"
                    $0["matchConditions"] = [["name": "slow", "expression": "object.metadata.name.startsWith('slow')"]]
                },
            ])
        // More than the threads that other requests run on.
        let slow = try (0..<40).map { _ in try server.connect() }
        defer { for client in slow { client.close() } }
        for (number, client) in slow.enumerated() {
            let name = JSON.string("slow-\(number)")
            let body = JSON(["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": name]] as JSONObject)
                .serialized()
            let head =
                "POST \(Self.configMaps) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
            client.send(Array(head.utf8) + body)
        }
        try server.eventually("the webhook is asked") {
            webhook.requests.filter { $0.path.hasPrefix("/hang") }.count == slow.count
        }
        XCTAssertEqual(try create("quick", [:]).status, 201, "the webhook does not look at this one")
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/default").status, 200)
        let secret: JSON = ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"]]
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces/default/secrets", secret).status, 201)
        XCTAssertEqual(try server.request("GET", Self.configMaps + "/slow-0").status, 404, "it still waits")
        webhook.giveUp()
        for client in slow {
            XCTAssertEqual(try client.response().status, 201, "a webhook without an answer is passed over")
        }
    }
}
