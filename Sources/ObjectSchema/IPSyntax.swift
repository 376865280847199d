import Glibc

/// The text forms of IP addresses and ranges.
public enum IPSyntax {
    public static func isIPv4(_ text: String) -> Bool {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1
    }

    public static func isIPv6(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1
    }

    public static func isAddress(_ text: String) -> Bool {
        !text.utf8.contains(0) && (isIPv4(text) || isIPv6(text))
    }

    /// The bytes of an address as they travel, 4 or 16; nil for what is none.
    static func bytes(_ text: String) -> [UInt8]? {
        var address = in6_addr()
        let (family, size) = text.contains(":") ? (AF_INET6, 16) : (AF_INET, 4)
        guard inet_pton(family, text, &address) == 1 else { return nil }
        return withUnsafeBytes(of: &address) { Array($0.prefix(size)) }
    }

    /// ADDRESS/BITS.
    public static func isRange(_ text: String) -> Bool {
        guard let slash = text.firstIndex(of: "/"), !text.utf8.contains(0) else { return false }
        let bits = text[text.index(after: slash)...]
        guard !bits.isEmpty, bits.utf8.count < 4, bits.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }),
            let count = Int(bits),
            bits == "\(count)"
        else { return false }
        let address = String(text[..<slash])
        return isIPv4(address) ? count <= 32 : isIPv6(address) && count <= 128
    }
}
