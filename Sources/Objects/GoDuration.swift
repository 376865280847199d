/// A length of time as Go writes it, "1h2m3.5s", which is how Kubernetes' configuration and leases write theirs.
public struct GoDuration: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        public let text: String
        public var description: String {
            "\"\(text)\" is not a duration, such as 300ms, 1.5h or 2h45m (units: ns, us, ms, s, m, h)"
        }
    }

    /// Rounded down.
    public var milliseconds: Int64 { nanoseconds / 1_000_000 }
    public var seconds: Double { Double(nanoseconds) / 1e9 }

    public init(parsing text: String) throws(ParseError) {
        var rest = Substring(text).utf8
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest.removeFirst()
        }
        if rest.elementsEqual("0".utf8) {
            nanoseconds = 0
            return
        }
        guard !rest.isEmpty else { throw ParseError(text: text) }
        var total: Int128 = 0
        while !rest.isEmpty {
            guard let term = Self.takeTerm(&rest) else { throw ParseError(text: text) }
            total += term
            guard total <= Int128(Int64.max) else { throw ParseError(text: text) }
        }
        nanoseconds = Int64(isNegative ? -total : total)
    }

    private static func takeTerm(_ rest: inout Substring.UTF8View) -> Int128? {
        let whole = rest.prefix { $0 &- UInt8(ascii: "0") < 10 }
        rest = rest.dropFirst(whole.count)
        var fraction = whole.prefix(0)
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            fraction = rest.prefix { $0 &- UInt8(ascii: "0") < 10 }
            rest = rest.dropFirst(fraction.count)
        }
        let unitText = rest.prefix { $0 &- UInt8(ascii: "0") >= 10 && $0 != UInt8(ascii: ".") }
        rest = rest.dropFirst(unitText.count)
        guard !whole.isEmpty || !fraction.isEmpty, whole.count <= 19, let unit = unit(String(Substring(unitText)))
        else { return nil }
        let number = whole.isEmpty ? 0 : Int128(Substring(whole)) ?? 0
        var part: Int128 = 0
        var scale: Int128 = 1
        for digit in fraction.prefix(18) {
            part = part * 10 + Int128(digit - UInt8(ascii: "0"))
            scale *= 10
        }
        return number * unit + part * unit / scale
    }

    /// Nanoseconds; nil for an unknown unit.
    private static func unit(_ name: String) -> Int128? {
        switch name {
        case "ns": 1
        case "us", "µs", "μs": 1_000
        case "ms": 1_000_000
        case "s": 1_000_000_000
        case "m": 60_000_000_000
        case "h": 3_600_000_000_000
        default: nil
        }
    }

    public static func < (left: GoDuration, right: GoDuration) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension GoDuration: CustomStringConvertible {
    /// As Go's String method: "1h2m3.5s", "1.5ms", "0s".
    public var description: String {
        if nanoseconds == 0 { return "0s" }
        let sign = nanoseconds < 0 ? "-" : ""
        let magnitude = nanoseconds.magnitude
        if magnitude < 1_000 { return "\(sign)\(magnitude)ns" }
        if magnitude < 1_000_000 { return sign + Self.decimal(magnitude, 1_000) + "µs" }
        if magnitude < 1_000_000_000 { return sign + Self.decimal(magnitude, 1_000_000) + "ms" }
        let hours = magnitude / 3_600_000_000_000
        let minutes = magnitude / 60_000_000_000 % 60
        let seconds = Self.decimal(magnitude % 60_000_000_000, 1_000_000_000) + "s"
        if hours > 0 { return "\(sign)\(hours)h\(minutes)m\(seconds)" }
        return minutes > 0 ? "\(sign)\(minutes)m\(seconds)" : sign + seconds
    }

    private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
        let remainder = value % unit
        if remainder == 0 { return "\(value / unit)" }
        var digits = String(unit + remainder).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(value / unit).\(digits)"
    }
}
