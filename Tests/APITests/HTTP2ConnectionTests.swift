import CNGHTTP2
import Glibc
import XCTest

@testable import API

/// HTTP/2 over TLS, against a real client of the same library.
final class HTTP2ConnectionTests: XCTestCase {
    private var server: EchoServer!

    override func setUpWithError() throws { server = try EchoServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func eventually(_ what: String, _ holds: () -> Bool) {
        let end = ContinuousClock.now + .seconds(60)
        while !holds() {
            guard ContinuousClock.now < end else { return XCTFail("not within a minute: \(what)") }
            usleep(2000)
        }
    }

    /// A client with an open stream that the test writes to.
    private func watch(_ client: HTTP2Client, _ name: String) throws -> (identifier: Int32, stream: HTTPBodyStream) {
        let identifier = try client.open("GET", "/stream/\(name)")
        try client.read(until: "the head") { client.answers[identifier]?.status == 200 }
        return (identifier, try XCTUnwrap(server.stream("/stream/\(name)")))
    }

    // MARK: - Requests

    func testTheClientChooses() throws {
        let rows: [(offered: [String], agreed: String)] = [
            (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["spdy/3"], ""),
            ([], ""),
        ]
        for row in rows {
            let client = try TLSClient(port: server.port, protocols: row.offered)
            defer { client.close() }
            XCTAssertEqual(client.agreedProtocol, row.agreed, "\(row.offered)")
            guard row.agreed != "h2" else { continue }
            XCTAssertEqual(try client.request("GET", "/bytes/3").body, [0, 1, 2], "\(row.offered)")
        }
    }

    func testRequestsShareAConnection() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let sizes = [0, 1, 100, 16_384, 16_385, 65_535, 65_536, 300_000, 2_000_000]
        let streams = try sizes.map { try client.open("GET", "/bytes/\($0)") }
        for (size, stream) in zip(sizes, streams) {
            let answer = try client.answer(stream)
            XCTAssertEqual(answer.status, 200)
            XCTAssertEqual(answer.headers["content-length"], "\(size)")
            XCTAssertEqual(answer.body, (0..<size).map { UInt8(truncatingIfNeeded: $0 % 251) }, "\(size) bytes")
        }
        XCTAssertEqual(client.settings[Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue)], 250)
        XCTAssertEqual(client.settings[Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue)], 65_536)
    }

    func testHeads() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let plain = try client.request("GET", "/x?y=1", headers: ["x-a": "b"])
        XCTAssertEqual(String(decoding: plain.body, as: UTF8.self), "GET /x?y=1 0 authorization,host,x-a")
        XCTAssertEqual(plain.headers["content-type"], "text/plain; charset=utf-8")
        XCTAssertNotNil(plain.headers["date"])
        let head = try client.request("HEAD", "/bytes/77")
        XCTAssertEqual(head.headers["content-length"], "77")
        XCTAssertEqual(head.body, [], "an answer to HEAD has no body")
        let long = String(repeating: "x", count: 30_000)
        XCTAssertEqual(try client.request("GET", "/x", headers: ["a": long]).status, 200)
        XCTAssertEqual(
            try client.request("GET", "/x", headers: ["a": long, "b": long, "c": long]).status, 431,
            "a head above 64 KiB")
        XCTAssertEqual(
            try client.request(
                "GET", "/x", headers: Dictionary(uniqueKeysWithValues: (0..<300).map { ("h\($0)", "") })
            ).status, 431, "more than 256 fields")
        XCTAssertEqual(try client.request("GET", "/x").status, 200, "the connection goes on")
        XCTAssertEqual(try client.request("GET", "no-path").code, 1, "nghttp2 itself refuses it: PROTOCOL_ERROR")
    }

    func testAnswersToHEADHaveNoBodyInHTTP1Either() throws {
        let client = try TLSClient(port: server.port)
        defer { client.close() }
        client.send("HEAD /bytes/5 HTTP/1.1\r\nHost: a\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).headers["content-length"], "5")
        XCTAssertEqual(try client.request("GET", "/bytes/2").body, [0, 1], "the next answer follows at once")
    }

    // MARK: - Bodies of requests

    func testBodies() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let limit = 3 << 20
        let rows: [(size: Int, isKnown: Bool, status: Int)] = [
            (0, true, 200), (1, false, 200), (65_535, true, 200), (65_536, false, 200), (limit, true, 200),
            (limit, false, 200), (limit + 1, true, 413), (limit + 1, false, 413), (limit + 500_000, false, 413),
        ]
        for row in rows {
            let body = [UInt8](repeating: 7, count: row.size)
            let answer = try client.answer(
                try client.open("POST", "/x", body: body, lengthIsKnown: row.isKnown))
            XCTAssertEqual(answer.status, row.status, "\(row)")
            if row.status == 200 {
                let text = String(decoding: answer.body, as: UTF8.self)
                XCTAssertTrue(text.hasPrefix("POST /x \(row.size) "), text)
            }
        }
        let asked = try client.open("POST", "/x", headers: ["expect": "100-continue"], body: [1, 2, 3])
        XCTAssertEqual(try client.answer(asked).status, 200)
    }

    /// More bodies at once than a connection has memory for: they take turns, and all of them come through.
    func testBodiesTakeTurns() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let body = [UInt8](repeating: 7, count: 2 << 20)
        let streams = try (0..<20).map { try client.open("POST", "/\($0)", body: body, lengthIsKnown: $0 % 2 == 0) }
        for (number, stream) in streams.enumerated() {
            let text = String(decoding: try client.answer(stream).body, as: UTF8.self)
            XCTAssertTrue(text.hasPrefix("POST /\(number) \(body.count) "), text)
        }
    }

    // MARK: - Streams

    func testAResetEndsTheWriter() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let (identifier, stream) = try watch(client, "a")
        stream.write { $0 += Array("one\n".utf8) }
        try client.read(until: "what was written") { client.answers[identifier]?.body == Array("one\n".utf8) }
        client.reset(identifier)
        eventually("the writer is told") { server.isClosed("/stream/a") }
        XCTAssertFalse(stream.write { $0 += [1] })
        XCTAssertEqual(try client.request("GET", "/bytes/1").body, [0], "the connection goes on")
        let (second, other) = try watch(client, "b")
        other.write { $0 += Array("two".utf8) }
        other.finish()
        let answer = try client.answer(second)
        XCTAssertEqual(answer.body, Array("two".utf8))
        XCTAssertTrue(answer.hasEnded)
        let (_, last) = try watch(client, "c")
        client.client.finishSending()
        eventually("the writer is told that the connection is gone") { server.isClosed("/stream/c") }
        XCTAssertFalse(last.write { $0 += [1] })
    }

    /// A client that does not read one stream still gets the others, and loses that one when it is too far behind.
    func testASlowStreamHoldsUpNothing() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let (slow, stream) = try watch(client, "slow")
        client.slow = [slow]
        stream.write { $0 += [UInt8](repeating: 1, count: 200_000) }
        try client.read(until: "the window is full") { client.answers[slow]?.body.count == 65_535 }
        for _ in 0..<3 { XCTAssertEqual(try client.request("GET", "/bytes/100000").body.count, 100_000) }
        XCTAssertEqual(client.answers[slow]?.body.count, 65_535, "nothing beyond the window")
        client.takeOn(slow)
        try client.read(until: "the rest") { client.answers[slow]?.body.count == 200_000 }
        client.slow = [slow]
        while stream.write({ $0 += [UInt8](repeating: 1, count: 1 << 20) }) {}
        XCTAssertEqual(try client.request("GET", "/bytes/1").body, [0])
        client.takeOn(slow)
        XCTAssertTrue(try client.answer(slow).hasEnded)
        XCTAssertLessThan(client.answers[slow]?.body.count ?? 0, 2 << 20, "what waited beyond the bound was dropped")
        eventually("the writer is told") { server.isClosed("/stream/slow") }
        XCTAssertEqual(try client.request("GET", "/bytes/1").body, [0])
    }

    /// A long answer and a watch on one connection take turns. The answer is longer than what the connection's window lets the
    /// server send before the client reads on, so the event always finds it under way.
    func testStreamsTakeTurns() throws {
        let size = HTTP2Client.connectionWindow + 4_000_000
        let client = try HTTP2Client(port: server.port, window: Int32(size))
        defer { client.close() }
        let (identifier, stream) = try watch(client, "w")
        let long = try client.open("GET", "/bytes/\(size)")
        try client.read(until: "the long answer begins") { client.answers[long]?.body.isEmpty == false }
        stream.write { $0 += Array("event\n".utf8) }
        try client.read(until: "the event") { client.answers[identifier]?.body.isEmpty == false }
        XCTAssertLessThan(client.answers[long]?.body.count ?? 0, size, "the event came before the end of the list")
        XCTAssertEqual(try client.answer(long).body.count, size)
    }

    // MARK: - What clients must not do

    func testTooManyRequestsAtOnce() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        XCTAssertEqual(try client.request("GET", "/bytes/1").status, 200, "now the client knows the server's settings")
        for _ in 0..<250 { _ = try client.open("GET", "/wait") }
        eventually("all of them run") { server.waiting.count == 250 }
        // Given up, they still run: as many new ones are not let in.
        for stream in stride(from: Int32(3), to: 503, by: 2) { client.reset(stream) }
        let refused = try client.open("GET", "/bytes/1")
        XCTAssertEqual(try client.answer(refused).code, NGHTTP2_REFUSED_STREAM.rawValue)
        for exchange in server.waiting { exchange.respond(.text(200, "")) }
        eventually("there is room again") { (try? client.request("GET", "/bytes/1").status) == 200 }
    }

    func testRapidResetsEndTheConnection() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        XCTAssertEqual(try client.request("GET", "/bytes/1").status, 200)
        for _ in 0..<1300 {
            guard let stream = try? client.open("GET", "/bytes/1") else { break }
            client.reset(stream)
        }
        while client.read() {}
        XCTAssertNotNil(client.goAway, "the server tells why")
        XCTAssertNotEqual(client.goAway?.code, 0)
    }

    func testPings() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        for count in 1...3 {
            client.ping()
            try client.read(until: "the answer") { client.pongs == count }
        }
    }

    func testFramesThatEndTheConnection() throws {
        func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
            let size = payload.count
            var bytes = [UInt8(size >> 16 & 255), UInt8(size >> 8 & 255), UInt8(size & 255), type, flags]
            for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(stream >> shift & 255)) }
            return bytes + payload
        }
        let opening = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])
        var continuations: [UInt8] = []
        for _ in 0..<12 { continuations += frame(9, 0, 1, [UInt8](repeating: 0x82, count: 100)) }
        var settings: [UInt8] = []
        for _ in 0..<40 { settings += [0, 3, 0, 0, 0, 1] }
        let rows: [(bytes: [UInt8], reason: String)] = [
            (Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), "no preface"),
            (opening + frame(1, 0, 1, [0x82]) + continuations, "a flood of CONTINUATION frames"),
            (opening + frame(0, 0, 0, [1]), "data on stream 0"),
            (opening + frame(1, 5, 2, [0x82, 0x84, 0x87]), "an even stream"),
            (opening + frame(1, 5, 1, [0xFF, 0xFF, 0xFF, 0xFF]), "broken header compression"),
            (opening + frame(6, 0, 0, [1, 2, 3]), "a short PING"),
            (opening + frame(8, 0, 0, [0, 0, 0, 0]), "a window update of nothing"),
            (opening + [0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1], "a frame beyond the size that is allowed"),
            (opening + frame(5, 4, 1, [0, 0, 0, 2, 0x82]), "a push of a client"),
            (
                opening + frame(4, 0, 0, settings),
                "many settings"
            ),
        ]
        for row in rows {
            let client = try TLSClient(port: server.port, protocols: ["h2"])
            defer { client.close() }
            client.send(row.bytes)
            while !client.read().isEmpty {}
            XCTAssertTrue(client.isAtEnd(), row.reason)
        }
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        XCTAssertEqual(try client.request("GET", "/bytes/1").status, 200, "the server goes on")
    }

    // MARK: - The end

    /// What is being answered when the server stops comes to its end; streams without an end are ended.
    func testTheServerStops() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let old = try TLSClient(port: server.port)
        defer { old.close() }
        let (identifier, _) = try watch(client, "a")
        let waiting = try client.open("GET", "/wait")
        old.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually("both wait") { server.waiting.count == 2 }
        let exchanges = server.waiting
        let stopping = try XCTUnwrap(server)
        let stopped = expectation(description: "the server has stopped")
        let thread = try LoopThread(name: "stop") {
            do { try stopping.stop() } catch { XCTFail("\(error)") }
            stopped.fulfill()
        }
        try client.read(until: "GOAWAY") { client.goAway != nil }
        XCTAssertEqual(client.goAway?.code, 0)
        XCTAssertEqual(client.goAway?.last, waiting)
        XCTAssertTrue(try client.answer(identifier).hasEnded)
        for exchange in exchanges { exchange.respond(.text(200, "late")) }
        XCTAssertEqual(try client.answer(waiting).body, Array("late".utf8))
        let answer = try old.response()
        XCTAssertEqual(answer.text, "late")
        XCTAssertEqual(answer.headers["connection"], "close")
        wait(for: [stopped], timeout: 60)
        thread.join()
    }
}
