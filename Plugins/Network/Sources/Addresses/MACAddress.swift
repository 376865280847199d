/// An Ethernet address.
struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    /// Six bytes, in the order in which they are written.
    let bytes: [UInt8]

    /// Takes six bytes; nil for any other number.
    init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.bytes = Array(bytes)
    }

    /// The locally administered address that belongs to a pod address: it stays the same across restarts, so that
    /// neighbour entries stay true.
    init(for address: IPv4Address) { bytes = [0x0a, 0x68] + address.bytes }

    var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
