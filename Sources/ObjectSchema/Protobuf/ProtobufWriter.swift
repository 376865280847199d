/// Writes protobuf messages (https://protobuf.dev/programming-guides/encoding/).
public struct ProtobufWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func string(_ number: UInt64, _ text: String) {
        tag(number, 2)
        varint(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    public mutating func data(_ number: UInt64, _ data: [UInt8]) {
        tag(number, 2)
        varint(UInt64(data.count))
        bytes.append(contentsOf: data)
    }

    /// A negative number is given as the bits of its 64-bit form.
    public mutating func integer(_ number: UInt64, _ value: UInt64) {
        tag(number, 0)
        varint(value)
    }

    /// A number in its eight bytes, the lowest first.
    mutating func double(_ number: UInt64, _ value: Double) {
        tag(number, 1)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
        }
    }

    /// A message within this one; `write` writes its fields.
    public mutating func message<Failure: Error>(
        _ number: UInt64, _ write: (inout ProtobufWriter) throws(Failure) -> Void
    ) throws(Failure) {
        tag(number, 2)
        let start = bytes.count
        bytes.append(0)
        try write(&self)
        // The size goes before what has been written; most messages are short enough for one byte.
        let size = bytes.count - start - 1
        if size < 0x80 {
            bytes[start] = UInt8(size)
        } else {
            var prefix = ProtobufWriter()
            prefix.varint(UInt64(size))
            bytes.replaceSubrange(start...start, with: prefix.bytes)
        }
    }

    /// Takes back what was written after the first `count` bytes.
    mutating func truncate(to count: Int) { bytes.removeSubrange(count...) }

    /// Room for so many bytes.
    mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

    private mutating func tag(_ number: UInt64, _ type: UInt64) { varint(number << 3 | type) }

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7F) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}
