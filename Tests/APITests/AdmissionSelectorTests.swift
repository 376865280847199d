import Objects
import XCTest

@testable import API

/// Selectors of webhooks, policies and bindings that cannot be read: refused when they are written, and what they are about
/// is refused where one lies in the store all the same.
final class AdmissionSelectorTests: XCTestCase {
    private static let group = "admissionregistration.k8s.io"
    private static let broken: JSON = ["matchExpressions": [["key": "a", "operator": "Is", "values": ["b"]]]]
    private static let rules: JSON = [
        ["apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]]
    ]
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private static func object(_ kind: String, _ members: JSON) -> JSON {
        var object: JSON = [
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind), "metadata": ["name": "broken"],
        ]
        for (key, value) in members.objectValue ?? [:] { object[key] = value }
        return object
    }

    private static func webhook(_ selector: String) -> JSON {
        [
            "name": "a.example.com", "clientConfig": ["url": "https://127.0.0.1:1/"], "rules": rules,
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            selector: broken,
        ]
    }

    private static func policy(_ selector: String, failurePolicy: JSON = "Fail") -> JSON {
        [
            "failurePolicy": failurePolicy, "matchConstraints": ["resourceRules": rules, selector: broken],
            "validations": [["expression": "true"]],
        ]
    }

    func testWritesAreRefused() throws {
        let rows: [(resource: String, object: JSON, field: String, reason: String)] = [
            (
                "validatingwebhookconfigurations",
                Self.object("ValidatingWebhookConfiguration", ["webhooks": [Self.webhook("namespaceSelector")]]),
                "webhooks[0].namespaceSelector.matchExpressions[0].operator", "by namespace"
            ),
            (
                "mutatingwebhookconfigurations",
                Self.object("MutatingWebhookConfiguration", ["webhooks": [Self.webhook("objectSelector")]]),
                "webhooks[0].objectSelector.matchExpressions[0].operator", "by object"
            ),
            (
                "validatingadmissionpolicies",
                Self.object("ValidatingAdmissionPolicy", ["spec": Self.policy("namespaceSelector")]),
                "spec.matchConstraints.namespaceSelector.matchExpressions[0].operator", "a policy's"
            ),
            (
                "validatingadmissionpolicybindings",
                Self.object(
                    "ValidatingAdmissionPolicyBinding",
                    [
                        "spec": [
                            "policyName": "p", "validationActions": ["Deny"],
                            "matchResources": ["objectSelector": Self.broken],
                        ]
                    ]), "spec.matchResources.objectSelector.matchExpressions[0].operator", "a binding's"
            ),
            (
                "validatingadmissionpolicybindings",
                Self.object(
                    "ValidatingAdmissionPolicyBinding",
                    [
                        "spec": [
                            "policyName": "p", "validationActions": ["Deny"],
                            "paramRef": ["selector": Self.broken, "parameterNotFoundAction": "Deny"],
                        ]
                    ]), "spec.paramRef.selector.matchExpressions[0].operator", "parameters"
            ),
        ]
        for (resource, object, field, reason) in rows {
            let answer = try server.request("POST", "/apis/\(Self.group)/v1/\(resource)", object)
            XCTAssertEqual(answer.status, 422, reason)
            let cause = try answer.json["details"]["causes"][0]
            XCTAssertEqual(cause["field"].stringValue, field, reason)
            XCTAssertEqual(
                cause["message"].stringValue, "Invalid value: \"Is\": not a valid selector operator", reason)
        }
    }

    private func store(_ resource: String, _ object: JSON) throws {
        _ = try server.store.create("\(resource).\(Self.group)//broken", value: object.serialized())
    }

    private func create(_ name: String) throws -> TLSClient.Response {
        try server.request(
            "POST", "/api/v1/namespaces/default/configmaps?dryRun=All",
            ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]])
    }

    func testStoredWebhookFailsClosed() throws {
        try store(
            "validatingwebhookconfigurations",
            Self.object("ValidatingWebhookConfiguration", ["webhooks": [Self.webhook("namespaceSelector")]]))
        try server.eventually("the webhook is in force") { try self.create("a").status == 500 }
        let message = try create("a").json["message"].stringValue ?? ""
        XCTAssertTrue(message.contains("\"a.example.com\" cannot be asked: its namespaceSelector"), message)
        let other: JSON = ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"]]
        XCTAssertEqual(
            try server.request("POST", "/api/v1/namespaces/default/secrets", other).status, 201,
            "what its rules are not about goes on")
    }

    func testStoredPolicyFailsClosedUnlessItIgnoresFailures() throws {
        try store(
            "validatingadmissionpolicybindings",
            Self.object(
                "ValidatingAdmissionPolicyBinding", ["spec": ["policyName": "broken", "validationActions": ["Warn"]]]))
        try store(
            "validatingadmissionpolicies",
            Self.object("ValidatingAdmissionPolicy", ["spec": Self.policy("objectSelector")]))
        try server.eventually("the policy is in force, whatever its binding wants done") {
            try self.create("a").status == 422
        }
        let message = try create("a").json["message"].stringValue ?? ""
        XCTAssertTrue(
            message.contains("ValidatingAdmissionPolicy 'broken' denied request: failed to configure policy: its "),
            message)
        let key = "validatingadmissionpolicies.\(Self.group)//broken"
        _ = try server.store.remove(key)
        try store(
            "validatingadmissionpolicies",
            Self.object(
                "ValidatingAdmissionPolicy", ["spec": Self.policy("objectSelector", failurePolicy: "Ignore")]))
        try server.eventually("it is passed over") { try self.create("a").status == 201 }
    }
}
