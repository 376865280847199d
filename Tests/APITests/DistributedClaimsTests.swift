import Glibc
import Objects
import Synchronization
import XCTest

@testable import API

/// Groups that a token does not carry but says where to get.
final class DistributedClaimsTests: XCTestCase {
    func testPlaces() throws {
        let sources: JSON = ["s": ["endpoint": "https://g/x", "access_token": "t"], "here": ["JWT": "a.b.c"]]
        let rows: [(claims: JSON, expected: DistributedClaims.Source?, reason: String)] = [
            (["groups": ["a"], "_claim_names": ["groups": "s"]], nil, "the token has them itself"),
            (["sub": "x"], nil, "no names"), (["_claim_names": ["other": "s"]], nil, "another claim"),
            (
                ["_claim_names": ["groups": "s"], "_claim_sources": sources],
                .init(url: "https://g/x", accessToken: "t"), "a place and what to show there"
            ),
            (["_claim_names": ["groups": "here"], "_claim_sources": sources], nil, "an aggregated claim has no place"),
        ]
        for (claims, expected, reason) in rows {
            XCTAssertEqual(try DistributedClaims.source(of: "groups", in: claims), expected, reason)
        }
        XCTAssertThrowsError(try DistributedClaims.source(of: "groups", in: ["_claim_names": ["groups": "s"]])) {
            XCTAssertTrue("\($0)".contains("a source s missing"), "\($0)")
        }
    }

    func testGroupsAreGotAndChecked() throws {
        let (signer, stranger) = (try TokenSigner("a"), try TokenSigner("b"))
        let server = try JSONServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let url = server.url("")
        let soon = Int64(time(nil)) + 600
        func groups(_ by: TokenSigner, _ change: (inout JSON) -> Void = { _ in }) throws -> JSON {
            var claims: JSON = [
                "iss": .string(url), "aud": "hostd", "exp": .integer(soon), "roles": ["dev", "ops"],
            ]
            change(&claims)
            return .string(try by.token(claims))
        }
        let answers: [String: JSON] = [
            "/good": try groups(signer), "/foreign": try groups(stranger),
            "/audience": try groups(signer) { $0["aud"] = "other" },
            "/expired": try groups(signer) { $0["exp"] = 1 },
            "/empty": try groups(signer) { $0.removeValue(forKey: "roles") }, "/text": "no token",
            "/keys": ["keys": .array([try signer.webKey()])],
            "/.well-known/openid-configuration": ["issuer": .string(url), "jwks_uri": .string(url + "/keys")],
        ]
        server.answer { answers[$0.path] }
        let api = try TestServer(options: [
            "authentication": [
                "jwt": [
                    [
                        "issuer": [
                            "url": .string(url), "certificateAuthority": .string(server.authority),
                            "audiences": ["hostd"],
                        ],
                        "claimMappings": [
                            "username": ["claim": "sub", "prefix": ""], "groups": ["claim": "roles", "prefix": "g:"],
                        ],
                    ]
                ]
            ]
        ])
        defer { XCTAssertNoThrow(try api.stop()) }
        func review(_ path: String) throws -> JSON {
            let token = try signer.token([
                "iss": .string(url), "sub": "ann", "aud": "hostd", "exp": .integer(soon),
                "_claim_names": ["roles": "s"],
                "_claim_sources": ["s": ["endpoint": .string(url + path), "access_token": "hush"]],
            ])
            return try api.request(
                "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
                ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)]]
            ).json["status"]
        }
        let good = try review("/good")
        XCTAssertEqual(good["user"]["groups"], ["g:dev", "g:ops", "system:authenticated"])
        XCTAssertEqual(server.questions.first { $0.path == "/good" }?.authorization, "Bearer hush")
        for (path, expected) in [
            ("/foreign", "failed to verify id token signature"), ("/audience", "expected audience in [\"hostd\"]"),
            ("/expired", "token is expired"), ("/empty", "could not find distributed claim"),
            ("/text", "answered with no signed token"), ("/nowhere", "error while getting distributed claim JWT"),
        ] {
            let status = try review(path)
            XCTAssertEqual(status["authenticated"], false, path)
            let text = status["error"].stringValue ?? ""
            XCTAssertTrue(text.contains("could not expand distributed claims: "), text)
            XCTAssertTrue(text.contains(expected), "\(path): \(text)")
        }
    }
}
