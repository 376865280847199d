import CNGHTTP2
import Glibc
import XCTest

@testable import API

/// Sessions that are fed what no client would send: frames of every kind, in any order, damaged in any place. None may crash,
/// grow without bound, or keep a stream when it has ended.
final class HTTP2FuzzTests: XCTestCase {
    /// SplitMix64: the same run every time.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }
    }

    private final class Handler: HTTPHandler {
        func handle(_ exchange: HTTPExchange) {
            if exchange.head.target == "/stream" {
                let stream = HTTPBodyStream()
                stream.write { $0 += [UInt8](repeating: 1, count: 100_000) }
                exchange.respond(HTTPResponse(status: 200, body: .stream(stream)))
            } else {
                exchange.respond(HTTPResponse(status: 200, body: .bytes([UInt8](repeating: 2, count: 70_000))))
            }
        }
        func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }
    }

    private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let size = payload.count
        var bytes = [UInt8(size >> 16 & 255), UInt8(size >> 8 & 255), UInt8(size & 255), type, flags]
        for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(stream >> shift & 255)) }
        return bytes + payload
    }

    /// Literal fields without indexing, names and values uncompressed.
    private static func block(_ fields: [(String, String)]) -> [UInt8] {
        var block: [UInt8] = []
        for (name, value) in fields {
            block += [0, UInt8(name.utf8.count)]
            block += name.utf8
            block.append(UInt8(value.utf8.count))
            block += value.utf8
        }
        return block
    }

    private static func randomFrame(_ generator: inout Generator) -> [UInt8] {
        let stream = UInt32.random(in: 0...9, using: &generator)
        func bytes(_ limit: Int) -> [UInt8] {
            (0..<Int.random(in: 0...limit, using: &generator)).map { _ in .random(in: 0...255, using: &generator) }
        }
        let flags = UInt8.random(in: 0...255, using: &generator) & 0x2D
        switch Int.random(in: 0...10, using: &generator) {
        case 0: return frame(0, flags & 1, stream, bytes(2000))
        case 1, 2, 3:
            let method = ["GET", "POST", "HEAD", "CONNECT"].randomElement(using: &generator)!
            let path = ["/", "/stream", "/x?y", "*", "x"].randomElement(using: &generator)!
            let fields = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "a"), ("x", "y")]
            return frame(1, 4 | flags & 1, stream | 1, block(fields))
        case 4: return frame(3, 0, stream, [0, 0, 0, 8])
        case 5:
            return frame(
                4, flags & 1, 0, flags & 1 != 0 ? [] : [0, 4, 0, 0, UInt8.random(in: 0...255, using: &generator), 0])
        case 6: return frame(6, flags & 1, 0, [UInt8](repeating: 3, count: 8))
        case 7: return frame(8, 0, stream, [0, 1, 0, 0])
        case 8: return frame(9, flags, stream, bytes(50))
        case 9: return frame(2, 0, stream, [0, 0, 0, 1, 5])
        default: return frame(.random(in: 0...12, using: &generator), flags, stream, bytes(60))
        }
    }

    func testDamagedFrames() throws {
        let loop = try EventLoop()
        try loop.start(name: "fuzz")
        let done = expectation(description: "all inputs have been taken")
        let rounds = 3000
        loop.post {
            var generator = Generator(state: 42)
            for round in 0..<rounds {
                do { try Self.run(loop, &generator) } catch { XCTFail("round \(round): \(error)") }
            }
            done.fulfill()
        }
        wait(for: [done], timeout: 60)
        loop.leave()
        loop.join()
    }

    private static func run(_ loop: EventLoop, _ generator: inout Generator) throws {
        let session = try HTTP2Session(loop: loop, handler: Handler(), certificate: nil, descriptor: -1) {}
        var input = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])
        for _ in 0..<Int.random(in: 1...20, using: &generator) { input += randomFrame(&generator) }
        for _ in 0..<[0, 0, 1, 3].randomElement(using: &generator)! {
            let place = Int.random(in: 0..<input.count, using: &generator)
            switch Int.random(in: 0...2, using: &generator) {
            case 0: input[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            case 1: input.removeSubrange(place..<min(input.count, place + 9))
            default: input.insert(contentsOf: input.suffix(20), at: place)
            }
            if input.isEmpty { input = [0] }
        }
        var position = 0
        while position < input.count {
            let end = min(input.count, position + Int.random(in: 1...400, using: &generator))
            input[position..<end].withUnsafeBytes { session.receive($0) }
            position = end
            var output = OutputQueue()
            session.send(into: &output, limit: 256 << 10)
            XCTAssertLessThan(output.count, 512 << 10)
            if session.isOver { break }
        }
        XCTAssertLessThanOrEqual(session.streams.count, HTTP2Limits.streams)
        _ = session.checkDeadline(now: loop.now + 3_600_000_000_000)
        session.end()
        XCTAssertTrue(session.streams.isEmpty)
        XCTAssertEqual(session.running, 0)
    }
}
