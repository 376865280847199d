import Objects

/// A cron schedule: five fields (minute, hour, day of month, month, day of week) or a name such as @daily. Times are UTC.
///
/// As in cron, when both day fields are restricted a day that matches either one counts.
struct CronSchedule: Equatable {
    /// Why a text is no schedule.
    struct ParseError: Error, CustomStringConvertible {
        var description: String
    }

    private var minutes: Set<Int>
    private var hours: Set<Int>
    private var days: Set<Int>
    private var months: Set<Int>
    private var weekdays: Set<Int>
    private var hasDays: Bool
    private var hasWeekdays: Bool

    private static let names: [String: String] = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    init(parsing text: String) throws(ParseError) {
        let fields = (Self.names[text] ?? text).split(separator: " ").map(String.init)
        guard fields.count == 5 else {
            throw ParseError(description: "schedule \"\(text)\" has \(fields.count) fields, five are needed")
        }
        minutes = try Self.field(fields[0], 0...59)
        hours = try Self.field(fields[1], 0...23)
        days = try Self.field(fields[2], 1...31)
        months = try Self.field(fields[3], 1...12, names: Self.monthNames, firstName: 1)
        weekdays = Set(try Self.field(fields[4], 0...7, names: Self.dayNames, firstName: 0).map { $0 % 7 })
        hasDays = !Self.isAny(fields[2])
        hasWeekdays = !Self.isAny(fields[4])
    }

    private static func isAny(_ field: String) -> Bool { field.hasPrefix("*") || field.hasPrefix("?") }

    private static func field(
        _ text: String, _ range: ClosedRange<Int>, names: [String] = [], firstName: Int = 0
    ) throws(ParseError) -> Set<Int> {
        var values: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let steps = part.split(separator: "/", omittingEmptySubsequences: false)
            let bounds = steps[0].split(separator: "-", omittingEmptySubsequences: false)
            func number(_ text: Substring) -> Int? {
                if let index = names.firstIndex(of: text.lowercased()) { return index + firstName }
                return Int(text).flatMap { range.contains($0) ? $0 : nil }
            }
            let isAny = steps[0] == "*" || steps[0] == "?"
            let low = isAny ? range.lowerBound : bounds.first.flatMap(number)
            var high = isAny ? range.upperBound : bounds.count == 2 ? number(bounds[1]) : low
            let step = steps.count == 2 ? Int(steps[1]) : 1
            if steps.count == 2 && !isAny && bounds.count == 1 { high = range.upperBound }
            guard steps.count <= 2, bounds.count <= 2, let low, let high, let step, low <= high, step > 0 else {
                throw ParseError(
                    description:
                        "\"\(part)\" is no part of a schedule between \(range.lowerBound) and \(range.upperBound)")
            }
            values.formUnion(stride(from: low, through: high, by: step))
        }
        return values
    }

    /// The first time after `time`; nil when there is none within five years.
    func next(after time: Timestamp) -> Timestamp? {
        var minute = time.seconds / 60 + 1
        let last = minute + 5 * 366 * 24 * 60
        while minute <= last {
            let day = minute.flooredQuotient(1440)
            if !matches(day: day) {
                minute = (day + 1) * 1440
                continue
            }
            let ofDay = Int(minute - day * 1440)
            if !hours.contains(ofDay / 60) {
                minute += Int64(60 - ofDay % 60)
                continue
            }
            if minutes.contains(ofDay % 60) { return Timestamp(seconds: minute * 60) }
            minute += 1
        }
        return nil
    }

    private func matches(day: Int64) -> Bool {
        let (month, dayOfMonth) = Self.date(ofDay: day)
        guard months.contains(month) else { return false }
        let isDay = days.contains(dayOfMonth)
        let isWeekday = weekdays.contains(Int(((day % 7) + 11) % 7))
        return hasDays && hasWeekdays ? isDay || isWeekday : isDay && isWeekday
    }

    /// Month and day of month of a day since 1970-01-01, by Howard Hinnant's civil_from_days
    /// (https://howardhinnant.github.io/date_algorithms.html).
    private static func date(ofDay day: Int64) -> (month: Int, day: Int) {
        let shifted = day + 719_468
        let era = shifted.flooredQuotient(146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        return (Int(month < 10 ? month + 3 : month - 9), Int(dayOfYear - (153 * month + 2) / 5 + 1))
    }
}

extension Int64 {
    fileprivate func flooredQuotient(_ divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : -((-self + divisor - 1) / divisor)
    }
}
