import XCTest

import Objects

final class GoDurationTests: XCTestCase {
    func testParsesAndFormats() throws {
        let rows: [(text: String, nanoseconds: Int64, canonical: String)] = [
            ("0", 0, "0s"), ("0s", 0, "0s"), ("5s", 5_000_000_000, "5s"), ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
            ("90m", 5_400_000_000_000, "1h30m0s"), ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("300ms", 300_000_000, "300ms"),
            ("1500us", 1_500_000, "1.5ms"), ("2µs", 2_000, "2µs"), ("7ns", 7, "7ns"),
            ("-1.5s", -1_500_000_000, "-1.5s"),
            ("+.5s", 500_000_000, "500ms"), ("60s", 60_000_000_000, "1m0s"),
            ("1.000000001s", 1_000_000_001, "1.000000001s"),
        ]
        for row in rows {
            let duration = try GoDuration(parsing: row.text)
            XCTAssertEqual(duration.nanoseconds, row.nanoseconds, row.text)
            XCTAssertEqual(duration.description, row.canonical, row.text)
        }
        for bad in ["", "-", "5", "s", "5x", "1s2", ".s", "1h-2m", "9999999h", "1 s", "1.2.3s"] {
            XCTAssertThrowsError(try GoDuration(parsing: bad), bad)
        }
    }

    func testIntOrStringScales() throws {
        let rows: [(value: JSON, total: Int64, up: Int64, down: Int64)] = [
            (3, 10, 3, 3), ("25%", 10, 3, 2), ("25%", 4, 1, 1), ("0%", 10, 0, 0), ("100%", 7, 7, 7), ("150%", 3, 5, 4),
            ("1%", 0, 0, 0),
        ]
        for row in rows {
            let value = try XCTUnwrap(IntOrString(row.value))
            XCTAssertEqual(try value.scaled(total: row.total, roundingUp: true), row.up, "\(row)")
            XCTAssertEqual(try value.scaled(total: row.total, roundingUp: false), row.down, "\(row)")
        }
        for bad in ["", "%", "5", "5.5%", "-1%", "a%"] {
            XCTAssertThrowsError(try IntOrString.string(bad).scaled(total: 1, roundingUp: true), bad)
        }
        XCTAssertNil(IntOrString(.null))
    }
}
