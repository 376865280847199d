import XCTest

@testable import Objects

final class TimeZoneRulesTests: XCTestCase {
    /// Offsets of 2026-01-01 and 2026-07-01.
    func testRulesForEveryYear() throws {
        let rows: [(String, Int64, Int64)] = [
            ("UTC0", 0, 0), ("CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200), ("EST5EDT,M3.2.0,M11.1.0", -18_000, -14_400),
            ("<+0330>-3:30", 12_600, 12_600), ("AEST-10AEDT,M10.1.0,M4.1.0/3", 39_600, 36_000),
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 39_600, 37_800), ("XXX-1YYY,J60/0,J300", 3600, 7200),
            ("XXX-1YYY,59,299", 3600, 7200), ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600),
        ]
        let (winter, summer) = (
            try Timestamp(parsing: "2026-01-01T00:00:00Z"), try Timestamp(parsing: "2026-07-01T00:00:00Z")
        )
        for (text, first, second) in rows {
            let rule = try DaylightRule(parsing: text)
            XCTAssertEqual(rule.offset(at: winter.seconds), first, text)
            XCTAssertEqual(rule.offset(at: summer.seconds), second, text)
        }
        for wrong in [
            "", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "<CET-1", "CET-1x!",
            "CET-1CEST,M3.5.0,J0",
            "CET-1CEST,M3.5.0,M10.5.0,", "CET-999",
        ] {
            XCTAssertThrowsError(try DaylightRule(parsing: wrong), wrong)
        }
    }

    /// The clocks of Berlin change at 01:00 of UTC.
    func testTheMomentOfAChange() throws {
        let zone = try TimeZoneDatabase.rules(of: "Europe/Berlin")
        for (time, offset) in [
            ("2026-03-29T00:59:59Z", Int64(3600)), ("2026-03-29T01:00:00Z", 7200), ("2026-10-25T00:59:59Z", 7200),
            ("2026-10-25T01:00:00Z", 3600), ("1850-01-01T00:00:00Z", 3208), ("2050-07-01T00:00:00Z", 7200),
        ] {
            XCTAssertEqual(zone.offset(at: try Timestamp(parsing: time).seconds), offset, time)
        }
        let time = try Timestamp(parsing: "2026-07-01T12:00:00Z")
        XCTAssertEqual(zone.formatted(time), "2026-07-01T14:00:00+02:00")
        XCTAssertEqual(TimeZoneRules.utc.formatted(time), "2026-07-01T12:00:00Z")
    }

    func testNames() throws {
        XCTAssertEqual(try TimeZoneDatabase.rules(of: ""), .utc)
        XCTAssertEqual(try TimeZoneDatabase.rules(of: "Etc/UTC").offset(at: 0), 0)
        for wrong in [
            "Nowhere/Town", "../../../etc/passwd", "/etc/localtime", "Europe", "Europe/", "Europe/..", "zone.tab",
        ] {
            XCTAssertThrowsError(try TimeZoneDatabase.rules(of: wrong), wrong)
        }
        XCTAssertThrowsError(try TimeZoneDatabase.rules(of: "Europe/Berlin", in: "/nonexistent")) {
            XCTAssertEqual(
                $0 as? TimeZoneDatabase.Failure, .notInstalled("Europe/Berlin", directory: "/nonexistent"))
        }
    }

    /// Bytes that are no zone, or less than one, are refused and not read past.
    func testDamagedZones() {
        XCTAssertThrowsError(try TimeZoneRules(parsing: []))
        XCTAssertThrowsError(try TimeZoneRules(parsing: Array("TZif2".utf8)))
        var huge = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        huge += [UInt8](repeating: 0xFF, count: 24)
        XCTAssertThrowsError(try TimeZoneRules(parsing: huge))
        XCTAssertThrowsError(try TimeZoneRules(parsing: Array("TZif2".utf8) + [UInt8](repeating: 0, count: 39)))
    }
}
