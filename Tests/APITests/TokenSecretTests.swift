import Objects
import PluginKit
import XCTest

@testable import API

/// Secrets with tokens: those that expire, those that sign, and those that the server fills.
final class TokenSecretTests: XCTestCase {
    private static let secrets = "/api/v1/namespaces/kube-system/secrets"

    private func bootstrap(_ identifier: String, expires: String? = nil, signs: Bool = false) -> JSON {
        var secret: JSON = [
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": ["name": .string("bootstrap-token-\(identifier)"), "namespace": "kube-system"],
        ]
        var data = ["token-id": identifier, "token-secret": "0123456789abcdef"]
        data["expiration"] = expires
        if signs { data["usage-bootstrap-signing"] = "true" }
        for (key, value) in data { secret["data"][key] = .string(Base64.encode(Array(value.utf8))) }
        return secret
    }

    // MARK: - Bootstrap tokens

    func testEndsOfTokens() {
        let rows: [(String?, Int64?, String)] = [
            (nil, nil, "none"), ("2026-01-01T00:00:00Z", 1_767_225_600, "a time"), ("soon", 0, "no time at all"),
        ]
        for (text, end, reason) in rows {
            XCTAssertEqual(BootstrapTokenKeeper.end(bootstrap("abcdef", expires: text)), end, reason)
        }
    }

    func testSignatures() throws {
        let information: JSON = ["data": ["kubeconfig": "config", "jws-kubeconfig-gone00": "x", "other": "y"]]
        let secrets = [
            bootstrap("abcdef", signs: true), bootstrap("silent"),
            bootstrap("former", expires: "2020-01-01T00:00:00Z", signs: true),
        ]
        let signed = try XCTUnwrap(BootstrapTokenKeeper.signed(information, by: secrets, now: 1_767_225_600))
        // The signature of another implementation (Python's hmac) for the same token and text.
        let expected = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..bTeHbksnlLJBm7Vi0Ei2oppeiyS8yaqjp8xiz72--Bs"
        XCTAssertEqual(
            signed["data"], ["kubeconfig": "config", "other": "y", "jws-kubeconfig-abcdef": .string(expected)])
        XCTAssertNil(BootstrapTokenKeeper.signed(signed, by: secrets, now: 1_767_225_600), "nothing more to do")
        XCTAssertNil(BootstrapTokenKeeper.signed(["data": [:]], by: secrets, now: 0), "nothing to sign")
    }

    func testTheServerKeepsBootstrapTokens() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        for secret in [bootstrap("former", expires: "2020-01-01T00:00:00Z"), bootstrap("signer", signs: true)] {
            XCTAssertEqual(try server.request("POST", Self.secrets, secret).status, 201)
        }
        let maps = "/api/v1/namespaces/kube-public/configmaps"
        let information: JSON = ["metadata": ["name": "cluster-info"], "data": ["kubeconfig": "one"]]
        XCTAssertEqual(try server.request("POST", maps, information).status, 201)
        func signature() throws -> String? {
            try server.request("GET", maps + "/cluster-info").json["data"]["jws-kubeconfig-signer"].stringValue
        }
        try server.eventually("it is signed") { try signature() != nil }
        let first = try signature()
        try server.eventually("the expired token is gone") {
            try server.request("GET", Self.secrets + "/bootstrap-token-former").status == 404
        }
        let merge = ["Content-Type": "application/merge-patch+json"]
        let changed: JSON = ["data": ["kubeconfig": "two"]]
        XCTAssertEqual(try server.request("PATCH", maps + "/cluster-info", changed, headers: merge).status, 200)
        try server.eventually("what has changed is signed anew") { try signature() != first }
        XCTAssertEqual(try server.request("DELETE", Self.secrets + "/bootstrap-token-signer").status, 200)
        try server.eventually("a token that is gone signs no more") { try signature() == nil }
    }

    // MARK: - Tokens of accounts

    private func tokenSecret(_ name: String, _ account: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": [
                "name": .string(name),
                "annotations": .object([AccountTokenKeeper.nameAnnotation: .string(account)]),
            ],
        ]
    }

    func testStepsOfTokenSecrets() throws {
        var secret = tokenSecret("s", "a")
        secret["metadata"]["namespace"] = "n"
        let account: JSON = ["metadata": ["name": "a", "namespace": "n", "uid": "u"]]
        func step(_ secret: JSON, _ account: JSON?) -> AccountTokenKeeper.Step {
            AccountTokenKeeper.step(secret, account, authority: [1]) { "token of \($0)" }
        }
        guard case .update(let filled) = step(secret, account) else { return XCTFail("it is filled") }
        XCTAssertEqual(filled.annotations[AccountTokenKeeper.uidAnnotation], "u")
        XCTAssertEqual(filled["data"]["token"].stringValue, Base64.encode(Array("token of u".utf8)))
        XCTAssertEqual(filled["data"]["namespace"], "bg==")
        XCTAssertEqual(filled["data"]["ca.crt"], "AQ==")
        XCTAssertEqual(step(filled, account), .nothing, "once")
        XCTAssertEqual(step(secret, nil), .delete, "of no account")
        var other = account
        other["metadata"]["uid"] = "v"
        XCTAssertEqual(step(filled, other), .delete, "of one that was there before")
    }

    func testATokenOfASecretCountsAsLongAsTheSecretHoldsIt() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        let accounts = "/api/v1/namespaces/default/serviceaccounts"
        let secrets = "/api/v1/namespaces/default/secrets"
        XCTAssertEqual(try server.request("POST", accounts, ["metadata": ["name": "robot"]]).status, 201)
        XCTAssertEqual(try server.request("POST", secrets, tokenSecret("robot-token", "robot")).status, 201)
        var token = ""
        try server.eventually("it is filled") {
            let text = try server.request("GET", secrets + "/robot-token").json["data"]["token"].stringValue
            token = String(decoding: Base64.decode(text ?? "") ?? [], as: UTF8.self)
            return !token.isEmpty
        }
        func user() throws -> JSON? {
            let review: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
            let answer = try server.request(
                "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token: token)
            if answer.status == 401 { return nil }
            return try answer.json["status"]["userInfo"]["username"]
        }
        XCTAssertEqual(try user(), "system:serviceaccount:default:robot")
        XCTAssertEqual(try user(), "system:serviceaccount:default:robot", "once more")
        let merge = ["Content-Type": "application/merge-patch+json"]
        XCTAssertEqual(
            try server.request("PATCH", secrets + "/robot-token", ["data": ["token": "eA=="]], headers: merge).status,
            200)
        XCTAssertNil(try user(), "its secret holds another")
        XCTAssertEqual(try server.request("DELETE", accounts + "/robot").status, 200)
        try server.eventually("the secret goes with its account") {
            try server.request("GET", secrets + "/robot-token").status == 404
        }
        XCTAssertEqual(try server.request("POST", secrets, tokenSecret("nobodys", "nobody")).status, 201)
        try server.eventually("a secret of no account goes") {
            try server.request("GET", secrets + "/nobodys").status == 404
        }
    }

    // MARK: - Questions

    func testQuestionsThatCannotBe() {
        let get: JSON = ["verb": "get", "resource": "pods"]
        func faults(_ spec: JSON, _ plural: String = "subjectaccessreviews", namespace: JSON = .null) -> [String] {
            var review: JSON = ["spec": spec]
            if namespace.exists { review["metadata"] = ["namespace": namespace] }
            return AccessReviewChecks.faults(in: review, plural).map { "\($0.field): \($0.message)" }
        }
        XCTAssertEqual(faults(["user": "a", "resourceAttributes": get]), [])
        XCTAssertEqual(faults(["groups": ["a"], "nonResourceAttributes": ["path": "/"]]), [])
        XCTAssertEqual(
            faults(["user": "a"]),
            [
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes "
                    + "must be specified"
            ])
        XCTAssertEqual(
            faults(["resourceAttributes": get]),
            ["spec.user: Invalid value: \"\": at least one of user or group must be specified"])
        XCTAssertEqual(faults(["resourceAttributes": get], "selfsubjectaccessreviews"), [])
        XCTAssertEqual(
            faults(["user": "a", "resourceAttributes": get], "localsubjectaccessreviews", namespace: "n"),
            ["spec.resourceAttributes.namespace: Invalid value: \"\": must match metadata.namespace"])
        var named: JSON = ["metadata": ["name": "n", "creationTimestamp": .null], "spec": ["resourceAttributes": get]]
        named["spec"]["user"] = "a"
        XCTAssertEqual(
            AccessReviewChecks.faults(in: named, "subjectaccessreviews").map(\.field), ["metadata"], "it has no name")
        named["metadata"].removeValue(forKey: "name")
        XCTAssertEqual(AccessReviewChecks.faults(in: named, "subjectaccessreviews"), [])
        func selecting(_ selector: JSON) -> [String] {
            var attributes = get
            attributes["fieldSelector"] = selector
            return faults(["user": "a", "resourceAttributes": attributes])
        }
        let place = "spec.resourceAttributes.fieldSelector"
        XCTAssertEqual(selecting(["rawSelector": "spec.nodeName=n"]), [])
        XCTAssertEqual(
            selecting([:]),
            [
                "\(place).requirements: Required value: when \(place) is specified, requirements or rawSelector is required"
            ])
        XCTAssertEqual(
            selecting(["rawSelector": "a=b", "requirements": [["key": "a", "operator": "Exists"]]]),
            ["\(place).rawSelector: Invalid value: \"a=b\": may not specified at the same time as requirements"])
        XCTAssertEqual(
            selecting(["requirements": [["key": "a", "operator": "In"]]]),
            [
                "\(place).requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            ])
    }
}
