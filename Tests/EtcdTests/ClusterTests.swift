import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import Etcd

/// The engine against a cluster that loses members, is compacted behind its back, and asks for certificates.
final class ClusterTests: XCTestCase {
    private func client(_ store: EtcdStore) -> StoreClient {
        StoreClient(UnsafeRawPointer(RoleTable.store(store)).assumingMemoryBound(to: hostd_store_1.self))
    }

    /// Writes until it succeeds: a member that has gone costs at most a few tries.
    private func persist(_ store: StoreClient, _ key: String) throws -> UInt64 {
        let deadline = monotonicNanoseconds() + 60_000_000_000
        while true {
            do { return try store.create(key, value: []) } catch {
                if error.code == HOSTD_ERROR_ALREADY_EXISTS { return try XCTUnwrap(try store.get(key)).revision }
                guard error.isRetryable, monotonicNanoseconds() < deadline else { throw error }
            }
        }
    }

    func testAKilledMemberCostsNothingThatWasAcknowledged() throws {
        let server = try EtcdServer(members: 3)
        let engine = try server.open()
        defer { engine.close() }
        let store = client(engine)
        let gathered = Gathered()
        let watch = try store.watch(prefix: "pods/", handler: gathered.take)
        var revisions: [UInt64] = []
        for number in 0..<30 {
            if number == 10 { server.kill(0) }
            if number == 20 {
                try server.start(0)
                server.kill(1)
            }
            revisions.append(try persist(store, "pods/d/\(number)"))
        }
        XCTAssertEqual(gathered.wait(count: 30), (0..<30).map { "pods/d/\($0)=" })
        XCTAssertEqual(gathered.allRevisions, revisions)
        XCTAssertEqual(try store.list(prefix: "pods/").records.count, 30)
        watch.cancel()
    }

    func testAMinorityRefusesAndRecovers() throws {
        let server = try EtcdServer(members: 3)
        let engine = try server.open(",\"timeoutSeconds\":2")
        defer { engine.close() }
        let store = client(engine)
        _ = try persist(store, "a/b/1")
        server.kill(0)
        server.kill(1)
        XCTAssertThrowsError(try store.create("a/b/2", value: [])) { error in
            let code = (error as? PluginError)?.code
            XCTAssertTrue(code == HOSTD_ERROR_UNAVAILABLE || code == HOSTD_ERROR_DEADLINE_EXCEEDED, "\(error)")
        }
        XCTAssertEqual(try store.status()["healthy"], false)
        try server.start(0)
        _ = try persist(store, "a/b/3")
        XCTAssertEqual(try store.status()["healthy"], true)
    }

    /// What is lost while nobody follows is told, not passed over.
    func testCompactionWhileDisconnectedIsAResync() throws {
        let server = try EtcdServer()
        let engine = try server.open()
        defer { engine.close() }
        let store = client(engine)
        let first = try store.create("a/b/1", value: [])
        for number in 0..<5 { try store.update("a/b/1", value: [UInt8(number)]) }
        let late = try server.open(",\"historyBytes\":1048576")
        defer { late.close() }
        let gathered = Gathered()
        // From before what the second one remembers: read from etcd's own history.
        let watch = try client(late).watch(prefix: "a/", from: first, handler: gathered.take)
        XCTAssertEqual(gathered.wait(count: 5).count, 5)
        let revision = try store.update("a/b/1", value: [9])
        XCTAssertEqual(gathered.wait(count: 6).count, 6)
        watch.cancel()
        try store.compact(revision)
        XCTAssertThrowsError(try client(late).watch(prefix: "a/", from: first) { _ in }) { error in
            XCTAssertEqual((error as? PluginError)?.code, HOSTD_ERROR_COMPACTED)
        }
    }

    func testCertificatesAreChecked() throws {
        let place = try Certificates()
        let server = try EtcdServer(certificates: place.directory)
        let files = ",\"caFile\":\"\(place.directory)/ca.pem\""
        let own = ",\"certFile\":\"\(place.directory)/client.pem\",\"keyFile\":\"\(place.directory)/client-key.pem\""
        let engine = try server.open(files + own)
        XCTAssertEqual(try client(engine).create("a/b/c", value: [1]) > 0, true)
        engine.close()
        XCTAssertThrowsError(try EtcdStore(try server.options(files)) { _ in }, "without a certificate")
        XCTAssertThrowsError(try EtcdStore(try server.options(own)) { _ in }, "by an unknown authority") { error in
            XCTAssertTrue("\(error)".contains("TLS failed"), "\(error)")
        }
        XCTAssertThrowsError(try server.options(",\"certFile\":\"x\"")) { error in
            XCTAssertTrue("\(error)".contains("keyFile"), "\(error)")
        }
        XCTAssertThrowsError(try EtcdStore(try server.options(",\"caFile\":\"/nowhere\"")) { _ in }) { error in
            XCTAssertTrue("\(error)".contains("options.caFile: /nowhere"), "\(error)")
        }
    }

    func testNobodyThereIsSaidWithTheAddress() throws {
        let options = try EtcdOptions(["endpoints": ["http://127.0.0.1:1"]])
        XCTAssertThrowsError(try EtcdStore(options) { _ in }) { error in
            XCTAssertEqual((error as? PluginError)?.code, HOSTD_ERROR_UNAVAILABLE)
            XCTAssertTrue("\(error)".contains("http://127.0.0.1:1"), "\(error)")
        }
    }
}

/// An authority, a server's and a client's certificate, made by the openssl program.
private final class Certificates {
    let directory: String

    init() throws {
        var template = Array("/tmp/hostd-certificates-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw XCTSkip("no directory in /tmp") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let script = """
            set -e; cd \(directory)
            new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1-key.pem -subj /CN=$1 "${@:2}"; }
            new ca -x509 -days 2 -out ca.pem -addext basicConstraints=critical,CA:TRUE
            for name in server client; do
                new $name -out $name.csr
                printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' >$name.ext
                openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -out $name.pem -extfile $name.ext
            done
            """
        guard system("bash -c '\(script.replacing("'", with: "'\\''"))' >/dev/null 2>&1") == 0 else {
            throw XCTSkip("the openssl program cannot make certificates")
        }
    }

    deinit { try? FileTree.remove(directory) }  // What is left of it lies in /tmp.
}
