import Objects

/// An IP address of an expression: 4 or 16 bytes.
struct CELAddress: CELOpaque, Hashable {
    static let typeName = "net.IP"
    let bytes: [UInt8]

    var typeName: String { Self.typeName }
    var isIPv4: Bool { bytes.count == 4 }
    var size: UInt64 { UInt64(bytes.count) }

    init(bytes: [UInt8]) { self.bytes = bytes }

    func equals(_ other: any CELOpaque) -> Bool { (other as? CELAddress)?.bytes == bytes }

    /// - Throws: a text that is no address; zones, and IPv4 addresses within IPv6, are refused as Kubernetes does.
    init(parsing text: String) throws(CELError) {
        let isIPv6 = text.utf8.contains(UInt8(ascii: ":"))
        guard !text.utf8.contains(UInt8(ascii: "%")) else {
            throw CELError("IP address \"\(text)\" with zone value is not allowed")
        }
        guard let bytes = isIPv6 ? Self.sixteen(text) : Self.four(text) else {
            throw CELError("IP Address \"\(text)\" parse error during conversion from string: unable to parse IP")
        }
        if bytes.count == 16, bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
            throw CELError("IPv4-mapped IPv6 address \"\(text)\" is not allowed")
        }
        self.bytes = bytes
    }

    private static func four(_ text: some StringProtocol) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            // Leading zeros could be read as octal.
            guard part.utf8.allSatisfy({ $0 &- 0x30 < 10 }), part.count == 1 || part.first != "0",
                let byte = UInt8(part)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func sixteen(_ text: String) -> [UInt8]? {
        let halves = text.parts(separatedBy: "::")
        guard halves.count <= 2, let head = groups(halves[0], mayEndInFour: halves.count == 1) else { return nil }
        guard halves.count == 2 else { return head.count == 16 ? head : nil }
        guard let tail = groups(halves[1], mayEndInFour: true), head.count + tail.count <= 14 else { return nil }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring, mayEndInFour: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if part.contains("."), index == parts.count - 1, mayEndInFour {
                guard let four = four(part) else { return nil }
                bytes += four
                continue
            }
            guard (1...4).contains(part.utf8.count), !part.hasPrefix("+"), !part.hasPrefix("-"),
                let group = UInt16(part, radix: 16)
            else { return nil }
            bytes += [UInt8(group >> 8), UInt8(truncatingIfNeeded: group)]
        }
        return bytes
    }

    /// The canonical text (RFC 5952).
    var text: String? { description }

    var description: String {
        if isIPv4 { return bytes.map { String($0) }.joined(separator: ".") }
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        func joined(_ range: Range<Int>) -> String {
            groups[range].map { String($0, radix: 16) }.joined(separator: ":")
        }
        return best.isEmpty ? joined(0..<8) : joined(0..<best.lowerBound) + "::" + joined(best.upperBound..<8)
    }

    var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
    var isLoopback: Bool { isIPv4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1 }
    var isMulticast: Bool { isIPv4 ? bytes[0] & 0xF0 == 0xE0 : bytes[0] == 0xFF }
    var isLinkLocalMulticast: Bool {
        isIPv4 ? bytes.prefix(3) == [224, 0, 0] : bytes[0] == 0xFF && bytes[1] & 0x0F == 2
    }
    var isLinkLocalUnicast: Bool {
        isIPv4 ? bytes.prefix(2) == [169, 254] : bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80
    }
    var isGlobalUnicast: Bool {
        !isUnspecified && !isLoopback && !isMulticast && !isLinkLocalUnicast && bytes != [255, 255, 255, 255]
    }
}

/// A range of addresses of an expression.
struct CELRange: CELOpaque, Hashable {
    static let typeName = "net.CIDR"
    let address: CELAddress
    let prefixLength: Int

    var typeName: String { Self.typeName }
    var text: String? { "\(address.description)/\(prefixLength)" }
    /// The bytes of the prefix.
    var size: UInt64 { UInt64((prefixLength + 7) / 8) }

    func equals(_ other: any CELOpaque) -> Bool { (other as? CELRange) == self }

    init(address: CELAddress, prefixLength: Int) {
        self.address = address
        self.prefixLength = prefixLength
    }

    init(parsing text: String) throws(CELError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let failure = CELError("network address parse error during conversion from string: \"\(text)\" is no CIDR")
        guard parts.count == 2, let address = try? CELAddress(parsing: String(parts[0])), let length = Int(parts[1]),
            parts[1].utf8.allSatisfy({ $0 &- 0x30 < 10 }), parts[1].count == 1 || !parts[1].hasPrefix("0"),
            length <= address.bytes.count * 8
        else { throw failure }
        self.init(address: address, prefixLength: length)
    }

    /// The range with its address' other bits cleared.
    var masked: CELRange {
        let bytes = address.bytes.enumerated().map { index, byte in
            byte & (UInt8.max << UInt8(8 - min(max(prefixLength - 8 * index, 0), 8)))
        }
        return CELRange(address: CELAddress(bytes: bytes), prefixLength: prefixLength)
    }

    func contains(_ other: CELAddress) -> Bool {
        other.isIPv4 == address.isIPv4
            && CELRange(address: other, prefixLength: prefixLength).masked.address == masked.address
    }

    func contains(_ other: CELRange) -> Bool { prefixLength <= other.prefixLength && contains(other.address) }
}
