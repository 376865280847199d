/// An Ethernet address.
package struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    /// Six bytes, in the order in which they are written.
    package let bytes: [UInt8]

    /// Takes six bytes; nil for any other number.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.bytes = Array(bytes)
    }

    /// The locally administered address that belongs to a pod address: it stays the same across restarts, so that
    /// neighbour entries stay true.
    package init(for address: IPv4Address) { bytes = [0x0a, 0x68] + address.bytes }

    /// Parses six pairs of hexadecimal digits with colons between them; nil for anything else.
    package init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6, parts.allSatisfy({ $0.utf8.count == 2 }) else { return nil }
        let bytes = parts.compactMap { $0.first == "+" ? nil : UInt8($0, radix: 16) }
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
