/// Reads the fields of a protobuf message in the order in which they lie. Fields that nobody asks for are skipped.
struct ProtobufReader {
    /// The message ends inside a field, or has a field of an unknown layout.
    struct Malformed: Error {}

    /// One field: its number, and its value as one or the other.
    struct Field {
        var number: Int
        /// Of a variable-length or fixed field.
        var bits: UInt64 = 0
        /// Of a sized field.
        var bytes: ArraySlice<UInt8> = []

        var integer: Int64 { Int64(bitPattern: bits) }
        var isTrue: Bool { bits != 0 }
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }
    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// Calls `body` with every field.
    static func forEach(
        _ bytes: ArraySlice<UInt8>, _ body: (Field) throws -> Void
    ) throws {
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() { try body(field) }
    }

    mutating func next() throws(Malformed) -> Field? {
        if rest.isEmpty { return nil }
        let tag = try variable()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29, let type = WireType(rawValue: tag & 7) else { throw Malformed() }
        var field = Field(number: Int(tag >> 3))
        switch type {
        case .variable: field.bits = try variable()
        case .fixed64: field.bits = try fixed(8)
        case .fixed32: field.bits = try fixed(4)
        case .sized:
            let size = try variable()
            guard size <= UInt64(rest.count) else { throw Malformed() }
            field.bytes = rest.prefix(Int(size))
            rest = rest.dropFirst(Int(size))
        }
        return field
    }

    private mutating func variable() throws(Malformed) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            guard let byte = rest.popFirst() else { throw Malformed() }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Malformed()
    }

    private mutating func fixed(_ count: Int) throws(Malformed) -> UInt64 {
        guard rest.count >= count else { throw Malformed() }
        var value: UInt64 = 0
        for (index, byte) in rest.prefix(count).enumerated() { value |= UInt64(byte) << UInt64(8 * index) }
        rest = rest.dropFirst(count)
        return value
    }
}
