import XCTest

@testable import API

/// The server's half of SPDY/3.1, without a connection.
final class SPDYSessionTests: XCTestCase {
    private func events(_ session: SPDYSession, _ bytes: [UInt8]) throws -> [SPDYEvent] {
        var events: [SPDYEvent] = []
        var rest = bytes[...]
        while true {
            let taken = try Array(rest).withUnsafeBytes { try session.take($0) }
            guard let (event, size) = taken else { break }
            if let event { events.append(event) }
            rest = rest.dropFirst(size)
        }
        XCTAssertTrue(rest.count < 8 || events.isEmpty || rest.isEmpty, "frames are left: \(rest.count)")
        return events
    }

    func testDictionaryIsTheOneOfTheProtocol() {
        // Its length and its Adler-32 checksum, by which zlib names a dictionary, are known.
        XCTAssertEqual(SPDYDictionary.bytes.count, 1423)
        var low: UInt32 = 1
        var high: UInt32 = 0
        for byte in SPDYDictionary.bytes {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        XCTAssertEqual(high << 16 | low, 0xE3C6_A7C2)
    }

    func testStreamsDataAndEnds() throws {
        let client = try SPDYPeer()
        let session = try SPDYSession()
        let opening =
            client.open(1, ["streamType": "data", "port": "80"]) + client.open(3, ["streamType": "error"], ends: true)
        let all = opening + client.data(1, Array("hello".utf8)) + client.data(1, [], ends: true) + client.ping(7)
        // However the bytes are cut, the events are the same.
        for step in [1, 3, 8, 9, 64, all.count] {
            let peer = try SPDYPeer()
            let fresh = try SPDYSession()
            let bytes =
                peer.open(1, ["streamType": "data", "port": "80"]) + peer.open(3, ["streamType": "error"], ends: true)
                + peer.data(1, Array("hello".utf8)) + peer.data(1, [], ends: true) + peer.ping(7)
            var waiting: [UInt8] = []
            var text = ""
            var log: [String] = []
            for start in stride(from: 0, to: bytes.count, by: step) {
                waiting += bytes[start..<min(start + step, bytes.count)]
                while let (event, size) = try waiting.withUnsafeBytes({ try fresh.take($0) }) {
                    waiting.removeFirst(size)
                    switch event {
                    case .opened(let stream, let headers)?:
                        log.append("open \(stream) \(headers.map { "\($0.name)=\($0.value)" }.sorted())")
                    case .data(let stream, let data)?:
                        XCTAssertEqual(stream, 1)
                        text += String(decoding: data, as: UTF8.self)
                    case .finished(let stream)?: log.append("finished \(stream)")
                    case .reset(let stream)?: log.append("reset \(stream)")
                    case .ping(let number)?: log.append("ping \(number)")
                    case .goAway?: log.append("go away")
                    case nil: break
                    }
                }
            }
            XCTAssertEqual(text, "hello", "in steps of \(step)")
            XCTAssertEqual(
                log,
                [
                    #"open 1 ["port=80", "streamtype=data"]"#, #"open 3 ["streamtype=error"]"#, "finished 3",
                    "finished 1",
                    "ping 7",
                ], "in steps of \(step)")
        }
        XCTAssertEqual(try events(session, opening).count, 3)
    }

    func testRefusals() throws {
        func first(_ make: (SPDYPeer) -> [UInt8], _ reason: String, line: UInt = #line) throws {
            let peer = try SPDYPeer()
            let session = try SPDYSession()
            XCTAssertThrowsError(try events(session, make(peer)), reason, line: line) { error in
                XCTAssertTrue("\(error)".contains(reason), "\(error)", line: line)
            }
        }
        try first({ $0.open(2, [:]) }, "out of order")
        try first({ $0.open(3, [:]) + $0.open(1, [:]) }, "out of order")
        try first({ _ in [0x80, 2, 0, 1, 0, 0, 0, 0] }, "another version")
        try first({ _ in [0x80, 3, 0, 1, 0, 0xFF, 0, 0] }, "too long")
        try first({ _ in [0x80, 3, 0, 1, 0, 0, 0, 3, 0, 0, 1] }, "cut off")
        try first({ _ in [0x80, 3, 0, 1, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] }, "decompressed")
        try first({ $0.open(1, ["a": String(repeating: "b", count: 20_000)]) }, "too long")
        try first(
            { $0.open(1, Dictionary(uniqueKeysWithValues: (0..<65).map { ("h\($0)", "") })) }, "more than 64 headers")
    }

    /// A small block that inflates to gigabytes is given up at the bound.
    func testHeadersThatInflateAreBounded() throws {
        let peer = try SPDYPeer()
        let bomb = peer.open(1, ["a": String(repeating: "a", count: 2 << 20)])
        XCTAssertLessThan(bomb.count, SPDYFrame.controlLimit, "else the frame's own bound refuses it")
        XCTAssertThrowsError(try events(try SPDYSession(), bomb))
    }

    func testPairsAreCutWhereTheirLengthsSay() throws {
        XCTAssertEqual(try SPDYHeaderReader.pairs([0, 0, 0, 0]).count, 0)
        let pair: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 1, 97, 0, 0, 0, 2, 98, 99]
        XCTAssertEqual(try SPDYHeaderReader.pairs(pair).map { $0.name + $0.value }, ["abc"])
        for count in 0..<pair.count { XCTAssertThrowsError(try SPDYHeaderReader.pairs(Array(pair[..<count]))) }
        XCTAssertThrowsError(try SPDYHeaderReader.pairs([0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0]))
        XCTAssertThrowsError(try SPDYHeaderReader.pairs([0, 0, 0, 1, 0, 0, 0, 1, 0xFF, 0, 0, 0, 0]), "not UTF-8")
    }
}
