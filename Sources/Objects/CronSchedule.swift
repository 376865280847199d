/// A cron schedule: five fields (minute, hour, day of month, month, day of week), a name such as @daily, or "@every 90m".
///
/// As in cron, when both day fields are restricted a day that matches either one counts. Fields are about the time of a zone: a
/// time of day that its clocks skip is not there on that day, one that they show twice is there twice.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax.
public struct CronSchedule: Sendable, Equatable {
    /// Why a text is no schedule.
    public struct ParseError: Error, Sendable, Equatable, CustomStringConvertible {
        public let description: String
    }

    fileprivate struct Fields: Equatable {
        var minutes: Set<Int>
        var hours: Set<Int>
        var days: Set<Int>
        var months: Set<Int>
        var weekdays: Set<Int>
        var hasDays: Bool
        var hasWeekdays: Bool
    }

    private enum Form: Equatable {
        case fields(Fields)
        /// So many seconds after the last time.
        case every(Int64)
    }

    private let form: Form

    private static let names: [String: String] = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    private static let every = "@every "

    public init(parsing text: String) throws(ParseError) {
        if text.hasPrefix(Self.every) {
            form = try Self.interval(String(text.dropFirst(Self.every.count)))
            return
        }
        let named = Self.names[text]
        guard named != nil || !text.hasPrefix("@") else {
            throw ParseError(description: "unrecognized descriptor: \(text)")
        }
        let fields = (named ?? text).split { $0 == " " || $0 == "\t" }.map(String.init)
        guard fields.count == 5 else {
            throw ParseError(
                description: "expected exactly 5 fields, found \(fields.count): [\(fields.joined(separator: " "))]")
        }
        form = .fields(
            Fields(
                minutes: try Self.field(fields[0], 0...59), hours: try Self.field(fields[1], 0...23),
                days: try Self.field(fields[2], 1...31),
                months: try Self.field(fields[3], 1...12, names: Self.monthNames, firstName: 1),
                weekdays: try Self.field(fields[4], 0...6, names: Self.dayNames, firstName: 0),
                hasDays: !Self.isAny(fields[2]), hasWeekdays: !Self.isAny(fields[4])))
    }

    private static func interval(_ text: String) throws(ParseError) -> Form {
        do {
            return .every(max(1, try GoDuration(parsing: text).nanoseconds / 1_000_000_000))
        } catch {
            throw ParseError(description: "failed to parse duration @every \(text): \(error)")
        }
    }

    /// Whether a field restricts nothing. One that only has steps does.
    private static func isAny(_ field: String) -> Bool {
        field.split(separator: ",").contains { ["*", "?", "*/1", "?/1"].contains($0) }
    }

    private static func field(
        _ text: String, _ range: ClosedRange<Int>, names: [String] = [], firstName: Int = 0
    ) throws(ParseError) -> Set<Int> {
        var values: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let steps = part.split(separator: "/", omittingEmptySubsequences: false)
            let bounds = steps[0].split(separator: "-", omittingEmptySubsequences: false)
            func number(_ text: Substring) throws(ParseError) -> Int {
                if let index = names.firstIndex(of: text.lowercased()) { return index + firstName }
                guard let value = Int(text), value >= 0 else {
                    throw ParseError(description: "failed to parse int from \(text): invalid syntax")
                }
                return value
            }
            if bounds.count > 2 { throw ParseError(description: "too many hyphens: \(part)") }
            if steps.count > 2 { throw ParseError(description: "too many slashes: \(part)") }
            let isAny = steps[0] == "*" || steps[0] == "?"
            let low = isAny ? range.lowerBound : try number(bounds[0])
            var high = isAny ? range.upperBound : bounds.count == 2 ? try number(bounds[1]) : low
            let step = steps.count == 2 ? try number(steps[1]) : 1
            if steps.count == 2 && bounds.count == 1 { high = range.upperBound }
            if let complaint = complaint(low, high, step, range) {
                throw ParseError(description: "\(complaint): \(part)")
            }
            values.formUnion(stride(from: low, through: high, by: step))
        }
        return values
    }

    private static func complaint(_ low: Int, _ high: Int, _ step: Int, _ range: ClosedRange<Int>) -> String? {
        if low < range.lowerBound { return "beginning of range (\(low)) below minimum (\(range.lowerBound))" }
        if high > range.upperBound { return "end of range (\(high)) above maximum (\(range.upperBound))" }
        if low > high { return "beginning of range (\(low)) beyond end of range (\(high))" }
        return step > 0 ? nil : "step of range should be a positive number"
    }

    // MARK: - Times

    /// Days after which a schedule that has not come up never does.
    fileprivate static let horizon: Int64 = 5 * 366

    /// The first time after `time`; nil when there is none within five years.
    public func next(after time: Timestamp, in zone: TimeZoneRules = .utc) -> Timestamp? {
        switch form {
        case .every(let seconds): Timestamp(seconds: time.seconds + seconds)
        case .fields(let fields): fields.next(after: time, in: zone)
        }
    }
}

extension CronSchedule.Fields {
    fileprivate func next(after time: Timestamp, in zone: TimeZoneRules) -> Timestamp? {
        var instant = (time.seconds.flooredQuotient(60) + 1) * 60
        let last = instant + CronSchedule.horizon * 86_400
        while instant <= last {
            // Zones may be off by seconds in the past: minutes are the clock's.
            let local = instant + zone.offset(at: instant)
            let second = local - local.flooredQuotient(60) * 60
            if second != 0 {
                instant += 60 - second
                continue
            }
            let day = local.flooredQuotient(86_400)
            if !matches(day: day) {
                instant = zone.instant(ofLocal: (day + 1) * 86_400, after: instant)
                continue
            }
            let minute = Int((local - day * 86_400) / 60)
            if !hours.contains(minute / 60) {
                instant += Int64(60 - minute % 60) * 60
                continue
            }
            if minutes.contains(minute % 60) { return Timestamp(seconds: instant) }
            instant += 60
        }
        return nil
    }

    private func matches(day: Int64) -> Bool {
        let date = Timestamp.civil(days: day)
        guard months.contains(Int(date.month)) else { return false }
        let isDay = days.contains(Int(date.day))
        let isWeekday = weekdays.contains(Timestamp.weekday(ofDay: day))
        return hasDays && hasWeekdays ? isDay || isWeekday : isDay && isWeekday
    }
}
