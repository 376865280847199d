import Glibc

/// An IPv4 address as a number.
struct IPv4Address: Equatable, CustomStringConvertible {
    var bits: UInt32

    /// Strict dotted decimal: four numbers without leading zeros.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        bits = 0
        for part in parts {
            guard let value = decimal(part, below: 256) else { return nil }
            bits = bits << 8 | UInt32(value)
        }
    }

    init(bits: UInt32) { self.bits = bits }

    var description: String { "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)" }
}

/// A range of IPv4 addresses, "10.244.0.0/24".
struct IPv4Range: Equatable, CustomStringConvertible {
    var network: IPv4Address
    var prefixLength: Int

    enum Failure: Error, Equatable {
        case notARange
        /// The address has bits behind the prefix; `proper` has none.
        case hostBits(proper: IPv4Range)
    }

    init(_ text: String) throws(Failure) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(String(parts[0])), let length = decimal(parts[1], below: 33)
        else { throw .notARange }
        self.init(network: address, prefixLength: length)
        let proper = IPv4Address(bits: address.bits & mask)
        if proper != address { throw .hostBits(proper: IPv4Range(network: proper, prefixLength: length)) }
    }

    private init(network: IPv4Address, prefixLength: Int) {
        self.network = network
        self.prefixLength = prefixLength
    }

    private var mask: UInt32 { prefixLength == 0 ? 0 : UInt32.max << (32 - UInt32(prefixLength)) }

    func contains(_ address: IPv4Address) -> Bool { address.bits & mask == network.bits }

    func overlaps(_ other: IPv4Range) -> Bool { contains(other.network) || other.contains(network) }

    var description: String { "\(network)/\(prefixLength)" }
}

/// "ADDRESS:PORT" with a numeric address, IPv6 in brackets.
struct ListenAddress: Equatable {
    var address: String
    var port: UInt16

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = decimal(text[text.index(after: colon)...], below: 65536), port > 0
        else { return nil }
        var address = String(text[..<colon])
        if address.hasPrefix("["), address.hasSuffix("]") {
            address = String(address.dropFirst().dropLast())
            var storage = in6_addr()
            guard inet_pton(AF_INET6, address, &storage) == 1 else { return nil }
        } else if IPv4Address(address) == nil {
            return nil
        }
        self.address = address
        self.port = UInt16(port)
    }
}

/// A decimal number without sign or leading zeros.
private func decimal(_ text: Substring, below limit: Int) -> Int? {
    let digits = text.utf8
    guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ (0x30...0x39).contains($0) }),
        digits.count == 1 || digits.first != 0x30, let value = Int(text), value < limit
    else { return nil }
    return value
}
