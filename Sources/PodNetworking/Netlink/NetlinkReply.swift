/// One message from the kernel: its type and what follows the netlink header.
struct NetlinkReply: Sendable {
    let type: UInt16
    let payload: [UInt8]

    /// A number in the machine's byte order at an offset of the payload; nil past its end.
    func number<Number: FixedWidthInteger>(at offset: Int, as: Number.Type = Number.self) -> Number? {
        payload.dropFirst(offset).number()
    }

    /// The attributes that follow a fixed head of `headSize` bytes.
    func attributes(after headSize: Int) -> NetlinkAttributes { NetlinkAttributes(payload.dropFirst(headSize)) }
}

/// The attributes of a message or of a nested attribute. Of one type that occurs twice the last counts. Lengths that
/// do not fit end the reading: nothing outside of the bytes given is touched.
struct NetlinkAttributes {
    private var values: [UInt16: ArraySlice<UInt8>] = [:]

    init(_ bytes: ArraySlice<UInt8>) {
        var values: [UInt16: ArraySlice<UInt8>] = [:]
        Self.each(in: bytes) { values[$0] = $1 }
        self.values = values
    }

    /// Calls `body` with type and content of each attribute: for lists, whose entries are all of one type.
    static func each(in bytes: ArraySlice<UInt8>, _ body: (UInt16, ArraySlice<UInt8>) -> Void) {
        var rest = bytes
        while let length = rest.number(as: UInt16.self), let type = rest.dropFirst(2).number(as: UInt16.self),
            length >= 4, Int(length) <= rest.count
        {
            body(type & NetlinkAttributeBit.NLA_TYPE_MASK, rest.dropFirst(4).prefix(Int(length) - 4))
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
    }

    subscript(type: UInt16) -> ArraySlice<UInt8>? { values[type] }

    func number<Number: FixedWidthInteger>(_ type: UInt16, as: Number.Type = Number.self) -> Number? {
        values[type]?.number()
    }

    /// A text, up to its terminating zero.
    func text(_ type: UInt16) -> String? {
        values[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    func nested(_ type: UInt16) -> NetlinkAttributes? { values[type].map { NetlinkAttributes($0) } }

    /// An IPv4 address.
    func address(_ type: UInt16) -> IPv4Address? {
        guard let bytes = values[type], bytes.count == 4, let number: UInt32 = bytes.number() else { return nil }
        return IPv4Address(UInt32(bigEndian: number))
    }
}

extension ArraySlice<UInt8> {
    /// The number at the front, in the machine's byte order; nil when there are too few bytes.
    func number<Number: FixedWidthInteger>(as: Number.Type = Number.self) -> Number? {
        guard count >= MemoryLayout<Number>.size else { return nil }
        return withUnsafeBytes { $0.loadUnaligned(as: Number.self) }
    }
}
