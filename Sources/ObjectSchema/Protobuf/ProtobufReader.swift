/// A malformed protobuf message.
public struct ProtobufError: Error, Sendable, CustomStringConvertible {
    public let description: String
}

/// Reads the fields of one message (Protocol Buffers, "Encoding").
struct ProtobufReader {
    enum Value {
        case number(UInt64)
        case bytes(Slice<UnsafeRawBufferPointer>)
    }
    private var rest: Slice<UnsafeRawBufferPointer>

    init(_ bytes: Slice<UnsafeRawBufferPointer>) { rest = bytes }

    /// The next field, nil at the end.
    mutating func next() throws(ProtobufError) -> (number: UInt64, value: Value)? {
        if rest.isEmpty { return nil }
        let key = try varint()
        switch key & 7 {
        case 0: return (key >> 3, .number(try varint()))
        case 1: return (key >> 3, .bytes(try take(8)))
        case 2: return (key >> 3, .bytes(try take(try varint())))
        case 5: return (key >> 3, .bytes(try take(4)))
        default: throw ProtobufError(description: "wire type \(key & 7) at offset \(rest.startIndex) is not supported")
        }
    }

    private mutating func varint() throws(ProtobufError) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = rest.popFirst() else {
                throw ProtobufError(description: "the message ends within a number")
            }
            result |= UInt64(byte & 0x7f) << UInt64(shift)
            if byte < 0x80 { return result }
        }
        throw ProtobufError(description: "a number at offset \(rest.startIndex) is longer than 64 bits")
    }

    private mutating func take(_ count: UInt64) throws(ProtobufError) -> Slice<UnsafeRawBufferPointer> {
        guard count <= UInt64(rest.count) else {
            throw ProtobufError(
                description: "a field at offset \(rest.startIndex) has \(count) bytes, \(rest.count) are left")
        }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }
}
