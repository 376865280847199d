import Glibc
import Objects
import XCTest

@testable import API

final class PKITests: XCTestCase {
    private var directory = ""

    override func setUp() {
        var template = Array("/tmp/hostd-pki-XXXXXX".utf8CString)
        directory = String(cString: mkdtemp(&template))
    }

    override func tearDown() {
        for name in ["ca", "server", "admin", "front-proxy-ca", "front-proxy-client", "service-account"] {
            for kind in ["crt", "key"] { unlink("\(directory)/pki/\(name).\(kind)") }
        }
        rmdir("\(directory)/pki")
        rmdir(directory)
    }

    func testMadeOnceThenReused() throws {
        let pki = PKIDirectory(path: directory + "/pki")
        let names = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"]
        let first = try pki.prepare(names: names)
        XCTAssertEqual(
            first.made, ["ca", "server", "admin", "front-proxy-ca", "front-proxy-client", "service-account"])
        XCTAssertEqual(PKIDirectory.names(first.server.certificate), Set(names))
        let second = try pki.prepare(names: names)
        XCTAssertEqual(second.made, [])
        XCTAssertEqual(second.server, first.server)
        XCTAssertEqual(second.tokenKey, first.tokenKey)
        let third = try pki.prepare(names: names + ["IP:10.0.0.1"])
        XCTAssertEqual(third.made, ["server"], "another name needs another certificate")
        XCTAssertEqual(third.authority, first.authority)
        var status = stat()
        XCTAssertEqual(stat("\(directory)/pki/ca.key", &status), 0)
        XCTAssertEqual(status.st_mode & 0o777, 0o600)
    }

    func testDamagedOrForeignCertificatesAreReplaced() throws {
        let pki = PKIDirectory(path: directory + "/pki")
        _ = try pki.prepare(names: ["DNS:a"])
        let stranger = try CertificateAuthority.create(commonName: "stranger").issue(
            commonName: "x", usage: .server, names: ["DNS:a"])
        let file = fopen("\(directory)/pki/server.crt", "w")
        stranger.certificate.withUnsafeBytes { _ = fwrite($0.baseAddress, 1, $0.count, file) }
        fclose(file)
        XCTAssertEqual(try pki.prepare(names: ["DNS:a"]).made, ["server"])
    }

    func testShortLivedCertificatesAreRenewed() throws {
        let authority = try CertificateAuthority.create(commonName: "a")
        let soon = try authority.issue(commonName: "x", usage: .server, lifetime: 86400)
        XCTAssertFalse(PKIDirectory.isCurrent(soon, issuer: authority.credential.certificate))
        let later = try authority.issue(commonName: "x", usage: .server)
        XCTAssertTrue(PKIDirectory.isCurrent(later, issuer: authority.credential.certificate))
    }

    func testSigning() throws {
        let pki = PKIDirectory(path: directory + "/pki")
        let key = try SigningKey(pem: try pki.prepare(names: []).tokenKey)
        let message = Array("message".utf8)
        var signature = try key.sign(message)
        XCTAssertEqual(signature.count, 64)
        XCTAssertTrue(key.verify(signature, of: message))
        XCTAssertFalse(key.verify(signature, of: message + [0]))
        signature[10] ^= 1
        XCTAssertFalse(key.verify(signature, of: message))
        XCTAssertFalse(key.verify([], of: message))
        XCTAssertEqual(key.coordinates.x.count, 32)
    }

    func testKubeconfig() {
        let text = String(
            decoding: Kubeconfig.text(
                server: "https://127.0.0.1:1", authority: [1], user: "u",
                credential: Credential(certificate: [2], key: [3])),
            as: UTF8.self)
        XCTAssertTrue(text.contains("    server: https://127.0.0.1:1\n"))
        XCTAssertTrue(text.contains("client-key-data: Aw==\n"))
    }
}
