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

    /// Why an address cannot be one at which a service is reached; nil for one that can, and for what is no address.
    static func specialUse(of text: String) -> String? {
        guard let bytes = bytes(text) else { return nil }
        func isLoopback() -> Bool {
            bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
        }
        func begins(_ four: [UInt8], _ six: [UInt8]) -> Bool { bytes.starts(with: bytes.count == 4 ? four : six) }
        if bytes.allSatisfy({ $0 == 0 }) { return "may not be unspecified (\(text))" }
        if isLoopback() { return "may not be in the loopback range (127.0.0.0/8, ::1/128)" }
        if bytes.count == 4 ? begins([169, 254], []) : bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80 {
            return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        }
        if begins([224, 0, 0], [0xFF, 2]) {
            return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        }
        return nil
    }

    /// What is wrong with a text that is to be an address. Zeros at the front are read differently by different programs.
    static func addressComplaints(_ text: String) -> [String] {
        if isAddress(text) {
            let isMapped = text.contains(":") && bytes(text).map(isMappedIPv4) ?? false
            return isMapped ? ["must not be an IPv4-mapped IPv6 address"] : []
        }
        return isAddress(withoutZeros(text))
            ? ["must not have leading 0s"] : ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    }

    /// What is wrong with a text that is to be a range.
    static func rangeComplaints(_ text: String) -> [String] {
        guard isRange(text) else {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            let plain = parts.count == 2 ? "\(withoutZeros(String(parts[0])))/\(Int(parts[1]) ?? -1)" : ""
            return isRange(plain)
                ? ["must not have leading 0s in IP or prefix length"]
                : ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
        }
        guard let slash = text.firstIndex(of: "/"), let bytes = bytes(String(text[..<slash])),
            let bits = Int(text[text.index(after: slash)...])
        else { return [] }
        if isMappedIPv4(bytes) { return ["must not have an IPv4-mapped IPv6 address"] }
        let hasMore = (bits..<bytes.count * 8).contains { bytes[$0 / 8] & (0x80 >> UInt8($0 % 8)) != 0 }
        return hasMore ? ["must not have bits set beyond the prefix length"] : []
    }

    /// What is wrong with the address of an interface, an address with the bits of its network behind it; nil for nothing. It is
    /// written as this library writes it.
    static func interfaceComplaint(_ text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let address = withoutZeros(String(parts[0]))
        guard parts.count == 2, !text.utf8.contains(0), let bytes = bytes(address), parts[1].utf8.count < 5,
            !parts[1].isEmpty, parts[1].utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }), var bits = Int(parts[1]),
            bits <= bytes.count * 8
        else { return "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)" }
        let isMapped = isMappedIPv4(bytes)
        if isMapped, bits > 32 { bits -= 96 }
        let canonical = "\(self.text(isMapped ? Array(bytes[12...]) : bytes))/\(bits)"
        return canonical == text ? nil : "must be in canonical form (\"\(canonical)\")"
    }

    /// The text form of an address, given as it travels.
    private static func text(_ bytes: [UInt8]) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        _ = bytes.withUnsafeBytes {
            inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, $0.baseAddress, &buffer, socklen_t(buffer.count))
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func isMappedIPv4(_ bytes: [UInt8]) -> Bool {
        bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    }

    /// An address of IPv4 without the zeros at the front of its numbers; other texts as they are.
    private static func withoutZeros(_ text: String) -> String {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { $0.utf8.allSatisfy { $0 &- UInt8(ascii: "0") < 10 } ? UInt8($0) : nil }
        return parts.count == 4 && numbers.count == 4 ? numbers.map { "\($0)" }.joined(separator: ".") : text
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
