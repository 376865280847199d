/// The rule of a zone for every year: standard time and, between two days of the year, daylight saving time, as POSIX writes it
/// (section 8.3, the variable TZ): "CET-1CEST,M3.5.0,M10.5.0/3".
struct DaylightRule: Sendable, Equatable {
    private enum Day: Equatable {
        /// The week's day of a month, counted from its beginning; week 5 is the last.
        case ofMonth(Int64, week: Int64, weekday: Int)
        /// From 1, without the 29th of February.
        case withoutLeapDay(Int64)
        /// From 0.
        case ofYear(Int64)
    }

    private struct Turn: Equatable {
        var day: Day
        /// Seconds of the day as the clocks show it before the turn; may be outside of the day.
        var second: Int64
    }

    private let standard: Int64
    /// The offset of daylight saving time with its first and last day; nil where there is none.
    private let daylight: (offset: Int64, begin: Turn, end: Turn)?

    static func == (left: DaylightRule, right: DaylightRule) -> Bool {
        left.standard == right.standard && left.daylight?.offset == right.daylight?.offset
            && left.daylight?.begin == right.daylight?.begin && left.daylight?.end == right.daylight?.end
    }

    /// Seconds ahead of UTC.
    func offset(at instant: Int64) -> Int64 {
        guard let daylight else { return standard }
        let year = Timestamp.civil(days: (instant + standard).flooredQuotient(86_400)).year
        let begin = Self.instant(daylight.begin, year) - standard
        let end = Self.instant(daylight.end, year) - daylight.offset
        // South of the equator it begins late in the year and ends early in the next.
        let isDaylight = begin < end ? instant >= begin && instant < end : instant >= begin || instant < end
        return isDaylight ? daylight.offset : standard
    }

    /// In seconds since 1970 as the clocks show them.
    private static func instant(_ turn: Turn, _ year: Int64) -> Int64 {
        let start = Timestamp.days(year, 1, 1)
        let day: Int64
        switch turn.day {
        case .ofYear(let number): day = start + number
        case .withoutLeapDay(let number):
            let isLeap = Timestamp.monthLength(year, 2) == 29
            day = start + number - 1 + (isLeap && number >= 60 ? 1 : 0)
        case .ofMonth(let month, let week, let weekday):
            let first = Timestamp.days(year, month, 1)
            let shift = Int64((weekday - Timestamp.weekday(ofDay: first) + 7) % 7)
            let last = first + Timestamp.monthLength(year, month) - 1
            var date = first + shift + 7 * (week - 1)
            while date > last { date -= 7 }
            day = date
        }
        return day * 86_400 + turn.second
    }

    // MARK: - Text

    init(parsing text: String) throws(TimeZoneRules.ParseError) {
        var rest = Array(text.utf8)[...]
        guard let rule = Self.read(&rest), rest.isEmpty else {
            throw TimeZoneRules.ParseError(description: "\"\(text)\" is no rule of a time zone")
        }
        (standard, daylight) = rule
    }

    private typealias Rule = (standard: Int64, daylight: (offset: Int64, begin: Turn, end: Turn)?)

    private static func read(_ rest: inout ArraySlice<UInt8>) -> Rule? {
        guard skipName(&rest), let behind = time(&rest) else { return nil }
        if rest.isEmpty { return (-behind, nil) }
        guard skipName(&rest) else { return nil }
        var offset = 3600 - behind
        if rest.first != UInt8(ascii: ",") {
            guard let behind = time(&rest) else { return nil }
            offset = -behind
        }
        guard skip(",", &rest), let begin = turn(&rest), skip(",", &rest), let end = turn(&rest) else { return nil }
        return (-behind, (offset, begin, end))
    }

    private static func skip(_ character: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    /// Letters, or anything in angle brackets.
    private static func skipName(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let start = rest.count
        if skip("<", &rest) {
            rest = rest.drop { $0 != UInt8(ascii: ">") }
            return skip(">", &rest)
        }
        rest = rest.drop { ($0 | 0x20) &- UInt8(ascii: "a") < 26 }
        return rest.count < start
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, upTo limit: Int64) -> Int64? {
        let digits = rest.prefix { $0 &- UInt8(ascii: "0") < 10 }
        guard !digits.isEmpty, digits.count <= 4 else { return nil }
        rest = rest.dropFirst(digits.count)
        let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        return value <= limit ? value : nil
    }

    /// `[+-]hours[:minutes[:seconds]]`, in seconds.
    private static func time(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        let isNegative = skip("-", &rest)
        if !isNegative { _ = skip("+", &rest) }
        guard let hours = number(&rest, upTo: 167) else { return nil }
        var seconds = hours * 3600
        for unit: Int64 in [60, 1] where skip(":", &rest) {
            guard let value = number(&rest, upTo: 59) else { return nil }
            seconds += value * unit
        }
        return isNegative ? -seconds : seconds
    }

    private static func turn(_ rest: inout ArraySlice<UInt8>) -> Turn? {
        guard let day = day(&rest) else { return nil }
        guard skip("/", &rest) else { return Turn(day: day, second: 7200) }
        return time(&rest).map { Turn(day: day, second: $0) }
    }

    private static func day(_ rest: inout ArraySlice<UInt8>) -> Day? {
        if skip("J", &rest) { return number(&rest, upTo: 365).flatMap { $0 > 0 ? .withoutLeapDay($0) : nil } }
        guard skip("M", &rest) else { return number(&rest, upTo: 365).map(Day.ofYear) }
        guard let month = number(&rest, upTo: 12), skip(".", &rest), let week = number(&rest, upTo: 5),
            skip(".", &rest), let weekday = number(&rest, upTo: 6), month > 0, week > 0
        else { return nil }
        return .ofMonth(month, week: week, weekday: Int(weekday))
    }
}
