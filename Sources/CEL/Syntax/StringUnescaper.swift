/// Collects the content of a string or bytes literal.
struct StringUnescaper {
    let isBytes: Bool
    private(set) var bytes: [UInt8] = []

    init(isBytes: Bool) { self.isBytes = isBytes }

    /// The content; escapes of strings name code points only, so it is well-formed.
    var string: String { String(decoding: bytes, as: UTF8.self) }

    mutating func append(_ scalar: Unicode.Scalar) { bytes.append(contentsOf: UTF8.encode(scalar)!) }

    /// Takes the escape sequence that follows a backslash.
    /// - Returns: how many code points it has; 0 when it is none.
    mutating func escape(_ rest: ArraySlice<Unicode.Scalar>) -> Int {
        guard let kind = rest.first else { return 0 }
        if let plain = Self.plain[kind] {
            bytes.append(plain)
            return 1
        }
        switch kind {
        case "x", "X": return code(rest.dropFirst(), digits: 2, radix: 16, prefix: 1)
        case "u": return isBytes ? 0 : code(rest.dropFirst(), digits: 4, radix: 16, prefix: 1)
        case "U": return isBytes ? 0 : code(rest.dropFirst(), digits: 8, radix: 16, prefix: 1)
        case "0"..."3": return code(rest, digits: 3, radix: 8, prefix: 0)
        default: return 0
        }
    }

    private static let plain: [Unicode.Scalar: UInt8] = [
        "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 0x5C, "'": 0x27, "\"": 0x22, "`": 0x60,
        "?": 0x3F,
    ]

    private mutating func code(_ rest: ArraySlice<Unicode.Scalar>, digits: Int, radix: UInt32, prefix: Int) -> Int {
        let text = rest.prefix(digits)
        guard text.count == digits else { return 0 }
        var value: UInt32 = 0
        for scalar in text {
            guard scalar.isASCII, let digit = Character(scalar).hexDigitValue, digit < Int(radix) else { return 0 }
            value = value * radix + UInt32(digit)
        }
        if isBytes {
            bytes.append(UInt8(truncatingIfNeeded: value))
        } else {
            guard let scalar = Unicode.Scalar(value) else { return 0 }
            append(scalar)
        }
        return prefix + digits
    }
}
