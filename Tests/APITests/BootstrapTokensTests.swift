import Objects
import XCTest

@testable import API

final class BootstrapTokensTests: XCTestCase {
    private static let secret = "0123456789abcdef"

    private static func object(_ change: (inout [String: String]) -> Void = { _ in }) -> JSON {
        var data = [
            "token-id": "abcdef", "token-secret": secret, "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
            "expiration": "2030-01-01T00:00:00Z",
        ]
        change(&data)
        var json: JSON = [
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": ["name": "bootstrap-token-abcdef", "namespace": "kube-system"],
        ]
        for (key, value) in data { json["data"][key] = .string(Base64.encode(Array(value.utf8))) }
        return json
    }

    private func user(_ object: JSON, secret: String = BootstrapTokensTests.secret) -> String {
        do throws(BootstrapTokens.Refusal) {
            let user = try BootstrapTokens.user(object, id: "abcdef", secret: secret, now: 1_800_000_000)
            return user.name + " " + user.groups.joined(separator: ",")
        } catch {
            return error.reason
        }
    }

    func testUsers() {
        var typeless = Self.object()
        typeless["type"] = "Opaque"
        var deleted = Self.object()
        deleted["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
        let known = "system:bootstrap:abcdef system:bootstrappers"
        let rows: [(JSON, String, String, String)] = [
            (
                Self.object(), Self.secret, known + ",system:bootstrappers:kubeadm:default-node-token",
                "with a group of its own"
            ),
            (Self.object { $0["auth-extra-groups"] = nil }, Self.secret, known, "without"),
            (Self.object { $0["expiration"] = nil }, Self.secret, "\(known),", "without an end"),
            (Self.object(), "0123456789abcdeg", "invalid bearer token", "another secret"),
            (typeless, Self.secret, "invalid bearer token", "another type of secret"),
            (deleted, Self.secret, "invalid bearer token", "a secret that is being deleted"),
            (Self.object { $0["token-id"] = "abcdeg" }, Self.secret, "invalid bearer token", "another id"),
            (
                Self.object { $0["expiration"] = "2026-01-01T00:00:00Z" }, Self.secret,
                "the bootstrap token has expired", "after its end"
            ),
            (
                Self.object { $0["expiration"] = "soon" }, Self.secret, "the bootstrap token has expired",
                "with an end that cannot be read"
            ),
            (
                Self.object { $0["usage-bootstrap-authentication"] = "false" }, Self.secret,
                "the bootstrap token is not for authentication", "for signing alone"
            ),
            (
                Self.object { $0["auth-extra-groups"] = "system:masters" }, Self.secret,
                "the bootstrap token's group \"system:masters\" must begin with \"system:bootstrappers:\" and have only "
                    + "a-z, 0-9, : and - behind it", "a group that would be too much"
            ),
        ]
        for (object, secret, expected, reason) in rows {
            let found = user(object, secret: secret)
            if expected.hasSuffix(",") {
                XCTAssertTrue(found.hasPrefix(expected), reason)
            } else {
                XCTAssertEqual(found, expected, reason)
            }
        }
    }

    func testTexts() {
        for (text, isToken, reason) in [
            ("abcdef.0123456789abcdef", true, "six and sixteen"), ("abcdef-0123456789abcdef", false, "no dot"),
            ("abcde.00123456789abcdef", false, "the dot elsewhere"), ("ABCDEF.0123456789abcdef", false, "capitals"),
            ("abcdef.0123456789abcde", false, "too short"), ("", false, "nothing"),
        ] { XCTAssertEqual(BootstrapTokens.parts(text) != nil, isToken, reason) }
    }

    func testTokensOfStoredSecretsCountUntilTheyAreGone() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let token = "abcdef.\(Self.secret)"
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        let review: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
        let unknown = try server.request("POST", path, review, token: token)
        XCTAssertEqual(unknown.status, 401)
        XCTAssertEqual(unknown.headers["www-authenticate"], "Bearer")
        XCTAssertEqual(try unknown.json["reason"].stringValue, "Unauthorized")
        let secrets = "/api/v1/namespaces/kube-system/secrets"
        XCTAssertEqual(try server.request("POST", secrets, Self.object()).status, 201)
        let known = try server.request("POST", path, review, token: token)
        XCTAssertEqual(known.status, 201, known.text)
        XCTAssertEqual(try known.json["status"]["userInfo"]["username"].stringValue, "system:bootstrap:abcdef")
        XCTAssertEqual(
            try known.json["status"]["userInfo"]["groups"],
            [
                "system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", "system:authenticated",
            ])
        let asked = try server.request(
            "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
            ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)]])
        XCTAssertEqual(try asked.json["status"]["authenticated"], true)
        XCTAssertEqual(try asked.json["status"]["user"]["username"].stringValue, "system:bootstrap:abcdef")
        XCTAssertEqual(try server.request("DELETE", secrets + "/bootstrap-token-abcdef").status, 200)
        XCTAssertEqual(try server.request("POST", path, review, token: token).status, 401)
    }
}
