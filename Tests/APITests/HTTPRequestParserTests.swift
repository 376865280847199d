import XCTest

@testable import API

final class HTTPRequestParserTests: XCTestCase {
    private func parse(_ text: String) throws -> (head: HTTPRequestHead, size: Int)? {
        var parser = HTTPRequestParser()
        return try Array(text.utf8).withUnsafeBytes { try parser.parse($0) }
    }

    func testWellFormedRequests() throws {
        let rows: [(text: String, method: String, target: String, reason: String)] = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "the least request"),
            (
                "POST /api/v1?x=y HTTP/1.1\r\nHost:a\r\nContent-Length: 3\r\n\r\nabc", "POST", "/api/v1?x=y",
                "a query and a body"
            ),
            ("GET https://host:6443/p HTTP/1.1\r\nHost: host\r\n\r\n", "GET", "/p", "absolute form"),
            ("GET / HTTP/1.0\r\n\r\n", "GET", "/", "HTTP/1.0 needs no Host"),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*", "asterisk form"),
        ]
        for row in rows {
            let parsed = try XCTUnwrap(parse(row.text), row.reason)
            XCTAssertEqual(parsed.head.method, row.method, row.reason)
            XCTAssertEqual(parsed.head.target, row.target, row.reason)
        }
    }

    func testHeadersAreFoundWithoutRegardToCase() throws {
        let head = try XCTUnwrap(
            parse("GET / HTTP/1.1\r\nHost: a\r\nX-Thing:  b c \t\r\nx-thing: d\r\nAccept:\r\n\r\n")
        ).head
        XCTAssertEqual(head.header("x-thing"), "b c")
        XCTAssertEqual(head.headers("x-thing"), ["b c", "d"])
        XCTAssertEqual(head.header("accept"), "")
        XCTAssertNil(head.header("absent"))
    }

    func testConnectionOptions() throws {
        let rows: [(text: String, keepsAlive: Bool, reason: String)] = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, "1.1 keeps alive"),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false, "close among options, in any case"),
            ("GET / HTTP/1.0\r\n\r\n", false, "1.0 does not"),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "unless it asks"),
        ]
        for row in rows {
            XCTAssertEqual(try XCTUnwrap(parse(row.text)).head.keepsAlive, row.keepsAlive, row.reason)
        }
    }

    func testRefusedRequests() {
        let rows: [(text: String, status: Int, reason: String)] = [
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "two blanks"),
            ("GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", 400, "bare line feeds"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "a version that is not served"),
            ("GET / HTTX/1.1\r\nHost: a\r\n\r\n", 400, "no HTTP"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "two Hosts"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "a blank before the colon"),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, "a folded line"),
            ("GET / HTTP/1.1\r\nHost: a\u{01}\r\n\r\n", 400, "a control character in a value"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "conflicting lengths"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400, "a list of lengths"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400, "a signed length"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400,
                "a length beyond numbers"
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
                "both lengths"
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "another coding"),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a blank in the target"),
            ("GET path HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a target that is no path"),
            ("\u{16}\u{03}\u{01}", 400, "a TLS hello on a plain port"),
            ("G(T / HTTP/1.1\r\n", 400, "a method that is no token"),
        ]
        for row in rows {
            XCTAssertThrowsError(try parse(row.text), row.reason) { error in
                XCTAssertEqual((error as? HTTPParseError)?.status, row.status, row.reason)
            }
        }
    }

    func testHeadArrivesByteByByte() throws {
        let text = Array("GET /x HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        var parser = HTTPRequestParser()
        for count in 1..<text.count {
            XCTAssertNil(try text[..<count].withUnsafeBytes { try parser.parse($0) }, "after \(count) bytes")
        }
        XCTAssertEqual(try text.withUnsafeBytes { try parser.parse($0) }?.size, text.count)
    }

    func testHeadIsBounded() {
        let long = "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "y", count: HTTPRequestParser.headLimit)
        XCTAssertThrowsError(try parse(long)) { XCTAssertEqual(($0 as? HTTPParseError)?.status, 431) }
        let many = "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 300) + "\r\n"
        XCTAssertThrowsError(try parse(many)) { XCTAssertEqual(($0 as? HTTPParseError)?.status, 431) }
    }

    /// Whatever the bytes, the parser answers with a head, with "more", or with an error, and takes no more than there is.
    func testRandomBytesNeverTrap() {
        var generator = SeededGenerator(seed: 7)
        let seeds = [
            "GET /api HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
        for round in 0..<20_000 {
            var bytes = Array(seeds[round % 2].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            var parser = HTTPRequestParser()
            let size = try? bytes.withUnsafeBytes { try parser.parse($0) }?.size
            XCTAssertLessThanOrEqual(size ?? 0, bytes.count)
        }
    }
}

/// A generator that gives the same numbers every time.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
