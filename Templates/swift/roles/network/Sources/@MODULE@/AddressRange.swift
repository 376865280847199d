/// An IPv4 range such as 10.200.0.0/24.
struct AddressRange: CustomStringConvertible {
    /// The network's address.
    let first: UInt32
    let prefix: Int

    init(first: UInt32, prefix: Int) {
        self.first = first & ~UInt32((UInt64(1) << (32 - prefix)) - 1)
        self.prefix = prefix
    }

    /// nil for what is not an IPv4 range from /8 to /29.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let prefix = Int(parts[1]), (8...29).contains(prefix) else { return nil }
        let bytes = parts[0].split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard bytes.count == 4, !bytes.contains(nil) else { return nil }
        self.init(first: bytes.reduce(0) { $0 << 8 | UInt32($1 ?? 0) }, prefix: prefix)
    }

    /// Offsets that pods may have: 0 is the network, 1 the gateway, the last one the broadcast address.
    var usable: Range<UInt32> { 2..<(UInt32(1) << (32 - prefix)) - 1 }

    func address(_ offset: UInt32) -> String {
        let address = first + offset
        return [24, 16, 8, 0].map { String(address >> $0 & 255) }.joined(separator: ".")
    }

    var description: String { "\(address(0))/\(prefix)" }
}
