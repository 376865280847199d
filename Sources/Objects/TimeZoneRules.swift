/// By how much the clocks of a zone are ahead of UTC, at any time: the changes of the past, and a rule for the years to come.
/// See RFC 9636 (the format of compiled zones) and POSIX.1-2017, section 8.3 (the rule).
public struct TimeZoneRules: Sendable, Equatable {
    /// Why bytes are no compiled zone.
    public struct ParseError: Error, Sendable, Equatable, CustomStringConvertible {
        public let description: String
    }

    /// Seconds since 1970, ascending.
    private let changes: [Int64]
    /// Seconds ahead of UTC from each change on.
    private let offsets: [Int64]
    /// Before the first change.
    private let firstOffset: Int64
    /// After the last change; nil when it is for ever.
    private let rule: DaylightRule?

    /// Universal time.
    public static let utc = TimeZoneRules(changes: [], offsets: [], firstOffset: 0, rule: nil)

    private init(changes: [Int64], offsets: [Int64], firstOffset: Int64, rule: DaylightRule?) {
        self.changes = changes
        self.offsets = offsets
        self.firstOffset = firstOffset
        self.rule = rule
    }

    /// Seconds ahead of UTC at a time in seconds since 1970. Complexity: O(log changes).
    public func offset(at instant: Int64) -> Int64 {
        var (low, high) = (0, changes.count)
        while low < high {
            let middle = (low + high) / 2
            if changes[middle] <= instant { low = middle + 1 } else { high = middle }
        }
        if low == changes.count, let rule { return rule.offset(at: instant) }
        return low == 0 ? firstOffset : offsets[low - 1]
    }

    /// When the clocks show a time of day, or the first moment at which they show a later one; the earlier moment when they
    /// show it twice. Always after `instant`.
    /// - Parameter local: seconds since 1970 as the clocks show them.
    func instant(ofLocal local: Int64, after instant: Int64) -> Int64 {
        let early = local - offset(at: instant)
        let late = local - offset(at: early)
        return max(instant + 1, min(early, late))
    }

    /// A time as the clocks of the zone show it, in RFC 3339 form.
    public func formatted(_ time: Timestamp) -> String {
        let offset = offset(at: time.seconds)
        let text = Timestamp(seconds: time.seconds + offset).formatted()
        if offset == 0 { return text }
        let minutes = offset.magnitude / 60
        func twoDigits(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return text.dropLast() + (offset < 0 ? "-" : "+") + twoDigits(minutes / 60) + ":" + twoDigits(minutes % 60)
    }
}

// MARK: - Compiled zones

extension TimeZoneRules {
    /// - Parameter bytes: a TZif file of version 2 or later.
    public init(parsing bytes: [UInt8]) throws(ParseError) {
        var reader = Reader(bytes: bytes)
        let old = try reader.header()
        // The first block repeats the second with 32-bit times.
        try reader.skip(old.size(timeSize: 4))
        let header = try reader.header()
        let end = try reader.end(of: header.size(timeSize: 8))
        var changes: [Int64] = []
        for _ in 0..<header.changes { changes.append(try reader.integer(8)) }
        var types: [Int] = []
        for _ in 0..<header.changes { types.append(Int(try reader.integer(1) & 0xFF)) }
        var offsets: [Int64] = []
        for _ in 0..<header.types {
            offsets.append(try reader.integer(4))
            try reader.skip(2)
        }
        guard let first = offsets.first, types.allSatisfy({ $0 < offsets.count }),
            zip(changes, changes.dropFirst()).allSatisfy({ $0 < $1 })
        else { throw ParseError(description: "a time zone file whose changes are out of order or of unknown types") }
        try reader.seek(end)
        let footer = try reader.footer()
        self.init(
            changes: changes, offsets: types.map { offsets[$0] }, firstOffset: first,
            rule: footer.isEmpty ? nil : try DaylightRule(parsing: footer))
    }

    private struct Header {
        var universal = 0
        var standard = 0
        var leaps = 0
        var changes = 0
        var types = 0
        var letters = 0

        func size(timeSize: Int) -> Int {
            changes * (timeSize + 1) + types * 6 + letters + leaps * (timeSize + 4) + standard + universal
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        func end(of count: Int) throws(ParseError) -> Int {
            guard count >= 0, count <= bytes.count - position else {
                throw ParseError(description: "a time zone file that ends too early")
            }
            return position + count
        }

        mutating func skip(_ count: Int) throws(ParseError) { position = try end(of: count) }

        mutating func seek(_ place: Int) throws(ParseError) { try skip(place - position) }

        /// Big-endian, signed.
        mutating func integer(_ size: Int) throws(ParseError) -> Int64 {
            let start = position
            try skip(size)
            let raw = bytes[start..<position].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let unused = UInt64(64 - 8 * size)
            return Int64(bitPattern: raw << unused) >> Int64(unused)
        }

        mutating func header() throws(ParseError) -> Header {
            let start = position
            try skip(20)
            guard bytes[start..<(start + 4)].elementsEqual("TZif".utf8), bytes[start + 4] >= UInt8(ascii: "2") else {
                throw ParseError(description: "no time zone file of version 2 or later")
            }
            var counts: [Int] = []
            for _ in 0..<6 { counts.append(Int(try integer(4) & 0xFFFF_FFFF)) }
            guard counts.allSatisfy({ $0 <= bytes.count }) else {
                throw ParseError(description: "a time zone file that ends too early")
            }
            return Header(
                universal: counts[0], standard: counts[1], leaps: counts[2], changes: counts[3], types: counts[4],
                letters: counts[5])
        }

        /// The line after the second block.
        func footer() throws(ParseError) -> String {
            let line = bytes[position...]
            guard line.first == UInt8(ascii: "\n"), line.last == UInt8(ascii: "\n"), line.count > 1 else {
                throw ParseError(description: "a time zone file without the rule for times to come")
            }
            return String(decoding: line.dropFirst().dropLast(), as: UTF8.self)
        }
    }
}
