import Objects
import PluginKit
import XCTest

@testable import API

/// Whose word for who asks is taken, and what other servers are told to trust.
final class FrontProxyTests: XCTestCase {
    private static let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    private static let configMap = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }

    override func tearDownWithError() throws { try server.stop() }

    private func file(_ name: String) throws -> [UInt8] { try AtomicFile.read("\(server.directory)/pki/\(name)") }

    private func authority(_ name: String) throws -> CertificateAuthority {
        CertificateAuthority(
            credential: Credential(certificate: try file(name + ".crt"), key: try file(name + ".key")))
    }

    private func whoAmI(_ credential: Credential, _ headers: [String: String]) throws -> TLSClient.Response {
        let client = try TLSClient(port: server.port, certificate: credential.certificate, key: credential.key)
        defer { client.close() }
        let review: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
        return try client.request("POST", Self.reviews, body: review.serialized(), headers: headers, token: nil)
    }

    func testAProxyNamesItsClient() throws {
        let proxy = Credential(
            certificate: try file("front-proxy-client.crt"), key: try file("front-proxy-client.key"))
        let ann = [
            "X-Remote-User": "ann", "X-Remote-Group": "people", "X-Remote-Uid": "7", "X-Remote-Extra-a%2Fb": "c",
        ]
        let info = try whoAmI(proxy, ann).json["status"]["userInfo"]
        XCTAssertEqual(info["username"], "ann")
        XCTAssertEqual(info["uid"], "7")
        XCTAssertEqual(info["groups"], ["people", "system:authenticated"])
        XCTAssertEqual(info["extra"], ["a/b": ["c"]])
        XCTAssertEqual(try whoAmI(proxy, [:]).status, 401, "it names nobody")

        let other = try authority("front-proxy-ca").issue(commonName: "another", usage: .client)
        XCTAssertEqual(try whoAmI(other, ann).status, 401, "not a name that is allowed")
        let client = try authority("ca").issue(commonName: "front-proxy-client", usage: .client)
        XCTAssertEqual(
            try whoAmI(client, ann).json["status"]["userInfo"]["username"], "front-proxy-client",
            "a client of the other authority is itself")
        let stranger = try CertificateAuthority.create(commonName: "hostd-front-proxy-ca").issue(
            commonName: "front-proxy-client", usage: .client)
        XCTAssertEqual(try whoAmI(stranger, ann).status, 401, "an authority of the same name")
        let token = try server.request("POST", Self.reviews, ["kind": "SelfSubjectReview"], headers: ann)
        XCTAssertFalse(token.text.contains("\"ann\""), "anybody can write headers")
    }

    func testNamesSurviveTheHeaders() {
        let user = UserInfo(
            name: "ann", uid: "7", groups: ["a", "b"], extra: ["example.com/key": ["1", "2"], "100%": ["x"]])
        let headers = FrontProxy.headers(for: user).map { (name: $0.name.lowercased(), value: $0.value) }
        let proxy = ClientCertificate(commonName: "front-proxy-client", organizations: [], isTrusted: true)
        XCTAssertNil(FrontProxy.user(headers, by: proxy), "of no proxy's authority")
        var trusted = proxy
        trusted.isOfProxy = true
        XCTAssertEqual(FrontProxy.user(headers, by: trusted), user)
        let bad = FrontProxy.headers(for: UserInfo(name: "a", groups: ["b\r\nX-Remote-Group: system:masters"]))
        XCTAssertEqual(bad.map(\.name), ["x-remote-user"])
    }

    func testOtherServersAreToldWhomToTrust() throws {
        let data = try server.request("GET", Self.configMap).json["data"]
        XCTAssertEqual(data["client-ca-file"].stringValue, String(decoding: try file("ca.crt"), as: UTF8.self))
        XCTAssertEqual(
            data["requestheader-client-ca-file"].stringValue,
            String(decoding: try file("front-proxy-ca.crt"), as: UTF8.self))
        XCTAssertEqual(data["requestheader-allowed-names"], #"["front-proxy-client"]"#)
        XCTAssertEqual(data["requestheader-username-headers"], #"["X-Remote-User"]"#)
        let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system"
        let role = try server.request("GET", roles + "/roles/extension-apiserver-authentication-reader").json
        XCTAssertEqual(role["rules"][0]["resourceNames"], ["extension-apiserver-authentication"])
        let binding = try server.request(
            "GET", roles + "/rolebindings/system::extension-apiserver-authentication-reader")
        XCTAssertEqual(try binding.json["roleRef"]["kind"], "Role")

        _ = try server.request(
            "PATCH", Self.configMap, ["data": ["client-ca-file": "mine", "own": "1"]],
            headers: ["Content-Type": "application/merge-patch+json"])
        try server.restart()
        let after = try server.request("GET", Self.configMap).json["data"]
        XCTAssertEqual(after["client-ca-file"], data["client-ca-file"])
        XCTAssertEqual(after["own"], "1", "the rest is left as it is")
    }
}
