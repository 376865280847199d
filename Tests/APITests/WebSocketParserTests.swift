import XCTest

@testable import API

final class WebSocketParserTests: XCTestCase {
    /// A client's frame, masked.
    private func frame(_ first: UInt8, _ payload: [UInt8], masked: Bool = true) -> [UInt8] {
        var bytes: [UInt8] = [first]
        let mask: [UInt8] = [1, 2, 3, 4]
        let flag: UInt8 = masked ? 0x80 : 0
        switch payload.count {
        case ...125: bytes.append(flag | UInt8(payload.count))
        case ...65535: bytes += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default:
            bytes += [
                flag | 127, 0, 0, 0, 0, 0, UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255),
                UInt8(payload.count & 255),
            ]
        }
        guard masked else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    private func parse(_ bytes: [UInt8]) throws -> [WebSocketMessage] {
        var parser = WebSocketParser()
        var messages: [WebSocketMessage] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let (message, size) = try rest.withUnsafeBytes({ try parser.parse($0) }) else { break }
            rest = rest.dropFirst(size)
            if let message { messages.append(message) }
        }
        return messages
    }

    func testMessages() throws {
        let long = [UInt8](repeating: 7, count: 300)
        XCTAssertEqual(try parse(frame(0x82, [1, 2])), [.binary([1, 2])])
        XCTAssertEqual(try parse(frame(0x81, Array("hä".utf8))), [.text(Array("hä".utf8))])
        XCTAssertEqual(try parse(frame(0x82, long)), [.binary(long)])
        XCTAssertEqual(
            try parse(frame(0x02, [1]) + frame(0x89, [9]) + frame(0x00, [2]) + frame(0x80, [3])),
            [.ping([9]), .binary([1, 2, 3])], "a ping between fragments")
        XCTAssertEqual(try parse(frame(0x88, [0x03, 0xE8])), [.close(code: 1000)])
        XCTAssertEqual(try parse(frame(0x88, [])), [.close(code: 1005)])
        XCTAssertEqual(try parse(frame(0x8A, [])), [.pong])
    }

    func testRefusedFrames() {
        let rows: [(bytes: [UInt8], code: UInt16, reason: String)] = [
            (frame(0x82, [1], masked: false), 1002, "not masked"), (frame(0xC2, [1]), 1002, "a reserved bit"),
            (frame(0x83, [1]), 1002, "an unknown opcode"), (frame(0x80, [1]), 1002, "continues nothing"),
            (frame(0x01, [1]) + frame(0x01, [1]), 1002, "begins within another"),
            (frame(0x09, [1]), 1002, "a fragmented ping"),
            (frame(0x89, [UInt8](repeating: 0, count: 126)), 1002, "a long ping"),
            (frame(0x88, [3]), 1002, "half a close code"),
            (frame(0x88, [0x03, 0xEC]), 1002, "a close code not for the wire"),
            (frame(0x81, [0xFF, 0xFE]), 1007, "text that is not UTF-8"),
            (frame(0x82, [UInt8](repeating: 0, count: 70_000)), 1009, "too long"),
            (
                frame(0x02, [UInt8](repeating: 0, count: 60_000)) + frame(0x80, [UInt8](repeating: 0, count: 6_000)),
                1009, "too long together"
            ),
            ([0x82, 0xFE, 0, 1, 0, 0, 0, 0, 1], 1002, "a length that is not minimal"),
        ]
        for row in rows {
            XCTAssertThrowsError(try parse(row.bytes), row.reason) { error in
                XCTAssertEqual((error as? WebSocketError)?.code, row.code, row.reason)
            }
        }
    }

    func testFramesArriveByteByByte() throws {
        let bytes = frame(0x82, [UInt8](repeating: 5, count: 200))
        var parser = WebSocketParser()
        for count in 0..<bytes.count {
            XCTAssertNil(try bytes[..<count].withUnsafeBytes { try parser.parse($0)?.size })
        }
        XCTAssertEqual(try bytes.withUnsafeBytes { try parser.parse($0)?.size }, bytes.count)
    }

    func testAcceptance() {
        XCTAssertEqual(
            WebSocketFrame.acceptance(of: "dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "RFC 6455, section 1.3")
        XCTAssertNil(WebSocketFrame.acceptance(of: "short=="))
    }

    func testServerFrames() {
        var output: [UInt8] = []
        [UInt8](repeating: 1, count: 126).withUnsafeBytes { WebSocketFrame.write(opcode: 2, $0, into: &output) }
        XCTAssertEqual(Array(output[..<4]), [0x82, 126, 0, 126])
        XCTAssertEqual(WebSocketFrame.closing(code: 1000, reason: "x"), [0x88, 3, 0x03, 0xE8, 0x78])
    }
}
