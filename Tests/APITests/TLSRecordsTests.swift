import XCTest

@testable import API

/// The records of TLS 1.3: against the traces of RFC 8448, with each other, and against what no well-behaved peer sends.
final class TLSRecordsTests: XCTestCase {
    private let ciphers = RecordCiphers()

    private func bytes(_ hexadecimal: String) throws -> [UInt8] {
        let digits = Array(hexadecimal.filter { !$0.isWhitespace })
        return try stride(from: 0, to: digits.count, by: 2).map {
            try XCTUnwrap(UInt8(String(digits[$0...($0 + 1)]), radix: 16))
        }
    }

    /// Two ends of one connection.
    private func ends(_ suite: CipherSuite = .aes256, sequence: UInt64 = 0) throws -> (TLSRecords, TLSRecords) {
        let secrets = [UInt8(1), 2].map { [UInt8](repeating: $0, count: suite.secretSize) }
        let keys = try secrets.map { try XCTUnwrap(TrafficKey(suite, secret: $0, sequence: sequence)) }
        return (TLSRecords(reading: keys[0], writing: keys[1]), TLSRecords(reading: keys[1], writing: keys[0]))
    }

    private func seal(_ plain: [UInt8], _ end: inout TLSRecords, room: Int = 200_000) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: room)
        let (taken, size) = try plain.withUnsafeBytes { plain in
            try output.withUnsafeMutableBytes { try end.seal(plain, into: $0, ciphers) }
        }
        XCTAssertEqual(taken, plain.count)
        return Array(output[..<size])
    }

    /// - Returns: the content, and the bytes that are not a whole record yet.
    private func open(_ sealed: [UInt8], _ end: inout TLSRecords) throws -> (content: [UInt8], rest: [UInt8]) {
        var sealed = sealed
        let (content, rest) = try sealed.withUnsafeMutableBytes { try end.open($0, ciphers) }
        return (Array(sealed[..<content]), Array(sealed[rest...]))
    }

    // MARK: - What other implementations make

    /// RFC 8448, section 3: "Simple 1-RTT Handshake", its application data.
    func testTracesOfTheSpecification() throws {
        let rows: [(name: String, secret: String, sequence: UInt64, record: String)] = [
            (
                "the client's first record",
                "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", 0,
                """
                1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a
                6292a2977014bd1e3deae63aeebb21694915e4
                """
            ),
            (
                "the server's, behind one ticket",
                "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", 1,
                """
                17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2
                e5f0a21c0047c2abf332540dd032e167c2955d
                """
            ),
        ]
        for row in rows {
            let key = try XCTUnwrap(TrafficKey(.aes128, secret: try bytes(row.secret), sequence: row.sequence))
            var end = TLSRecords(reading: key, writing: key)
            let record = try bytes(row.record)
            let opened = try open(record, &end)
            XCTAssertEqual(opened.content, Array(0..<50), row.name)
            XCTAssertEqual(try seal(Array(0..<50), &end), record, "\(row.name), made anew")
        }
    }

    // MARK: - Both ways

    func testEverySuiteAndSize() throws {
        for suite in CipherSuite.allCases {
            var (server, client) = try ends(suite)
            for size in [1, 2, 16_383, 16_384, 16_385, 50_000] {
                let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 % 253) }
                let sealed = try seal(content, &server)
                let records = (size + TLSRecords.contentLimit - 1) / TLSRecords.contentLimit
                XCTAssertEqual(sealed.count, size + records * TLSRecords.overhead, "\(suite), \(size) bytes")
                XCTAssertEqual(try open(sealed, &client).content, content, "\(suite), \(size) bytes")
            }
            // Each direction has keys of its own.
            XCTAssertEqual(try open(try seal([7], &client), &server).content, [7], "\(suite)")
        }
    }

    func testConnectionsShareCiphers() throws {
        var pairs = try (0..<3).map { _ in try ends() }
        for round in 0..<4 {
            for index in pairs.indices {
                let content = [UInt8(round), UInt8(index)]
                let sealed = try seal(content, &pairs[index].0)
                XCTAssertEqual(try open(sealed, &pairs[index].1).content, content)
            }
        }
    }

    func testRecordsInPieces() throws {
        var (server, client) = try ends()
        let sealed = try seal(Array("one".utf8), &server) + seal(Array("two".utf8), &server)
        for cut in 0...sealed.count {
            var end = client
            let first = try open(Array(sealed[..<cut]), &end)
            let second = try open(first.rest + sealed[cut...], &end)
            XCTAssertEqual(first.content + second.content, Array("onetwo".utf8), "cut at \(cut)")
            XCTAssertEqual(second.rest, [], "cut at \(cut)")
        }
        client.wipe()
    }

    func testSealsWhatThereIsRoomFor() throws {
        var (server, client) = try ends()
        let plain = [UInt8](repeating: 9, count: 100)
        var output = [UInt8](repeating: 0, count: 60)
        let (taken, size) = try plain.withUnsafeBytes { plain in
            try output.withUnsafeMutableBytes { try server.seal(plain, into: $0, ciphers) }
        }
        XCTAssertEqual(taken, 60 - TLSRecords.overhead)
        XCTAssertEqual(size, 60)
        XCTAssertEqual(try open(output, &client).content, [UInt8](repeating: 9, count: taken))
    }

    // MARK: - Keys that change

    private static let keyUpdate: UInt8 = 24

    func testPeersChangeTheirKeys() throws {
        for asks in [UInt8(0), 1] {
            var (server, _) = try ends()
            var forger = try Forger(ciphers)
            let update = try forger.record([Self.keyUpdate, 0, 0, 1, asks], type: 22)
            try forger.update()
            let opened = try open(update + forger.record(Array("new".utf8), type: 23), &server)
            XCTAssertEqual(opened.content, Array("new".utf8))
            // Who is asked for it says so, once, before anything else.
            let first = try seal([1], &server)
            let second = try seal([1], &server)
            XCTAssertEqual(first.count - second.count, asks == 1 ? 5 + TLSRecords.overhead : 0)
            var (_, client) = try ends()
            XCTAssertEqual(try open(first + second, &client).content, [1, 1])
        }
    }

    func testKeysThatWereUsedEnoughChange() throws {
        for suite in CipherSuite.allCases {
            let limit = suite == .chaCha20 ? 1 << 23 : suite.recordLimit
            var (server, client) = try ends(suite, sequence: limit)
            let sealed = try seal([1], &server)
            let hasUpdate = sealed.count > 1 + TLSRecords.overhead
            XCTAssertEqual(hasUpdate, suite != .chaCha20, "\(suite)")
            XCTAssertEqual(try open(sealed + seal([2], &server), &client).content, [1, 2], "\(suite)")
        }
    }

    // MARK: - Peers that do as they like

    /// Makes the client's records as it likes.
    private struct Forger {
        let ciphers: RecordCiphers
        var key: TrafficKey

        init(_ ciphers: RecordCiphers) throws {
            self.ciphers = ciphers
            let secret = [UInt8](repeating: 1, count: CipherSuite.aes256.secretSize)
            key = try XCTUnwrap(TrafficKey(.aes256, secret: secret))
        }

        mutating func update() throws { key = try XCTUnwrap(key.next()) }

        mutating func record(_ content: [UInt8], type: UInt8, zeros: Int = 0) throws -> [UInt8] {
            let inner = content + [type] + [UInt8](repeating: 0, count: zeros)
            let length = inner.count + RecordCiphers.tagSize
            let header: [UInt8] = [23, 3, 3, UInt8(length >> 8), UInt8(length & 0xFF)]
            var output = [UInt8](repeating: 0, count: length)
            let isSealed = header.withUnsafeBytes { header in
                inner.dropLast().withUnsafeBytes { plain in
                    output.withUnsafeMutableBytes { output in
                        guard let base = output.baseAddress else { return false }
                        return ciphers.seal(plain, type: inner[inner.count - 1], header: header, key: &key, into: base)
                    }
                }
            }
            XCTAssertTrue(isSealed)
            return header + output
        }
    }

    func testPaddingIsTakenOff() throws {
        var (server, _) = try ends()
        var forger = try Forger(ciphers)
        let sealed = try forger.record([1, 0, 0], type: 23, zeros: 300) + forger.record([2], type: 23)
        XCTAssertEqual(try open(sealed, &server).content, [1, 0, 0, 2])
    }

    func testTheEnd() throws {
        var (server, _) = try ends()
        var forger = try Forger(ciphers)
        let sealed =
            try forger.record([1], type: 23) + forger.record([1, 90], type: 21) + forger.record([1, 0], type: 21)
            + forger.record([2], type: 23)
        let opened = try open(sealed, &server)
        XCTAssertEqual(opened.content, [1], "what follows the last word does not count")
        XCTAssertTrue(server.isClosed)
    }

    func testViolations() throws {
        typealias Row = (name: String, alert: TLSAlert, make: (inout Forger) throws -> [UInt8])
        let keyUpdate: [UInt8] = [Self.keyUpdate, 0, 0, 1, 0]
        let rows: [Row] = [
            ("plain data", .unexpectedMessage, { _ in [21, 3, 3, 0, 2, 1, 0] }),
            ("a change of cipher behind the handshake", .unexpectedMessage, { _ in [20, 3, 3, 0, 1, 1] }),
            ("a record that is too long, seen by its header", .recordOverflow, { _ in [23, 3, 3, 0x41, 1] }),
            (
                "a record that is only a tag", .decodeError,
                { _ in [23, 3, 3, 0, 16] + [UInt8](repeating: 0, count: 16) }
            ),
            ("a changed byte", .badRecordMAC, { try Self.changed($0.record([1, 2, 3], type: 23), at: 6) }),
            ("a changed header", .badRecordMAC, { try Self.changed($0.record([1, 2, 3], type: 23), at: 2) }),
            (
                "a record twice", .badRecordMAC,
                {
                    let record = try $0.record([1], type: 23)
                    return record + record
                }
            ),
            (
                "a record left out", .badRecordMAC,
                {
                    _ = try $0.record([1], type: 23)
                    return try $0.record([2], type: 23)
                }
            ),
            ("zeros alone", .unexpectedMessage, { try $0.record([0, 0], type: 0) }),
            (
                "too much content in a record that is not too long", .recordOverflow,
                { try $0.record([UInt8](repeating: 1, count: TLSRecords.contentLimit + 1), type: 23) }
            ),
            ("an unknown type", .unexpectedMessage, { try $0.record([1], type: 24) }),
            ("a change of cipher inside", .unexpectedMessage, { try $0.record([1], type: 20) }),
            ("half an alert", .decodeError, { try $0.record([1], type: 21) }),
            ("an empty message", .unexpectedMessage, { try $0.record([], type: 22) }),
            ("a hello", .unexpectedMessage, { try $0.record([1, 0, 0, 0], type: 22) }),
            ("a certificate that nobody asked for", .unexpectedMessage, { try $0.record([11, 0, 0, 0], type: 22) }),
            ("a long KeyUpdate", .decodeError, { try $0.record([Self.keyUpdate, 0, 1, 0], type: 22) }),
            (
                "a KeyUpdate that asks for nothing known", .decodeError,
                { try $0.record([Self.keyUpdate, 0, 0, 1, 2], type: 22) }
            ),
            ("two KeyUpdates of one key", .unexpectedMessage, { try $0.record(keyUpdate + keyUpdate, type: 22) }),
            (
                "the old key behind a KeyUpdate", .badRecordMAC,
                { try $0.record(keyUpdate, type: 22) + $0.record([1], type: 23) }
            ),
            (
                "data within a message", .unexpectedMessage,
                { try $0.record([Self.keyUpdate, 0], type: 22) + $0.record([1], type: 23) }
            ),
            (
                "empty records without end", .unexpectedMessage,
                { forger in try (0..<40).flatMap { _ in try forger.record([], type: 23) } }
            ),
            (
                "new keys without end", .unexpectedMessage,
                { forger in
                    try (0..<40).flatMap { _ in
                        defer { _ = try? forger.update() }
                        return try forger.record(keyUpdate, type: 22)
                    }
                }
            ),
        ]
        for row in rows {
            var (server, _) = try ends()
            var forger = try Forger(ciphers)
            let sealed = try row.make(&forger)
            XCTAssertThrowsError(try open(sealed, &server), row.name) { error in
                guard case .violation(let alert, let reason)? = error as? TLSRecordError else {
                    return XCTFail("\(row.name): \(error)")
                }
                XCTAssertEqual(alert, row.alert, "\(row.name): \(reason)")
                XCTAssertFalse(reason.isEmpty, row.name)
            }
        }
    }

    func testAlertsOfThePeer() throws {
        var (server, _) = try ends()
        var forger = try Forger(ciphers)
        let sealed = try forger.record([2, 42], type: 21)
        XCTAssertThrowsError(try open(sealed, &server)) { XCTAssertEqual($0 as? TLSRecordError, .alert(42)) }
    }

    func testEmptyRecordsAmongOthersAreTaken() throws {
        var (server, _) = try ends()
        var forger = try Forger(ciphers)
        var sealed: [UInt8] = []
        for number in 0..<100 {
            for _ in 0..<20 { sealed += try forger.record([], type: 23) }
            sealed += try forger.record([UInt8(number)], type: 23)
        }
        XCTAssertEqual(try open(sealed, &server).content, Array(0..<100))
    }

    private static func changed(_ bytes: [UInt8], at index: Int) -> [UInt8] {
        var bytes = bytes
        bytes[index] ^= 1
        return bytes
    }
}
