import XCTest

import Objects

final class TimestampTests: XCTestCase {
    func testParsesAndFormats() throws {
        let rows: [(text: String, seconds: Int64, nanoseconds: Int32, micro: String)] = [
            ("1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00.000000Z"),
            ("2026-01-02T03:04:05Z", 1_767_323_045, 0, "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.123456Z", 1_767_323_045, 123_456_000, "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02T03:04:05.1234567891Z", 1_767_323_045, 123_456_789, "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02T05:04:05+02:00", 1_767_323_045, 0, "2026-01-02T03:04:05.000000Z"),
            ("2026-01-01T22:34:05-04:30", 1_767_323_045, 0, "2026-01-02T03:04:05.000000Z"),
            ("2000-02-29T23:59:59Z", 951_868_799, 0, "2000-02-29T23:59:59.000000Z"),
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0, "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0, "9999-12-31T23:59:59.000000Z"),
            ("1969-12-31T23:59:59Z", -1, 0, "1969-12-31T23:59:59.000000Z"),
        ]
        for row in rows {
            let time = try Timestamp(parsing: row.text)
            XCTAssertEqual(time.seconds, row.seconds, row.text)
            XCTAssertEqual(time.nanoseconds, row.nanoseconds, row.text)
            XCTAssertEqual(time.formatted(fraction: .micro), row.micro, row.text)
        }
    }

    func testRejects() {
        let rows = [
            "", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-02-29T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:60:05Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05Zx",
            "2026-1-02T03:04:05Z", "2026-01-02T03:04:05+0200", "2026-01-02T03:04:05+24:00", "-026-01-02T03:04:05Z",
        ]
        for row in rows { XCTAssertThrowsError(try Timestamp(parsing: row), row) }
    }

    func testArithmetic() {
        let time = Timestamp(seconds: 10, nanoseconds: 500_000_000)
        XCTAssertEqual(time.adding(nanoseconds: 600_000_000), Timestamp(seconds: 11, nanoseconds: 100_000_000))
        XCTAssertEqual(time.adding(nanoseconds: -600_000_000), Timestamp(seconds: 9, nanoseconds: 900_000_000))
        XCTAssertEqual(time.nanoseconds(since: Timestamp(seconds: 9)), 1_500_000_000)
        XCTAssertEqual(Timestamp(seconds: .max).nanoseconds(since: Timestamp(seconds: 0)), .max)
        XCTAssertLessThan(time, time.adding(seconds: 1))
        XCTAssertGreaterThan(Timestamp.now(), time)
    }
}
