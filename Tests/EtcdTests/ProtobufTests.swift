import XCTest

@testable import Etcd

final class ProtobufTests: XCTestCase {
    func testFieldsAreLaidOutAsTheFormatSays() {
        let rows: [(String, (inout ProtobufWriter) -> Void, [UInt8])] = [
            ("a small number", { $0.integer(1, 5) }, [0x08, 5]),
            ("150 takes two bytes", { $0.integer(1, 150) }, [0x08, 0x96, 0x01]),
            (
                "a negative number takes ten", { $0.integer(1, -1) },
                [0x08] + [UInt8](repeating: 0xFF, count: 9) + [0x01]
            ),
            ("zero is left out", { $0.integer(1, 0) }, []),
            ("zero in a oneof is not", { $0.explicit(4, 0) }, [0x20, 0]),
            ("false is left out", { $0.flag(2, false) }, []),
            ("true", { $0.flag(2, true) }, [0x10, 1]),
            ("bytes", { $0.bytes(2, Array("testing".utf8)) }, [0x12, 7] + Array("testing".utf8)),
            ("no bytes are left out", { $0.bytes(2, []) }, []),
            ("a message", { $0.message(3) { $0.integer(1, 150) } }, [0x1A, 3, 0x08, 0x96, 0x01]),
            ("an empty message is not left out", { $0.message(3) { _ in } }, [0x1A, 0]),
            ("a field above 15", { $0.integer(64, 1) }, [0x80, 0x04, 1]),
        ]
        for (name, body, bytes) in rows { XCTAssertEqual(ProtobufWriter.message(body), bytes, name) }
    }

    func testWhatIsWrittenIsRead() throws {
        let bytes = ProtobufWriter.message {
            $0.integer(1, .min)
            $0.bytes(2, [1, 2, 3])
            $0.integer(500, .max)
        }
        var reader = ProtobufReader(bytes)
        XCTAssertEqual(try reader.next()?.integer, .min)
        XCTAssertEqual(try reader.next()?.bytes, [1, 2, 3])
        let last = try XCTUnwrap(try reader.next())
        XCTAssertEqual(last.number, 500)
        XCTAssertEqual(last.integer, .max)
        XCTAssertNil(try reader.next())
    }

    func testOtherLayoutsAreSkippedAndRead() throws {
        var reader = ProtobufReader([0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x15, 2, 0, 0, 0])
        XCTAssertEqual(try reader.next()?.bits, 1)
        XCTAssertEqual(try reader.next()?.bits, 2)
    }

    func testDamageIsRefused() {
        let rows: [(String, [UInt8])] = [
            ("a cut number", [0x08, 0x80]), ("no end to a number", [0x08] + [UInt8](repeating: 0x80, count: 12)),
            ("a size beyond the end", [0x12, 5, 1]),
            ("a huge size", [0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
            ("a group", [0x0B]), ("field 0", [0x00, 1]), ("a cut fixed field", [0x09, 1, 2]),
        ]
        for (name, bytes) in rows {
            XCTAssertThrowsError(try ProtobufReader.forEach(bytes[...]) { _ in }, name)
        }
    }

    /// Whatever the bytes, reading ends and says so.
    func testRandomBytesAreReadOrRefused() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            var count = 0
            do { try ProtobufReader.forEach(bytes[...]) { _ in count += 1 } } catch {}
            XCTAssertLessThanOrEqual(count, bytes.count)
            do { _ = try WatchResponse(bytes[...]) } catch {}
            do { _ = try TransactionResponse(bytes[...]) } catch {}
        }
    }
}
