import COpenSSL
import Objects
import PluginKit
import XCTest

@testable import API

/// Which of several credentials decides, and where tokens are looked for.
final class AuthenticationOrderTests: XCTestCase {
    private static let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    private static let tokenPrefix = "base64url.bearer.authorization.k8s.io."
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }

    override func tearDownWithError() throws { try server.stop() }

    private func authority(_ name: String) throws -> CertificateAuthority {
        func file(_ ending: String) throws -> [UInt8] {
            try AtomicFile.read("\(server.directory)/pki/\(name)\(ending)")
        }
        return CertificateAuthority(credential: Credential(certificate: try file(".crt"), key: try file(".key")))
    }

    /// Who a request is found to be from; nil for nobody (401).
    private func user(
        _ credential: Credential?, token: String? = nil, headers: [String: String] = [:]
    ) throws -> JSON? {
        let client = try TLSClient(
            port: server.port, certificate: credential?.certificate, key: credential?.key)
        defer { client.close() }
        let review: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
        let answer = try client.request("POST", Self.reviews, body: review.serialized(), headers: headers, token: token)
        if answer.status == 401 { return nil }
        XCTAssertEqual(answer.status, 201, answer.text)
        return try answer.json["status"]["userInfo"]
    }

    func testWhichCredentialDecides() throws {
        let ann = try authority("ca").issue(commonName: "ann", organizations: ["people"], usage: .client)
        let stranger = try CertificateAuthority.create(commonName: "hostd-ca").issue(
            commonName: "ann", usage: .client)
        let proxy = try authority("front-proxy-ca").issue(commonName: FrontProxy.clientName, usage: .client)
        let admin = "kubernetes-admin"
        let rows: [(Credential?, String?, [String: String], String?, String)] = [
            (ann, nil, [:], "ann", "a certificate alone"),
            (ann, TestServer.token, [:], "ann", "a certificate comes before a token"),
            (ann, "bad", [:], "ann", "a bad token beside a good certificate"),
            (stranger, TestServer.token, [:], admin, "a good token beside a bad certificate"),
            (stranger, "bad", [:], nil, "neither counts"),
            (stranger, nil, [:], nil, "a bad certificate alone"),
            (nil, "bad", [:], nil, "a bad token alone"),
            (nil, TestServer.token, [:], admin, "a token alone"),
            (proxy, TestServer.token, ["X-Remote-User": "bob"], "bob", "whom a proxy names comes first"),
            (proxy, TestServer.token, [:], admin, "a proxy that names nobody has a token of its own"),
            (nil, nil, ["Authorization": "Basic YTpi"], nil, "another scheme is no credential of this server"),
        ]
        for (credential, token, headers, expected, reason) in rows {
            XCTAssertEqual(
                try user(credential, token: token, headers: headers)?["username"].stringValue, expected, reason)
        }
    }

    func testTokensAmongSubprotocols() throws {
        func shown(_ token: String) -> String { Self.tokenPrefix + Base64.encode(Array(token.utf8), .url) }
        let good = shown(TestServer.token)
        let webSocket = ["Connection": "Upgrade", "Upgrade": "websocket"]
        let rows: [([String: String], String, Bool, String)] = [
            (webSocket, "v5.channel.k8s.io, \(good)", true, "beside another"),
            (webSocket, "\(good),v5.channel.k8s.io", true, "before it"),
            (webSocket, good, false, "alone, so that the server could choose none"),
            (webSocket, "\(good), \(good), v5.channel.k8s.io", false, "twice"),
            (webSocket, "\(Self.tokenPrefix)?, v5.channel.k8s.io", false, "no base 64"),
            (webSocket, "\(shown("bad")), v5.channel.k8s.io", false, "a token that does not count"),
            ([:], "\(good), v5.channel.k8s.io", false, "where no WebSocket is asked for"),
        ]
        for (headers, list, isKnown, reason) in rows {
            var headers = headers
            headers["Sec-WebSocket-Protocol"] = list
            XCTAssertEqual(try user(nil, headers: headers)?["username"], isKnown ? "kubernetes-admin" : nil, reason)
        }
    }

    func testUsersOfCertificates() throws {
        let credential = try authority("ca").issue(commonName: "ann", organizations: ["people"], usage: .client)
        let info = try XCTUnwrap(user(credential))
        XCTAssertEqual(info["groups"], ["people", "system:authenticated"])
        let shown = info["extra"]["authentication.kubernetes.io/credential-id"][0].stringValue ?? ""
        let certificate = try XCTUnwrap(PEM.certificate(credential.certificate))
        defer { X509_free(certificate) }
        var digest = [UInt8](repeating: 0, count: 32)
        var size: UInt32 = 0
        X509_digest(certificate, EVP_sha256(), &digest, &size)
        XCTAssertEqual(
            shown, "X509SHA256=" + digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(),
            "which certificate it was")
    }
}
