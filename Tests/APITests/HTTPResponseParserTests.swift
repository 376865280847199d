import XCTest

@testable import API

/// Heads of other servers' responses.
final class HTTPResponseParserTests: XCTestCase {
    func testHeads() throws {
        let rows: [(text: String, status: Int?, framing: HTTPBodyReader.Framing?, reason: String)] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, .counted(3), "counted"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", 200, .counted(3), "twice the same"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 200, nil, "contradiction"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", 200, nil, "no number"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n", 200, .chunked, "chunks win"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 200, nil, "an unknown coding"),
            ("HTTP/1.0 404 Not Found\n\n", 404, .untilClose, "LF alone"),
            ("HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n", 304, HTTPBodyReader.Framing.none, "never a body"),
            ("HTTP/1.1 200\r\n\r\n", 200, .untilClose, "no words"),
        ]
        for row in rows {
            let bytes = Array(row.text.utf8)
            for end in 0..<bytes.count {
                XCTAssertNil(try HTTPResponseParser.parse(bytes[..<end]), "\(row.reason), \(end) bytes")
            }
            let parsed = try XCTUnwrap(try HTTPResponseParser.parse((bytes + [0x61])[...]))
            XCTAssertEqual(parsed.size, bytes.count, row.reason)
            XCTAssertEqual(parsed.head.status, row.status, row.reason)
            if let framing = row.framing {
                XCTAssertEqual(try parsed.head.framing(answering: "GET"), framing, row.reason)
                XCTAssertEqual(try parsed.head.framing(answering: "HEAD"), .none, row.reason)
            } else {
                XCTAssertThrowsError(try parsed.head.framing(answering: "GET"), row.reason)
            }
        }
    }

    func testWordsThatCouldEndTheLineAreLeftOut() throws {
        for (text, reason) in [("Fine then", "Fine then"), ("OK\rX: y", ""), ("a\u{7F}", "")] {
            let bytes = Array("HTTP/1.1 200 \(text)\r\n\r\n".utf8)
            XCTAssertEqual(try HTTPResponseParser.parse(bytes[...])?.head.reason, reason)
        }
    }

    func testWhatIsNoResponse() {
        let rows: [(text: String, reason: String)] = [
            ("\u{16}\u{03}\u{01}", "TLS"), ("HTTP/2 200\r\n", "another version"),
            ("HTTP/1.1 2000\r\n", "a long status"),
            ("HTTP/1.1 abc\r\n", "no status"), ("HTTP/1.1 200 OK\r\nNo colon\r\n", "a line that is no field"),
            ("HTTP/1.1 200 OK\r\n: x\r\n", "no name"), ("HTTP/1.1 200 OK\r\nA: b\rc\r\n", "a bare CR"),
            ("HTTP/1.1 200 OK\r\nA b: c\r\n", "a blank in a name"), ("HTTP/1.1 200 OK\r\n x: c\r\n", "a folded line"),
            ("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 300_000), "too long"),
        ]
        for row in rows {
            XCTAssertThrowsError(try HTTPResponseParser.parse(Array(row.text.utf8)[...]), row.reason)
        }
    }
}
