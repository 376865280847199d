import XCTest

import Objects

final class QuantityTests: XCTestCase {
    func testCanonicalText() throws {
        let rows: [(text: String, canonical: String, value: Int64, milli: Int64)] = [
            ("0", "0", 0, 0), ("0Ki", "0", 0, 0), ("1", "1", 1, 1000), ("100m", "100m", 1, 100),
            ("0.1", "100m", 1, 100),
            ("1000m", "1", 1, 1000), ("1500m", "1500m", 2, 1500), ("1.5", "1500m", 2, 1500), ("2000m", "2", 2, 2000),
            ("1k", "1k", 1000, 1_000_000), ("1000", "1k", 1000, 1_000_000), ("1000000", "1M", 1_000_000, 1_000_000_000),
            ("1Ki", "1Ki", 1024, 1_024_000), ("1024", "1024", 1024, 1_024_000),
            ("1000Ki", "1000Ki", 1_024_000, 1_024_000_000),
            ("1024Ki", "1Mi", 1_048_576, 1_048_576_000), ("0.5Gi", "512Mi", 536_870_912, 536_870_912_000),
            ("1.5Gi", "1536Mi", 1_610_612_736, 1_610_612_736_000), ("0.5Ki", "512", 512, 512_000),
            ("64Mi", "64Mi", 67_108_864, 67_108_864_000), ("128974848", "128974848", 128_974_848, 128_974_848_000),
            ("129e6", "129e6", 129_000_000, 129_000_000_000), ("1e3", "1e3", 1000, 1_000_000),
            ("12e5", "1200e3", 1_200_000, 1_200_000_000),
            ("1E", "1E", 1_000_000_000_000_000_000, .max), ("1Ei", "1Ei", 1_152_921_504_606_846_976, .max),
            ("1n", "1n", 1, 1), ("1u", "1u", 1, 1), ("0.1n", "1n", 1, 1), ("1e-9", "1e-9", 1, 1),
            ("0.00000000001", "1n", 1, 1),
            ("+5", "5", 5, 5000), ("-5", "-5", -5, -5000), ("-1.5", "-1500m", -2, -1500), (".5", "500m", 1, 500),
            ("5.", "5", 5, 5000),
            ("0.001Ki", "1024m", 2, 1024), ("1025.5", "1025500m", 1026, 1_025_500), ("2.25Ki", "2304", 2304, 2_304_000),
            ("1e1000", "", 0, 0), ("99999999999999999999999999999999999999999999", "9223372036854775807", .max, .max),
            ("16Ei", "9223372036854775807", .max, .max), ("0.000000000000000000001Ei", "1152922n", 1, 2),
        ]
        for row in rows where !row.canonical.isEmpty {
            let quantity = try Quantity(parsing: row.text)
            XCTAssertEqual(quantity.description, row.canonical, row.text)
            XCTAssertEqual(quantity.value, row.value, row.text)
            XCTAssertEqual(quantity.milliValue, row.milli, row.text)
            XCTAssertEqual(try Quantity(parsing: quantity.description), quantity, row.text)
        }
    }

    func testRejects() {
        let rows = [
            "", " ", "1 ", " 1", "-", "+", ".", "1.1.M", "1+1.0M", "0.1mi", "0.1am", "aoeu", ".5i", "1i", "-3.01i",
            "-3.01e-", "1KI",
            "1ki", "1mM", "e3", "1e", "0x1", "1e1.5", "--1", "1,5", "1e1000", "Ki", "1Kii", "１",
        ]
        for row in rows { XCTAssertThrowsError(try Quantity(parsing: row), row) }
    }

    func testArithmetic() throws {
        func q(_ text: String) throws -> Quantity { try Quantity(parsing: text) }
        XCTAssertEqual(try (q("100m") + q("1")).description, "1100m")
        XCTAssertEqual(try (q("1Gi") - q("512Mi")).description, "512Mi")
        XCTAssertEqual(try (Quantity.zero + q("1Gi")).description, "1Gi")
        XCTAssertEqual(try q("1000m"), try q("1"))
        XCTAssertEqual(try q("1000m").hashValue, try q("1").hashValue)
        XCTAssertLessThan(try q("1G"), try q("1Gi"))
        XCTAssertEqual((Quantity(Int64.max) + Quantity(Int64.max)).value, .max)
        XCTAssertEqual((-Quantity(Int64.max) - Quantity(Int64.max)).value, -.max)
        XCTAssertEqual(try Quantity(JSON.number(0.5)).milliValue, 500)
        XCTAssertEqual(try Quantity(JSON.integer(3)).value, 3)
        XCTAssertThrowsError(try Quantity(JSON.null))
        XCTAssertTrue(try q("2Gi").isWhole)
        XCTAssertFalse(try q("1m").isWhole)
    }
}
