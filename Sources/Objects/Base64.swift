/// Base 64 (RFC 4648): the standard alphabet with padding for Secrets, the URL alphabet without for tokens.
public enum Base64 {
    public enum Alphabet: Sendable {
        case standard, url
    }

    /// The standard alphabet is padded, the URL one is not.
    public static func encode(_ bytes: some Collection<UInt8>, _ alphabet: Alphabet = .standard) -> String {
        let characters = alphabet == .standard ? standardCharacters : urlCharacters
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        characters.withUTF8Buffer { characters in
            for byte in bytes {
                pending = pending << 8 | UInt32(byte)
                bits += 8
                while bits >= 6 {
                    bits -= 6
                    text.append(characters[Int(pending >> bits & 63)])
                }
            }
            if bits > 0 { text.append(characters[Int(pending << (6 - bits) & 63)]) }
        }
        if alphabet == .standard { while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) } }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil when the text is not base 64 of that alphabet. The standard alphabet needs its padding and may have line
    /// breaks, as Go's decoder allows; the URL one takes padding or none. Bits after the end must be zero.
    public static func decode(_ text: some StringProtocol, _ alphabet: Alphabet = .standard) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        var digits = 0
        var padding = 0
        for unit in text.utf8 {
            if unit == 0x0A || unit == 0x0D, alphabet == .standard { continue }
            if unit == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(of: unit, alphabet) else { return nil }
            digits += 1
            pending = (pending << 6 | value) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> bits))
            }
        }
        guard digits % 4 != 1, pending & (1 << bits - 1) == 0 else { return nil }
        let wanted = (4 - digits % 4) % 4
        guard padding == wanted || (alphabet == .url && padding == 0) else { return nil }
        return bytes
    }

    private static let standardCharacters: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    private static let urlCharacters: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    private static func value(of unit: UInt8, _ alphabet: Alphabet) -> UInt32? {
        switch unit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(unit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(unit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(unit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): alphabet == .standard ? 62 : nil
        case UInt8(ascii: "/"): alphabet == .standard ? 63 : nil
        case UInt8(ascii: "-"): alphabet == .url ? 62 : nil
        case UInt8(ascii: "_"): alphabet == .url ? 63 : nil
        default: nil
        }
    }
}
