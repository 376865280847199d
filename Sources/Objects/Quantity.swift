/// An amount of a resource with Kubernetes' suffixes, exact to a nano.
/// See https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
///
/// What is finer than a nano is rounded away from zero; what is beyond 2^63-1 is that.
public struct Quantity: Sendable {
    /// How the quantity was written, which its canonical text keeps to.
    public enum Format: Sendable {
        /// n u m k M G T P E, powers of 1000.
        case decimal
        /// Ki Mi Gi Ti Pi Ei, powers of 1024.
        case binary
        /// e3, powers of ten.
        case exponent
    }

    public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String

        static let format = ParseError(
            description: "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
        static let suffix = ParseError(description: "unable to parse quantity's suffix")
    }

    /// Billionths of one.
    public let nanoValue: Int128
    public let format: Format

    static let nano: Int128 = 1_000_000_000
    static let limit = Int128(Int64.max) * nano

    public static let zero = Quantity(nanoValue: 0, format: .decimal)

    public init(nanoValue: Int128, format: Format = .decimal) {
        self.nanoValue = Swift.min(Swift.max(nanoValue, -Self.limit), Self.limit)
        self.format = format
    }

    public init(_ value: Int64, format: Format = .decimal) {
        self.init(nanoValue: Int128(value) * Self.nano, format: format)
    }

    public init(milliValue: Int64, format: Format = .decimal) {
        self.init(nanoValue: Int128(milliValue) * 1_000_000, format: format)
    }

    public init(parsing text: String) throws(ParseError) {
        var parser = QuantityParser(text)
        self = try parser.parse()
    }

    /// A quantity as it stands in an object: text, or a number. Throws for everything else.
    public init(_ value: JSON) throws(ParseError) {
        switch value {
        case .string(let text): try self.init(parsing: text)
        case .integer, .number: try self.init(parsing: value.serializedString())
        default: throw .format
        }
    }

    /// Rounded up (away from zero) and saturating.
    public var value: Int64 { rounded(to: Self.nano) }

    /// Thousandths, rounded up (away from zero) and saturating.
    public var milliValue: Int64 { rounded(to: 1_000_000) }

    public var isZero: Bool { nanoValue == 0 }
    public var isNegative: Bool { nanoValue < 0 }

    /// Whether this is a whole number, as memory and counted devices must be.
    public var isWhole: Bool { nanoValue % Self.nano == 0 }

    private func rounded(to unit: Int128) -> Int64 {
        let (quotient, remainder) = nanoValue.quotientAndRemainder(dividingBy: unit)
        return Int64(clamping: quotient + (remainder > 0 ? 1 : remainder < 0 ? -1 : 0))
    }

    public static func + (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nanoValue: left.nanoValue + right.nanoValue, format: left.isZero ? right.format : left.format)
    }

    public static func - (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nanoValue: left.nanoValue - right.nanoValue, format: left.isZero ? right.format : left.format)
    }

    public static func += (left: inout Quantity, right: Quantity) { left = left + right }
    public static func -= (left: inout Quantity, right: Quantity) { left = left - right }
    public static prefix func - (value: Quantity) -> Quantity {
        Quantity(nanoValue: -value.nanoValue, format: value.format)
    }
}

extension Quantity: Comparable, Hashable {
    /// The format does not matter: 1000m equals 1.
    public static func == (left: Quantity, right: Quantity) -> Bool { left.nanoValue == right.nanoValue }
    public static func < (left: Quantity, right: Quantity) -> Bool { left.nanoValue < right.nanoValue }
    public func hash(into hasher: inout Hasher) { hasher.combine(nanoValue) }
}

extension Quantity: CustomStringConvertible {
    /// The canonical text: no fraction, the largest suffix that allows that, and the kind of suffix it was written with,
    /// except that a binary quantity below 1024 or with a fraction becomes a decimal one.
    public var description: String {
        if isZero { return "0" }
        if format == .binary, isWhole, nanoValue.magnitude >= 1024 * Self.nano.magnitude {
            var number = nanoValue / Self.nano
            var power = 0
            while number % 1024 == 0, power < 6 {
                number /= 1024
                power += 1
            }
            return "\(number)" + ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]
        }
        var number = nanoValue
        var power = -3
        while number % 1000 == 0, power < 6 {
            number /= 1000
            power += 1
        }
        if format == .exponent { return power == 0 ? "\(number)" : "\(number)e\(power * 3)" }
        return "\(number)" + ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][power + 3]
    }
}

/// Splits the text into sign, digits and suffix, and scales.
private struct QuantityParser {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    mutating func parse() throws(Quantity.ParseError) -> Quantity {
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest.removeFirst()
        }
        let (mantissa, scale) = try digits()
        let (format, power, isBinary) = try suffix()
        let magnitude = Self.nanos(mantissa, shift: isBinary ? power : 0, tens: 9 - scale + (isBinary ? 0 : power))
        let clamped = Int128(Swift.min(magnitude, UInt128(Quantity.limit)))
        return Quantity(nanoValue: isNegative ? -clamped : clamped, format: format)
    }

    /// The digits as one number and how many of them come after the point. Beyond 36 significant digits, digits
    /// of the fraction are dropped, the last kept one standing for them, and digits before the point saturate.
    private mutating func digits() throws(Quantity.ParseError) -> (UInt128, Int) {
        let most: UInt128 = 1_000_000_000_000_000_000_000_000_000_000_000_000
        var mantissa: UInt128 = 0
        var scale = 0
        var count = 0
        var isFraction = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "."), !isFraction {
                isFraction = true
            } else if case let digit = byte &- UInt8(ascii: "0"), digit < 10 {
                count += 1
                if mantissa < most {
                    mantissa = mantissa * 10 + UInt128(digit)
                    if isFraction { scale += 1 }
                } else if !isFraction {
                    mantissa = most * 10
                } else if digit != 0 {
                    mantissa |= 1
                }
            } else {
                break
            }
            rest.removeFirst()
        }
        guard count > 0 else { throw .format }
        return (mantissa, scale)
    }

    private mutating func suffix() throws(Quantity.ParseError) -> (Quantity.Format, Int, isBinary: Bool) {
        if rest.isEmpty { return (.decimal, 0, false) }
        let text = String(Substring(rest))
        switch text {
        case "m": return (.decimal, -3, false)
        case "Ki": return (.binary, 10, true)
        case "Mi": return (.binary, 20, true)
        case "Gi": return (.binary, 30, true)
        case "Ti": return (.binary, 40, true)
        case "Pi": return (.binary, 50, true)
        case "Ei": return (.binary, 60, true)
        case "n": return (.decimal, -9, false)
        case "u": return (.decimal, -6, false)
        case "k": return (.decimal, 3, false)
        case "M": return (.decimal, 6, false)
        case "G": return (.decimal, 9, false)
        case "T": return (.decimal, 12, false)
        case "P": return (.decimal, 15, false)
        case "E": return (.decimal, 18, false)
        default: break
        }
        let allowed = "eEinumkKMGTP+-0123456789"
        guard text.allSatisfy({ allowed.contains($0) }) else { throw .format }
        guard text.hasPrefix("e") || text.hasPrefix("E"), let power = Int(text.dropFirst()), abs(power) < 1_000 else {
            throw .suffix
        }
        return (.exponent, power, false)
    }

    /// mantissa × 2^shift × 10^tens, rounded up, saturating.
    private static func nanos(_ mantissa: UInt128, shift: Int, tens: Int) -> UInt128 {
        if mantissa == 0 { return 0 }
        let product = mantissa.multipliedFullWidth(by: 1 << UInt128(shift))
        if tens >= 0 {
            guard product.high == 0, tens <= 38 else { return .max }
            let (result, overflow) = product.low.multipliedReportingOverflow(by: power(tens))
            return overflow ? .max : result
        }
        // Below 10^-38 only the rounding is left of a number of at most 38 digits times 2^60.
        guard tens >= -38 else {
            return tens < -60 ? 1 : nanos(dividing: product, by: power(38), again: power(-tens - 38))
        }
        return nanos(dividing: product, by: power(-tens), again: 1)
    }

    private static func nanos(
        dividing product: (high: UInt128, low: UInt128.Magnitude), by divisor: UInt128, again: UInt128
    ) -> UInt128 {
        guard product.high < divisor else { return .max }
        let first = divisor.dividingFullWidth(product)
        let second = first.quotient.quotientAndRemainder(dividingBy: again)
        return second.quotient + (first.remainder != 0 || second.remainder != 0 ? 1 : 0)
    }

    private static func power(_ tens: Int) -> UInt128 {
        var result: UInt128 = 1
        for _ in 0..<tens { result *= 10 }
        return result
    }
}
