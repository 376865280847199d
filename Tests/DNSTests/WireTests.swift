import XCTest

@testable import DNS

/// The wire codec: what it must read and what it must refuse.
final class WireTests: XCTestCase {
    /// A query for `name`, with parts to spoil.
    private func bytes(
        _ name: [UInt8], type: UInt16 = 1, flags: UInt16 = 0x0100, questions: UInt16 = 1, additional: [UInt8] = [],
        additionalCount: UInt16 = 0
    ) -> [UInt8] {
        func two(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }
        return [0x12, 0x34] + two(flags) + two(questions) + [0, 0, 0, 0] + two(additionalCount) + name + two(type) + [
            0, 1,
        ]
            + additional
    }

    private let web: [UInt8] = [3] + Array("web".utf8) + [0]
    private let opt: [UInt8] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0]

    func testReadsQueries() throws {
        guard
            case .query(let query) = QueryReader.read(
                bytes([3] + Array("WeB".utf8) + [0], additional: opt, additionalCount: 1))
        else { return XCTFail("refused") }
        XCTAssertEqual(query.identifier, 0x1234)
        XCTAssertEqual(query.question.name, DomainName("web"))
        XCTAssertEqual(query.questionBytes.prefix(4), [3] + Array("WeB".utf8)[...])
        XCTAssertEqual(query.extended, ExtendedQuery(datagramSize: 1232, version: 0, wantsSignatures: true))
        XCTAssertTrue(query.wantsRecursion)
    }

    func testRefusesMalformedQueries() {
        let refused = QueryReader.Outcome.refuse(identifier: 0x1234, .formatError, recursionDesired: true)
        let long =
            [UInt8](repeating: 0, count: 0)
            + (0..<5).flatMap { _ in [UInt8(63)] + [UInt8](repeating: 97, count: 63) } + [0]
        let rows: [([UInt8], QueryReader.Outcome, String)] = [
            ([], .ignore, "nothing"),
            ([UInt8](repeating: 0, count: 11), .ignore, "shorter than a header"),
            (bytes(web, flags: 0x8100), .ignore, "a response"),
            (bytes(web, flags: 0x2900), .refuse(identifier: 0x1234, .notImplemented, recursionDesired: true), "update"),
            (bytes(web, questions: 0), refused, "no question"),
            (bytes(web, questions: 2), refused, "two questions"),
            (Array(bytes(web).dropLast()), refused, "cut off in the class"),
            (Array(bytes(web).prefix(14)), refused, "cut off in the name"),
            (bytes([0xc0, 0x0c]), refused, "a pointer to itself"),
            (bytes([0x40, 0]), refused, "a label of an unknown kind"),
            (bytes(long), refused, "a name of more than 255 bytes"),
            (bytes(web, additional: opt, additionalCount: 2), refused, "a missing record"),
            (bytes(web, additional: opt + opt, additionalCount: 2), refused, "EDNS twice"),
            (bytes(web, additional: web + opt.dropFirst(), additionalCount: 1), refused, "EDNS with a name"),
            (
                bytes(web, additional: Array(opt.dropLast()) + [9], additionalCount: 1), refused,
                "EDNS longer than it is"
            ),
            (bytes(web, additionalCount: 5), refused, "more records than a query has"),
        ]
        for (message, expected, reason) in rows { XCTAssertEqual(QueryReader.read(message), expected, reason) }
    }

    func testCompressionPointers() throws {
        let rows: [([UInt8], Int, String?, String)] = [
            ([1, 97, 0, 0xc0, 0], 3, "a.", "backwards"),
            ([1, 97, 0, 1, 98, 0xc0, 0], 3, "b.a.", "label, then backwards"),
            ([1, 97, 0xc0, 0], 0, nil, "to its own start"),
            ([0xc0, 2, 0xc0, 0], 0, nil, "forwards"),
            ([0xc0, 0], 0, nil, "to itself"),
            ([1, 97, 0xc0, 4, 1, 98, 0xc0, 0], 4, nil, "two that chase each other"),
            ([1, 97], 0, nil, "without end"),
            ([0xc0], 0, nil, "half a pointer"),
        ]
        for (message, offset, expected, reason) in rows {
            var reader = MessageReader(message)
            _ = try reader.take(offset)
            let name: String?
            do { name = try reader.name().description } catch { name = nil }
            XCTAssertEqual(name, expected, reason)
        }
    }

    func testRandomBytesNeverCrash() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var message = bytes(web, additional: opt, additionalCount: 1)
            for _ in 0..<Int.random(in: 1...6) {
                message[Int.random(in: 0..<message.count)] = UInt8.random(in: 0...255, using: &generator)
            }
            message = Array(message.prefix(Int.random(in: 0...message.count)))
            _ = QueryReader.read(message)
            _ = UpstreamResponse(message, identifier: 0x1234, question: Question(name: .root, type: 1))
        }
    }

    private func query(extended: Int? = nil) throws -> Query {
        var additional: [UInt8] = []
        if let extended { additional = [0, 0, 41, UInt8(extended >> 8), UInt8(extended & 255), 0, 0, 0, 0, 0, 0] }
        guard
            case .query(let query) = QueryReader.read(
                bytes(web, additional: additional, additionalCount: extended == nil ? 0 : 1))
        else { throw MessageReader.Failure.badRecord }
        return query
    }

    func testResponsesAreReadAgain() throws {
        let name = try XCTUnwrap(DomainName("web"))
        let target = try XCTUnwrap(DomainName("a.b.web"))
        let records: [Record] = [
            Record(name: name, timeToLive: 5, data: .address(0x0a60_0014)),
            Record(name: target, timeToLive: 7, data: .canonicalName(target)),
            Record(name: target, timeToLive: 7, data: .service(priority: 1, weight: 2, port: 3, target: target)),
            Record(name: name, timeToLive: 7, data: .pointer(target)),
            Record(name: name, timeToLive: 7, data: .opaque(99, [1, 2, 3])),
        ]
        let written = MessageWriter.response(
            to: try query(extended: 1232), Answer(answers: records), limit: 1232, recursion: true)
        let read = try XCTUnwrap(
            UpstreamResponse(written, identifier: 0x1234, question: Question(name: name, type: 1)))
        XCTAssertEqual(read.answers, records)
        XCTAssertEqual(read.lifetime, 5)
        XCTAssertNil(UpstreamResponse(written, identifier: 0x1235, question: Question(name: name, type: 1)))
        XCTAssertNil(UpstreamResponse(written, identifier: 0x1234, question: Question(name: target, type: 1)))
        // The name in the question stands for all: the second record begins with labels and a pointer to it.
        XCTAssertTrue(written.count < 160, "\(written.count) bytes")
    }

    func testTruncation() throws {
        let name = try XCTUnwrap(DomainName("web"))
        let many = (0..<200).map { Record(name: name, timeToLive: 5, data: .address(UInt32($0))) }
        for (extended, limit) in [(nil, 512), (1232, 1232), (nil, 65535)] as [(Int?, Int)] {
            let written = MessageWriter.response(
                to: try query(extended: extended), Answer(answers: many), limit: limit, recursion: true)
            XCTAssertLessThanOrEqual(written.count, limit)
            XCTAssertEqual(written[2] & 0x02 != 0, limit < 65535, "TC at \(limit)")
            let count = Int(written[6]) << 8 | Int(written[7])
            XCTAssertEqual(count, limit == 65535 ? 200 : (limit - 21 - (extended == nil ? 0 : 11)) / 16)
        }
    }

    func testCacheKeepsAndForgets() throws {
        let name = try XCTUnwrap(DomainName("web"))
        func response(_ timeToLive: UInt32) throws -> UpstreamResponse {
            let bytes = MessageWriter.response(
                to: try query(), Answer(answers: [Record(name: name, timeToLive: timeToLive, data: .address(1))]),
                limit: 512, recursion: true)
            return try XCTUnwrap(UpstreamResponse(bytes, identifier: 0x1234, question: Question(name: name, type: 1)))
        }
        let second: UInt64 = 1_000_000_000
        var cache = ResponseCache(capacity: 4)
        let key = ResponseCache.Key(try query())
        cache.store(key, try response(10), now: 0)
        let found = try XCTUnwrap(cache.find(key, now: 4 * second))
        XCTAssertEqual(found.age, 4)
        let aged = found.response.bytes(for: try query(), age: found.age)
        XCTAssertEqual(
            UpstreamResponse(aged, identifier: 0x1234, question: Question(name: name, type: 1))?.answers.first?
                .timeToLive, 6)
        XCTAssertNil(cache.find(key, now: 10 * second))
        cache.store(key, try response(0), now: 0)
        XCTAssertNil(cache.find(key, now: 0))
        for number in 0..<50 {
            var other = try query()
            other.question = Question(name: try XCTUnwrap(DomainName("n\(number)")), type: 1)
            cache.store(ResponseCache.Key(other), try response(10), now: 0)
        }
        XCTAssertEqual(cache.count, 4)
    }

    func testUpstreamsOfResolvConf() {
        let text =
            "# c\nsearch example.org\nnameserver 192.0.2.1\nnameserver\t10.96.0.10\n nameserver 192.0.2.2 \nnameserver ::1\n"
        XCTAssertEqual(
            Upstreams.parse(text, excluding: [0x0a60_000a]).map(\.description), ["192.0.2.1:53", "192.0.2.2:53"])
        for (text, expected) in [
            ("192.0.2.1:5353", "192.0.2.1:5353"), ("192.0.2.1:0", nil), ("192.0.2.1:", nil), ("x", nil),
            ("1.2.3.4:5:6", nil),
        ] as [(String, String?)] {
            XCTAssertEqual(Upstreams.Server(text)?.description, expected, text)
        }
    }
}
