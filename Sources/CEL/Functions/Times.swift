import Objects

extension StandardFunctions {
    static let times: [Overload] = timestampParts + durationParts

    private static let timestampParts: [Overload] =
        [
            part("getFullYear") { $0.year }, part("getMonth") { $0.month - 1 }, part("getDayOfMonth") { $0.day - 1 },
            part("getDate") { $0.day }, part("getDayOfWeek") { $0.weekday }, part("getDayOfYear") { $0.dayOfYear },
            part("getHours") { $0.hour }, part("getMinutes") { $0.minute }, part("getSeconds") { $0.second },
            part("getMilliseconds") { $0.milliseconds },
        ].flatMap { $0 }

    /// A part of a timestamp in UTC, and in a time zone.
    private static func part(_ name: String, _ read: @escaping @Sendable (CalendarTime) -> Int64) -> [Overload] {
        [
            .unary("timestamp . \(name)(): int") { time throws(CELError) in
                .int(read(CalendarTime(try time.timestamp(), offset: 0)))
            },
            .binary("timestamp . \(name)(string): int") { time, zone throws(CELError) in
                let time = try time.timestamp()
                let offset = try TimeZone.named(try zone.string()).offset(at: time.seconds)
                return .int(read(CalendarTime(time, offset: offset)))
            },
        ]
    }

    private static let durationParts: [Overload] = [
        ("getHours", 3_600_000_000_000), ("getMinutes", 60_000_000_000), ("getSeconds", 1_000_000_000),
        ("getMilliseconds", 1_000_000),
    ].map { (name: String, unit: Int64) in
        .unary("duration . \(name)(): int") { value throws(CELError) in .int(try value.nanoseconds() / unit) }
    }
}

/// An instant in the Gregorian calendar of a place.
struct CalendarTime {
    let year: Int64
    /// 1 to 12.
    let month: Int64
    /// 1 to 31.
    let day: Int64
    /// 0 is Sunday.
    let weekday: Int64
    /// From 0.
    let dayOfYear: Int64
    let hour: Int64
    let minute: Int64
    let second: Int64
    let milliseconds: Int64

    /// - Parameters:
    ///   - offset: Seconds that the place is ahead of UTC.
    init(_ time: Timestamp, offset: Int64) {
        let local = time.seconds + offset
        let days = Self.floorDivide(local, 86_400)
        let clock = local - days * 86_400
        (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60)
        milliseconds = Int64(time.nanoseconds) / 1_000_000
        weekday = ((days + 4) % 7 + 7) % 7
        // Years that begin in March have their leap day at the end.
        let shifted = days + 719_468
        let era = Self.floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let fromMarch = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * fromMarch + 2) / 153
        day = fromMarch - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let before: [Int64] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        dayOfYear = before[Int(month - 1)] + day - 1 + (isLeap && month > 2 ? 1 : 0)
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : -((divisor - 1 - value) / divisor)
    }
}
