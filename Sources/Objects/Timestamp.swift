import Glibc

/// An instant of UTC with nanoseconds, written and read as RFC 3339, as Kubernetes' Time and MicroTime are.
public struct Timestamp: Sendable, Hashable {
    /// Seconds since 1970-01-01T00:00:00Z, negative before it.
    public var seconds: Int64
    /// 0 to 999,999,999.
    public var nanoseconds: Int32

    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public enum Fraction: Sendable {
        /// Whole seconds: metav1.Time.
        case none
        /// Six digits: metav1.MicroTime.
        case micro
        /// Nine digits: logs.
        case nano
    }

    public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        public let text: String
        public var description: String { "\"\(text)\" is not a time in RFC 3339 form, such as 2026-01-02T03:04:05Z" }
    }

    /// The system's wall clock.
    public static func now() -> Timestamp {
        var time = timespec()
        // With CLOCK_REALTIME and a valid address the call cannot fail.
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    }

    public init(parsing text: String) throws(ParseError) {
        var text = text
        let parsed = text.withUTF8 { Self.parse($0) }
        guard let parsed else { throw ParseError(text: text) }
        self = parsed
    }

    public func formatted(fraction: Fraction = .none) -> String {
        let days = Self.floorDivide(seconds, 86_400)
        let secondOfDay = seconds - days * 86_400
        let (year, month, day) = Self.civil(days: days)
        var text: [UInt8] = []
        text.reserveCapacity(30)
        Self.append(year, 4, &text)
        text.append(UInt8(ascii: "-"))
        Self.append(month, 2, &text)
        text.append(UInt8(ascii: "-"))
        Self.append(day, 2, &text)
        text.append(UInt8(ascii: "T"))
        Self.append(secondOfDay / 3600, 2, &text)
        text.append(UInt8(ascii: ":"))
        Self.append(secondOfDay / 60 % 60, 2, &text)
        text.append(UInt8(ascii: ":"))
        Self.append(secondOfDay % 60, 2, &text)
        switch fraction {
        case .none: break
        case .micro:
            text.append(UInt8(ascii: "."))
            Self.append(Int64(nanoseconds) / 1000, 6, &text)
        case .nano:
            text.append(UInt8(ascii: "."))
            Self.append(Int64(nanoseconds), 9, &text)
        }
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    /// This instant moved by a number of seconds.
    public func adding(seconds delta: Int64) -> Timestamp {
        let (sum, overflow) = seconds.addingReportingOverflow(delta)
        return Timestamp(seconds: overflow ? (delta < 0 ? .min : .max) : sum, nanoseconds: nanoseconds)
    }

    /// This instant moved by nanoseconds.
    public func adding(nanoseconds delta: Int64) -> Timestamp {
        let total = Int64(nanoseconds) + delta % 1_000_000_000
        let carry = Self.floorDivide(total, 1_000_000_000)
        return Timestamp(seconds: seconds, nanoseconds: Int32(total - carry * 1_000_000_000))
            .adding(seconds: delta / 1_000_000_000 + carry)
    }

    /// Nanoseconds from `other` to this, saturating.
    public func nanoseconds(since other: Timestamp) -> Int64 {
        let (difference, overflowed) = seconds.subtractingReportingOverflow(other.seconds)
        let (scaled, overflowedScaled) = difference.multipliedReportingOverflow(by: 1_000_000_000)
        if overflowed || overflowedScaled { return seconds < other.seconds ? .min : .max }
        let (sum, overflowedSum) = scaled.addingReportingOverflow(Int64(nanoseconds) - Int64(other.nanoseconds))
        return overflowedSum ? (seconds < other.seconds ? .min : .max) : sum
    }

    private static func append(_ value: Int64, _ width: Int, _ text: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }
}

extension Timestamp: Comparable {
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

extension Timestamp: CustomStringConvertible {
    public var description: String { formatted(fraction: nanoseconds == 0 ? .none : .nano) }
}

// MARK: - RFC 3339 and the calendar

extension Timestamp {
    private static func parse(_ text: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        var position = 0
        func digits(_ count: Int, _ range: ClosedRange<Int64>) -> Int64? {
            guard position + count <= text.count else { return nil }
            var value: Int64 = 0
            for _ in 0..<count {
                let digit = text[position] &- UInt8(ascii: "0")
                guard digit < 10 else { return nil }
                value = value * 10 + Int64(digit)
                position += 1
            }
            return range.contains(value) ? value : nil
        }
        func expect(_ allowed: StaticString) -> UInt8? {
            guard position < text.count, allowed.withUTF8Buffer({ $0.contains(text[position]) }) else { return nil }
            position += 1
            return text[position - 1]
        }
        guard let year = digits(4, 0...9999), expect("-") != nil, let month = digits(2, 1...12), expect("-") != nil,
            let day = digits(2, 1...monthLength(year, month)), expect("Tt") != nil, let hour = digits(2, 0...23),
            expect(":") != nil, let minute = digits(2, 0...59), expect(":") != nil, let second = digits(2, 0...60)
        else { return nil }
        var nanoseconds: Int32 = 0
        if expect(".") != nil {
            var scale: Int32 = 100_000_000
            guard digits(1, 0...9) != nil else { return nil }
            position -= 1
            while let digit = digits(1, 0...9) {
                nanoseconds += Int32(digit) * scale
                scale /= 10
            }
        }
        var offset: Int64 = 0
        guard let zone = expect("Zz+-") else { return nil }
        if zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-") {
            guard let hours = digits(2, 0...23), expect(":") != nil, let minutes = digits(2, 0...59) else { return nil }
            offset = (hours * 60 + minutes) * (zone == UInt8(ascii: "-") ? -60 : 60)
        }
        guard position == text.count else { return nil }
        let clock = hour * 3600 + minute * 60 + second
        return Timestamp(seconds: days(year, month, day) * 86_400 + clock - offset, nanoseconds: nanoseconds)
    }

    static func monthLength(_ year: Int64, _ month: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 { value.flooredQuotient(divisor) }

    /// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, counted in years that begin in March.
    static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let era = floorDivide(marchYear, 400)
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The day of the week of a day since 1970-01-01; 0 is Sunday.
    static func weekday(ofDay day: Int64) -> Int {
        let shifted = day + 4
        return Int(shifted - shifted.flooredQuotient(7) * 7)
    }

    /// The date of a day since 1970-01-01.
    static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension Int64 {
    /// The quotient rounded down, also of a negative number.
    /// - Parameter divisor: positive.
    func flooredQuotient(_ divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : -((divisor - 1 - self) / divisor)
    }
}
