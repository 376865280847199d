import CEpoll
import COpenSSL
import Glibc
import XCTest

@testable import API

/// Connections whose handshake OpenSSL makes and whose records are ours, against OpenSSL as the client.
final class TLSConnectionTests: XCTestCase {
    private var server: EchoServer!

    override func setUpWithError() throws { server = try EchoServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 % 251) } }

    func testVersionsAndSuites() throws {
        let rows: [(version: Int32, suite: String)] = [
            (TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"), (TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384"),
            (TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256"), (TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"),
            (TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ]
        for row in rows {
            let client = try TLSClient(port: server.port) { session in
                SSL_ctrl(session, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(row.version), nil)
                SSL_set_ciphersuites(session, row.version == TLS1_3_VERSION ? row.suite : "")
                if row.version == TLS1_2_VERSION { SSL_set_cipher_list(session, row.suite) }
            }
            defer { client.close() }
            XCTAssertEqual(String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(client.session))), row.suite)
            for size in [0, 1, 16_384, 16_385, 150_000] {
                XCTAssertEqual(try client.request("GET", "/bytes/\(size)").body, bytes(size), "\(row.suite), \(size)")
            }
            let sent = try client.request("POST", "/taken", body: bytes(100_000)).text
            XCTAssertTrue(sent.hasPrefix("POST /taken 100000 "), "\(row.suite): \(sent)")
        }
    }

    func testTheClientsCertificateOutlivesTheHandshake() throws {
        let client = try TLSClient(
            port: server.port, certificate: server.contents.admin.certificate, key: server.contents.admin.key)
        defer { client.close() }
        let name = try client.request("GET", "/who").text
        XCTAssertFalse(name.isEmpty)
        XCTAssertEqual(try client.request("GET", "/who").text, name)
    }

    /// The records of a resumed session begin behind a ticket, too.
    func testResumedSessions() throws {
        var ticket: OpaquePointer?
        for isResumed in [false, true] {
            let client = try TLSClient(port: server.port) { session in
                if let ticket { SSL_set_session(session, ticket) }
            }
            defer { client.close() }
            XCTAssertEqual(try client.request("GET", "/bytes/3").body, [0, 1, 2])
            XCTAssertEqual(SSL_session_reused(client.session) == 1, isResumed)
            // Sessions that were not ended well are not resumed.
            client.finishSending()
            SSL_SESSION_free(ticket)
            ticket = SSL_get1_session(client.session)
        }
        SSL_SESSION_free(ticket)
    }

    func testClientsChangeTheirKeys() throws {
        let client = try TLSClient(port: server.port)
        defer { client.close() }
        for kind in [SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED] {
            XCTAssertEqual(SSL_key_update(client.session, kind), 1)
            XCTAssertEqual(try client.request("GET", "/bytes/40000").body, bytes(40000))
        }
    }

    /// An answer that the client does not read for a while is sent on from where it stopped.
    func testSlowReaders() throws {
        let client = try TLSClient(port: server.port)
        defer { client.close() }
        var size: Int32 = 512 << 10
        setsockopt(SSL_get_fd(client.session), SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        // More than the sockets of both sides hold.
        for size in [6_000_000, 100_000] {
            client.send("GET /bytes/\(size) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            XCTAssertEqual(try client.response().body, bytes(size))
        }
    }

    /// What a client sends along with the end of its handshake is not lost, nor is what comes in the smallest pieces.
    func testRequestsBehindTheHandshake() throws {
        for piece in [Int.max, 1] {
            let client = try RawTLSClient(port: server.port)
            defer { client.close() }
            let request = "GET /bytes/5 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            client.write(request)
            client.write(request)
            try client.flush(piece: piece)
            var text = ""
            while text.ranges(of: "HTTP/1.1 200 OK").count < 2 { text += try client.read() }
        }
    }

    func testChangedRecordsEndTheConnection() throws {
        let client = try RawTLSClient(port: server.port)
        defer { client.close() }
        client.write("GET /bytes/5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try client.flush()
        XCTAssertTrue(try client.read().hasPrefix("HTTP/1.1 200 OK"))
        client.write("GET /bytes/5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.outgoing[client.outgoing.count - 1] ^= 1
        try client.flush()
        XCTAssertThrowsError(try client.read()) { error in
            XCTAssertTrue("\(error)".contains("bad record mac"), "\(error)")
        }
    }

    func testTheServerSaysThatItEnds() throws {
        let client = try TLSClient(port: server.port)
        defer { client.close() }
        client.send("GET /bytes/3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        XCTAssertEqual(try client.response().body, [0, 1, 2])
        XCTAssertTrue(client.isAtEnd())
        XCTAssertEqual(SSL_get_shutdown(client.session) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN)
    }

    /// A client that has gone keeps no connection: not one that has asked nothing yet, nor one in the middle of a request.
    func testConnectionsEndWithTheirClients() throws {
        let head = "POST /taken HTTP/1.1\r\nHost: localhost\r\n"
        for sent in [
            "", "GET /by", head + "Content-Length: 5\r\n\r\n12", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n1",
        ] {
            for hasAsked in [false, true] {
                let client = try TLSClient(port: server.port)
                defer { client.close() }
                if hasAsked { XCTAssertEqual(try client.request("GET", "/bytes/3").body, [0, 1, 2]) }
                client.send(sent)
                client.finishSending()
                XCTAssertTrue(client.isAtEnd())
                XCTAssertNotEqual(SSL_get_shutdown(client.session) & SSL_RECEIVED_SHUTDOWN, 0, "after «\(sent)»")
            }
        }
    }
}

/// A TLS client whose bytes the test sends as it likes.
private final class RawTLSClient {
    private let descriptor: Int32
    private let context = SSL_CTX_new(TLS_client_method())
    private let session: OpaquePointer?
    private let incoming = BIO_new(BIO_s_mem())
    private let sealed = BIO_new(BIO_s_mem())
    /// What is to be sent.
    var outgoing: [UInt8] = []

    /// Makes the handshake, but for sending the client's last words of it.
    init(port: UInt16) throws {
        descriptor = try TLSClient.connect(port: port)
        session = SSL_new(context)
        SSL_set_bio(session, incoming, sealed)
        SSL_set_connect_state(session)
        while SSL_do_handshake(session) != 1 {
            collect()
            try flush()
            try receive()
        }
        collect()
    }

    func close() {
        SSL_free(session)
        SSL_CTX_free(context)
        Glibc.close(descriptor)
    }

    func write(_ text: String) {
        SSL_write(session, text, Int32(text.utf8.count))
        collect()
    }

    private func collect() {
        var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(sealed))
        if !bytes.isEmpty { BIO_read(sealed, &bytes, Int32(bytes.count)) }
        outgoing += bytes
    }

    func flush(piece: Int = .max) throws {
        while !outgoing.isEmpty {
            let count = Glibc.send(descriptor, outgoing, min(piece, outgoing.count), Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw TLSClient.Failure(message: "send: \(errno)") }
            outgoing.removeFirst(count)
        }
    }

    private func receive() throws {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { throw TLSClient.Failure(message: "recv: \(count), \(errno)") }
        BIO_write(incoming, bytes, Int32(count))
    }

    func read() throws -> String {
        while true {
            var bytes = [UInt8](repeating: 0, count: 65536)
            ERR_clear_error()
            let count = SSL_read(session, &bytes, Int32(bytes.count))
            if count > 0 { return String(decoding: bytes[..<Int(count)], as: UTF8.self) }
            guard SSL_get_error(session, count) == SSL_ERROR_WANT_READ else {
                throw TLSClient.Failure(message: OpenSSLError.last())
            }
            try receive()
        }
    }
}
