import Objects

/// Numbers as CEL writes them.
enum NumberText {
    /// The shortest text that reads back as the number, with an exponent below 1e-4 and from 1e6 on.
    static func general(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        let (digits, exponent) = decimal(value.magnitude)
        let sign = value.sign == .minus ? "-" : ""
        if exponent < -4 || exponent >= 6 {
            let fraction = digits.dropFirst()
            let power = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return sign + digits.prefix(1) + (fraction.isEmpty ? "" : "." + fraction) + (exponent < 0 ? "e-" : "e+")
                + power
        }
        return sign + plain(digits, exponent)
    }

    /// The shortest text without an exponent.
    static func fixed(_ value: Double) -> String {
        if !value.isFinite { return general(value) }
        let (digits, exponent) = decimal(value.magnitude)
        return (value.sign == .minus ? "-" : "") + plain(digits, exponent)
    }

    private static func plain(_ digits: String, _ exponent: Int) -> String {
        if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + digits }
        let whole = digits.prefix(exponent + 1)
        let zeros = String(repeating: "0", count: max(0, exponent + 1 - digits.count))
        let fraction = digits.dropFirst(exponent + 1)
        return whole + zeros + (fraction.isEmpty ? "" : "." + fraction)
    }

    /// The significant digits of a number and the power of ten of the first.
    static func decimal(_ value: Double) -> (digits: String, exponent: Int) {
        if value == 0 { return ("0", 0) }
        let parts = value.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = mantissa[0]
        let fraction = mantissa.count > 1 ? mantissa[1] : ""
        var exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + whole.count - 1
        var digits = String(whole + fraction)
        while digits.hasPrefix("0"), digits.count > 1 {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.hasSuffix("0"), digits.count > 1 { digits.removeLast() }
        return (digits, exponent)
    }
}

/// Durations as CEL writes them.
enum DurationText {
    /// Seconds with a fraction as short as possible: `3600s`, `1.5s`.
    static func seconds(_ nanoseconds: Int64) -> String {
        let magnitude = nanoseconds.magnitude
        let whole = "\(nanoseconds < 0 ? "-" : "")\(magnitude / 1_000_000_000)"
        let rest = magnitude % 1_000_000_000
        guard rest != 0 else { return whole + "s" }
        var fraction = String(String(rest + 1_000_000_000).dropFirst())
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return "\(whole).\(fraction)s"
    }
}

extension Timestamp {
    /// RFC 3339 with a fraction as short as possible.
    var canonicalText: String {
        guard nanoseconds != 0 else { return formatted() }
        var text = formatted(fraction: .nano)
        text.removeLast()
        while text.hasSuffix("0") { text.removeLast() }
        return text + "Z"
    }
}
