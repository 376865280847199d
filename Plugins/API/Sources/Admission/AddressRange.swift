import Glibc

/// A range of IPv4 addresses in CIDR form.
struct AddressRange: Sendable, Equatable {
    let base: UInt32
    let bits: Int

    /// Reads "10.96.0.0/16"; nil when it is none.
    init?(parsing text: String) {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let bits = Int(parts[1]), (1...30).contains(bits),
            let address = Self.number(String(parts[0]))
        else { return nil }
        self.bits = bits
        base = address & ~(UInt32.max >> UInt32(bits))
    }

    var size: UInt32 { UInt32.max >> UInt32(bits) }
    /// The address at an offset from the base.
    func address(_ offset: UInt32) -> String { Self.text(base &+ offset) }
    var first: String { address(1) }

    func contains(_ text: String) -> Bool {
        guard let number = Self.number(text) else { return false }
        return number > base && number < base + size
    }

    static func number(_ text: String) -> UInt32? {
        guard let bytes = SocketAddress.bytes(of: text), bytes.count == 4 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func text(_ number: UInt32) -> String {
        "\(number >> 24 & 255).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
    }
}
