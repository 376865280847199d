import Objects

/// What an unquoted scalar means, by the rules that clients of Kubernetes rely on: those of YAML 1.1 for truth values and
/// octal numbers (`0644` is 420), so that a manifest means the same here as where kubectl reads it.
/// See https://yaml.org/type/bool.html and https://yaml.org/type/int.html.
enum YAMLScalar {
    static func resolve(_ text: String) -> JSON {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y": return .bool(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N": return .bool(false)
        default: break
        }
        guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first) else { return .string(text) }
        let digits = text.filter { $0 != "_" }
        if let value = integer(digits) { return .integer(value) }
        if isDecimal(digits), let value = Double(digits), value.isFinite { return .number(value) }
        return .string(text)
    }

    private static func integer(_ text: String) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let magnitude = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        guard let first = magnitude.utf8.first, (0x30...0x39).contains(first) else { return nil }
        let (digits, radix): (Substring, Int)
        switch magnitude.prefix(2) {
        case "0x", "0X": (digits, radix) = (magnitude.dropFirst(2), 16)
        case "0o", "0O": (digits, radix) = (magnitude.dropFirst(2), 8)
        case "0b", "0B": (digits, radix) = (magnitude.dropFirst(2), 2)
        default:
            let isOctal = magnitude.utf8.count > 1 && magnitude.utf8.allSatisfy { (0x30...0x37).contains($0) }
            (digits, radix) = first == 0x30 && isOctal ? (magnitude.dropFirst(), 8) : (magnitude, 10)
        }
        guard let lead = digits.utf8.first, lead != UInt8(ascii: "-"), lead != UInt8(ascii: "+") else { return nil }
        return Int64((isNegative ? "-" : "") + digits, radix: radix)
    }

    /// `1.5`, `.5`, `1e3`; not `1.2.3`, which is text.
    private static func isDecimal(_ text: String) -> Bool {
        text.utf8.contains { (0x30...0x39).contains($0) }
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
    }
}
