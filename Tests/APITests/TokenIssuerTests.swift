import Glibc
import Objects
import PluginKit
import XCTest

@testable import API

/// Tokens of OpenID Connect issuers and of a webhook, over the API.
final class TokenIssuerTests: XCTestCase {
    private var issuer: JSONServer!
    private var server: TestServer?

    override func setUpWithError() throws { issuer = try JSONServer() }

    override func tearDownWithError() throws {
        try server?.stop()
        try issuer.stop()
    }

    /// Has the issuer show these keys.
    private func publish(_ signers: [TokenSigner]) throws {
        let keys = JSON.array(try signers.map { try $0.webKey() })
        let url = issuer.url("")
        issuer.answer { question in
            switch question.path {
            case "/.well-known/openid-configuration":
                ["issuer": .string(url), "jwks_uri": .string(url + "/keys")]
            case "/keys": ["keys": keys]
            default: nil
            }
        }
    }

    private func settings(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var settings: JSON = [
            "issuer": [
                "url": .string(issuer.url("")), "certificateAuthority": .string(issuer.authority),
                "audiences": ["hostd", "other"],
            ],
            "claimMappings": [
                "username": ["claim": "sub", "prefix": "oidc:"], "groups": ["claim": "roles", "prefix": "oidc:"],
            ],
        ]
        change(&settings)
        return settings
    }

    private func start(_ jwt: JSON) throws -> TestServer {
        let server = try TestServer(options: ["authentication": ["jwt": [jwt]]])
        self.server = server
        return server
    }

    private func claims(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var claims: JSON = [
            "iss": .string(issuer.url("")), "sub": "ann", "aud": "hostd", "exp": .integer(Int64(time(nil)) + 600),
            "roles": ["dev", "ops"], "hd": "example.com",
        ]
        change(&claims)
        return claims
    }

    private static func whoAmI(_ server: TestServer, _ token: String) throws -> TLSClient.Response {
        try server.request(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"], token: token)
    }

    func testTheClustersOwnKeysAreReadUnderItsName() throws {
        let server = try start(settings())
        let document = try server.request("GET", "/.well-known/openid-configuration").json
        let name = "https://kubernetes.default.svc.cluster.local"
        XCTAssertEqual(document["issuer"].stringValue, name)
        XCTAssertEqual(
            document["jwks_uri"].stringValue, name + "/openid/v1/jwks", "pods do not reach where the API listens")
        XCTAssertEqual(try server.request("GET", "/openid/v1/jwks").json["keys"].arrayValue.count, 1)
    }

    func testUsersOfClaims() throws {
        let signer = try TokenSigner("a")
        let other = try TokenSigner("a")
        let rsa = try TokenSigner("r", isRSA: true)
        try publish([signer, rsa])
        let server = try start(
            settings { $0["claimValidationRules"] = [["claim": "hd", "requiredValue": "example.com"]] })
        let first = try Self.whoAmI(server, signer.token(claims()))
        XCTAssertEqual(first.status, 201, first.text)
        XCTAssertEqual(try first.json["status"]["userInfo"]["username"], "oidc:ann")
        XCTAssertEqual(
            try first.json["status"]["userInfo"]["groups"], ["oidc:dev", "oidc:ops", "system:authenticated"])
        let hour: Int64 = 3600
        let now = Int64(time(nil))
        let rows: [(String, Int, String)] = [
            (try rsa.token(claims()), 201, "with RSA"),
            (try signer.token(claims { $0["roles"] = "dev" }), 201, "one group, as text"),
            (try signer.token(claims { $0["aud"] = ["x", "other"] }), 201, "one of several audiences"),
            (try other.token(claims()), 401, "another key of the same name"),
            (try signer.token(claims { $0["aud"] = "x" }), 401, "for somebody else"),
            (try signer.token(claims { $0["exp"] = .integer(now - hour) }), 401, "expired"),
            (try signer.token(claims { $0.removeValue(forKey: "exp") }), 401, "without an end"),
            (try signer.token(claims { $0["nbf"] = .integer(now + hour) }), 401, "not valid yet"),
            (try signer.token(claims { $0["iss"] = "https://elsewhere.example.com" }), 401, "another issuer"),
            (try signer.token(claims { $0["hd"] = "example.org" }), 401, "a required claim that differs"),
            (try signer.token(claims { $0.removeValue(forKey: "hd") }), 401, "a required claim that is missing"),
            (try signer.token(claims { $0.removeValue(forKey: "sub") }), 401, "without a name"),
            (try signer.token(claims { $0["roles"] = [1] }), 401, "groups that are no texts"),
            (try signer.token(claims(), algorithm: "none"), 401, "without a signature that counts"),
            (try rsa.token(claims(), algorithm: "ES256"), 401, "an algorithm of another kind of key"),
        ]
        for (token, status, reason) in rows { XCTAssertEqual(try Self.whoAmI(server, token).status, status, reason) }
        XCTAssertEqual(issuer.questions.map(\.path), ["/.well-known/openid-configuration", "/keys"], "asked once")
    }

    func testExpressions() throws {
        let signer = try TokenSigner("a")
        try publish([signer])
        let server = try start(
            settings {
                $0["claimValidationRules"] = [
                    ["expression": "claims.hd.endsWith('.com')", "message": "only .com"]
                ]
                $0["claimMappings"] = [
                    "username": ["expression": "'x-' + claims.sub"],
                    "groups": ["expression": "claims.roles.map(r, 'g-' + r)"],
                    "uid": ["claim": "sub"],
                    "extra": [["key": "example.com/domain", "valueExpression": "claims.hd"]],
                ]
                $0["userValidationRules"] = [
                    ["expression": "!user.username.startsWith('x-system:')", "message": "system: is reserved"],
                    ["expression": "user.groups.all(group, group != 'x-system:masters')", "message": "no masters"],
                ]
            })
        let user = try Self.whoAmI(server, signer.token(claims())).json["status"]["userInfo"]
        XCTAssertEqual(
            user,
            [
                "username": "x-ann", "uid": "ann", "groups": ["g-dev", "g-ops", "system:authenticated"],
                "extra": ["example.com/domain": ["example.com"]],
            ])
        for (change, reason): ((inout JSON) -> Void, String) in [
            ({ $0["hd"] = "example.org" }, "only .com"), ({ $0["sub"] = "system:admin" }, "system: is reserved"),
        ] {
            let token = try signer.token(claims(change))
            XCTAssertEqual(try Self.whoAmI(server, token).status, 401, reason)
            let review = try server.request(
                "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
                ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)]])
            XCTAssertEqual(try review.json["status"]["authenticated"], false)
            XCTAssertEqual(
                try review.json["status"]["error"].stringValue, "[invalid bearer token, oidc: \(reason)]", reason)
        }
    }

    func testIssuerThatDoesNotAnswerRefuses() throws {
        let signer = try TokenSigner("a")
        let server = try start(settings())
        XCTAssertEqual(try Self.whoAmI(server, signer.token(claims())).status, 401)
        XCTAssertEqual(try Self.whoAmI(server, signer.token(claims())).status, 401)
        XCTAssertEqual(issuer.questions.count, 1, "it is not asked again at once")
    }

    func testMistakesOfSettingsAreTold() throws {
        let rows: [((inout JSON) -> Void, String)] = [
            ({ $0["issuer"]["url"] = "http://a" }, "issuer.url: Invalid value: \"http://a\": URL scheme must be https"),
            ({ $0["issuer"]["audiences"] = [] }, "jwt[0].issuer.audiences: Required value"),
            ({ $0["claimMappings"]["username"] = ["claim": "sub"] }, "claimMappings.username.prefix: Required value"),
            ({ $0["claimMappings"]["username"] = ["expression": "claims.sub =="] }, "compilation failed"),
            ({ $0["claimMappings"]["username"] = ["expression": "1"] }, "must evaluate to string"),
            ({ $0["claimValidationRules"] = [[:]] }, "claimValidationRules[0]: Required value"),
            (
                { $0["claimMappings"]["extra"] = [["key": "a.kubernetes.io/b", "valueExpression": "'x'"]] },
                "k8s.io, kubernetes.io and their subdomains are reserved"
            ),
        ]
        for (change, message) in rows {
            do {
                _ = try AuthenticationSettings(["jwt": [settings(change)]])
                XCTFail("accepted: \(message)")
            } catch {
                XCTAssertTrue("\(error)".contains(message), "\(error)")
            }
        }
    }

    func testWebhookForTokens() throws {
        issuer.answer { question in
            let token = question.body["spec"]["token"].stringValue ?? ""
            guard token.hasPrefix("good") else {
                return ["kind": "TokenReview", "status": ["authenticated": false, "error": "never heard of it"]]
            }
            return [
                "kind": "TokenReview",
                "status": [
                    "authenticated": true, "audiences": question.body["spec"]["audiences"],
                    "user": ["username": "bob", "uid": "7", "groups": ["g"], "extra": ["k": ["v"]]],
                ],
            ]
        }
        let server = try TestServer(
            options: [
                "authentication": [
                    "webhook": ["url": .string(issuer.url("/ask")), "certificateAuthority": .string(issuer.authority)]
                ]
            ])
        self.server = server
        let user = try Self.whoAmI(server, "good-1").json["status"]["userInfo"]
        XCTAssertEqual(
            user,
            ["username": "bob", "uid": "7", "groups": ["g", "system:authenticated"], "extra": ["k": ["v"]]])
        XCTAssertEqual(try Self.whoAmI(server, "good-1").status, 201)
        XCTAssertEqual(issuer.questions.count, 1, "an answer is kept")
        XCTAssertEqual(issuer.questions.first?.path, "/ask")
        XCTAssertEqual(
            issuer.questions.first?.body["spec"]["audiences"], ["https://kubernetes.default.svc.cluster.local"])
        XCTAssertEqual(try Self.whoAmI(server, "bad").status, 401)
        issuer.answer { _ in nil }
        XCTAssertEqual(try Self.whoAmI(server, "good-2").status, 401, "one that fails refuses")
    }
}
