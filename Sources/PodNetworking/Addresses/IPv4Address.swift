/// An IPv4 address.
public struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// In the machine's byte order: 10.0.0.1 is 0x0a000001.
    public let value: UInt32

    /// Wraps a number in the machine's byte order.
    public init(_ value: UInt32) { self.value = value }

    /// Parses dotted decimal: four numbers from 0 to 255 without leading zeros; nil for anything else.
    public init?(parsing text: some StringProtocol) {
        var value: UInt32 = 0
        var parts = 0
        for part in text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard let number = Self.decimal(part), parts < 4 else { return nil }
            value = value << 8 | number
            parts += 1
        }
        guard parts == 4 else { return nil }
        self.value = value
    }

    private static func decimal(_ digits: some Collection<UInt8>) -> UInt32? {
        guard let first = digits.first, digits.count <= 3 else { return nil }
        if first == UInt8(ascii: "0") && digits.count > 1 { return nil }
        var number: UInt32 = 0
        for digit in digits {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            number = number * 10 + UInt32(digit - UInt8(ascii: "0"))
        }
        return number <= 255 ? number : nil
    }

    /// The four bytes as they travel.
    public var bytes: [UInt8] {
        [
            UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16),
            UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value),
        ]
    }

    /// Whether it lies in 127.0.0.0/8.
    public var isLoopback: Bool { value >> 24 == 127 }

    public var description: String { "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)" }

    public static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.value < right.value }
}

/// A block of IPv4 addresses in CIDR notation.
public struct IPv4Range: Hashable, Sendable, CustomStringConvertible {
    /// The first address of the block, host bits zero.
    public let network: IPv4Address
    /// Leading bits that are fixed, 0 to 32.
    public let prefixLength: Int

    /// The block of the given size around an address.
    public init(around address: IPv4Address, prefixLength: Int) {
        self.prefixLength = prefixLength
        self.network = IPv4Address(address.value & Self.mask(prefixLength))
    }

    /// Parses "10.244.0.0/24"; nil when malformed or when host bits are set.
    public init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(parsing: parts[0]), let length = Int(parts[1]),
            (0...32).contains(length), String(length) == parts[1]
        else { return nil }
        self.init(around: address, prefixLength: length)
        guard network == address else { return nil }
    }

    private static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : ~UInt32(0) << UInt32(32 - length) }

    /// Number of addresses in the block.
    public var count: Int { 1 << (32 - prefixLength) }

    /// The last address: a subnet's broadcast address.
    public var last: IPv4Address { IPv4Address(network.value | ~Self.mask(prefixLength)) }

    /// The address at a distance from the first one.
    public func address(at offset: Int) -> IPv4Address {
        IPv4Address(network.value &+ UInt32(truncatingIfNeeded: offset))
    }

    public func contains(_ address: IPv4Address) -> Bool { address.value & Self.mask(prefixLength) == network.value }

    /// Whether the two blocks share an address.
    public func overlaps(_ other: IPv4Range) -> Bool { contains(other.network) || other.contains(network) }

    public var description: String { "\(network)/\(prefixLength)" }
}
