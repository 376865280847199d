/// Writes protobuf messages: fields with a default value are left out, as proto3 does.
/// See https://protobuf.dev/programming-guides/encoding.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    init() {}

    /// A message that `body` fills.
    static func message(_ body: (inout ProtobufWriter) -> Void) -> [UInt8] {
        var writer = ProtobufWriter()
        body(&writer)
        return writer.bytes
    }

    mutating func integer(_ field: Int, _ value: Int64) {
        if value == 0 { return }
        tag(field, .variable)
        variable(UInt64(bitPattern: value))
    }

    /// A member of a `oneof`, which is there also with the default value.
    mutating func explicit(_ field: Int, _ value: Int64) {
        tag(field, .variable)
        variable(UInt64(bitPattern: value))
    }

    mutating func flag(_ field: Int, _ value: Bool) { integer(field, value ? 1 : 0) }

    mutating func bytes(_ field: Int, _ value: some Collection<UInt8>) {
        if value.isEmpty { return }
        embedded(field, value)
    }

    /// A message inside, also when it is empty.
    mutating func message(_ field: Int, _ body: (inout ProtobufWriter) -> Void) {
        embedded(field, ProtobufWriter.message(body))
    }

    private mutating func embedded(_ field: Int, _ value: some Collection<UInt8>) {
        tag(field, .sized)
        variable(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    private mutating func tag(_ field: Int, _ type: WireType) { variable(UInt64(field) << 3 | type.rawValue) }

    private mutating func variable(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}

/// How a field's value is laid out.
enum WireType: UInt64 {
    case variable = 0
    case fixed64 = 1
    case sized = 2
    case fixed32 = 5
}
