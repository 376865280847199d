import Objects
import XCTest

final class CronScheduleTests: XCTestCase {
    func testCronSchedule() throws {
        // 2026-01-02 is a Friday.
        let start = try Timestamp(parsing: "2026-01-02T03:04:05Z")
        let cases = [
            ("* * * * *", "2026-01-02T03:05:00Z"), ("*/15 * * * *", "2026-01-02T03:15:00Z"),
            ("0 3 * * *", "2026-01-03T03:00:00Z"),
            ("30 2 1 * *", "2026-02-01T02:30:00Z"), ("0 0 * * sun", "2026-01-04T00:00:00Z"),
            ("*/2 3 * * *", "2026-01-02T03:06:00Z"), ("0 0 */10 * 1", "2026-01-05T00:00:00Z"),
            ("@every 90m", "2026-01-02T04:34:05Z"), ("0 0 */1 * 1", "2026-01-05T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"), ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            ("5,10-12 4 * JAN *", "2026-01-02T04:05:00Z"),
            ("0 0 13 * 5", "2026-01-09T00:00:00Z"), ("59 23 31 12 *", "2026-12-31T23:59:00Z"),
            ("7/20 3 * * *", "2026-01-02T03:07:00Z"),
        ]
        for (text, expected) in cases {
            XCTAssertEqual(
                try CronSchedule(parsing: text).next(after: start)?.formatted(fraction: .none), expected, text)
        }
        XCTAssertNil(try CronSchedule(parsing: "0 0 30 2 *").next(after: start))
        let wrong = [
            ("", "expected exactly 5 fields, found 0: []"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* 24 * * *", "end of range (24) above maximum (23): 24"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("a * * * *", "failed to parse int from a: invalid syntax"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"), ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@never", "unrecognized descriptor: @never"),
        ]
        for (text, complaint) in wrong {
            XCTAssertThrowsError(try CronSchedule(parsing: text), text) {
                XCTAssertEqual("\($0)", complaint, text)
            }
        }
    }

    /// The clocks of New York skip 02:00 to 03:00 on 2026-03-08 and show 01:00 to 02:00 twice on 2026-11-01; those of Beirut
    /// skip the first hour of 2026-03-29.
    func testTimesOfAZone() throws {
        let rows: [(String, String, String, String, [String])] = [
            ("winter", "America/New_York", "30 9 * * *", "2026-01-02T00:00:00Z", ["2026-01-02T14:30:00Z"]),
            ("summer", "America/New_York", "30 9 * * *", "2026-07-02T00:00:00Z", ["2026-07-02T13:30:00Z"]),
            (
                "a time that is skipped", "America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z",
                ["2026-03-09T06:30:00Z"]
            ),
            (
                "a time that is there twice", "America/New_York", "30 1 * * *", "2026-11-01T00:00:00Z",
                ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"]
            ),
            (
                "every hour", "America/New_York", "0 * * * *", "2026-03-08T06:30:00Z",
                ["2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"]
            ),
            ("a day without midnight", "Asia/Beirut", "0 0 * * *", "2026-03-28T12:00:00Z", ["2026-03-29T21:00:00Z"]),
            ("the day after it", "Asia/Beirut", "30 1 29 3 *", "2026-03-28T12:00:00Z", ["2026-03-28T22:30:00Z"]),
            ("half an hour", "Asia/Kolkata", "0 12 * * 1", "2026-01-02T00:00:00Z", ["2026-01-05T06:30:00Z"]),
            (
                "half an hour of summer time", "Australia/Lord_Howe", "0 12 * * *", "2026-06-30T02:00:00Z",
                ["2026-07-01T01:30:00Z"]
            ),
            ("far ahead, by the rule", "Europe/Berlin", "0 12 1 7 *", "2099-12-31T00:00:00Z", ["2100-07-01T10:00:00Z"]),
        ]
        for (reason, zone, text, start, expected) in rows {
            let (schedule, zone) = (try CronSchedule(parsing: text), try TimeZoneDatabase.rules(of: zone))
            var time = try Timestamp(parsing: start)
            for next in expected {
                let found = try XCTUnwrap(schedule.next(after: time, in: zone), reason)
                XCTAssertEqual(found.formatted(), next, reason)
                time = found
            }
        }
    }
}
