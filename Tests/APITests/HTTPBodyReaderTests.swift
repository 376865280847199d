import XCTest

@testable import API

final class HTTPBodyReaderTests: XCTestCase {
    private func head(_ fields: String) throws -> HTTPRequestHead {
        var parser = HTTPRequestParser()
        let bytes = Array("POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)
        return try XCTUnwrap(try bytes.withUnsafeBytes { try parser.parse($0) }).head
    }

    private func read(_ text: String, _ fields: String, limit: Int = 100, step: Int = 1) throws -> (
        body: String, rest: String
    )? {
        var reader = try HTTPBodyReader(head: try head(fields), limit: limit)
        let bytes = Array(text.utf8)
        var position = 0
        while position < bytes.count, !reader.isDone {
            let end = min(bytes.count, position + step)
            position += try bytes[position..<end].withUnsafeBytes { try reader.consume($0) }
        }
        guard reader.isDone else { return nil }
        return (String(decoding: reader.body, as: UTF8.self), String(decoding: bytes[position...], as: UTF8.self))
    }

    func testBodies() throws {
        let chunked = "Transfer-Encoding: chunked\r\n"
        let rows: [(text: String, fields: String, body: String?, rest: String, reason: String)] = [
            ("", "", "", "", "none"), ("abcd", "Content-Length: 3\r\n", "abc", "d", "counted"),
            ("ab", "Content-Length: 3\r\n", nil, "", "cut short"),
            ("3\r\nabc\r\n0\r\n\r\nGET", chunked, "abc", "GET", "one chunk"),
            (
                "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", chunked, "abc0123456789", "",
                "extensions and hexadecimal"
            ),
            ("0\r\nTrailer: x\r\n\r\n", chunked, "", "", "a trailer"), ("3\r\nabc\r\n", chunked, nil, "", "no end"),
        ]
        for row in rows {
            for step in [1, 2, 1000] {
                let result = try read(row.text, row.fields, step: step)
                XCTAssertEqual(result?.body, row.body, "\(row.reason), step \(step)")
                if row.body != nil { XCTAssertEqual(result?.rest, row.rest, "\(row.reason), step \(step)") }
            }
        }
    }

    func testRefusedBodies() {
        let chunked = "Transfer-Encoding: chunked\r\n"
        let rows: [(text: String, fields: String, status: Int, reason: String)] = [
            ("", "Content-Length: 101\r\n", 413, "announced too large"),
            ("65\r\n", chunked, 413, "a chunk too large"),
            ("60\r\n" + String(repeating: "x", count: 96) + "\r\n5\r\n", chunked, 413, "too large together"),
            ("x\r\n", chunked, 400, "no size"), ("\r\n", chunked, 400, "an empty size"),
            ("1\r\nab\r\n", chunked, 400, "longer than its size"), ("1\nab", chunked, 400, "a bare line feed"),
            ("5 \r\n", chunked, 400, "a blank after the size"),
            ("FFFFFFFFFF\r\n", chunked, 400, "a size beyond bounds"),
        ]
        for row in rows {
            XCTAssertThrowsError(try read(row.text, row.fields), row.reason) { error in
                XCTAssertEqual((error as? HTTPParseError)?.status, row.status, row.reason)
            }
        }
    }
}
