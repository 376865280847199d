import Objects

/// The uid of an object. Nearly all are UUIDs in lower case (RFC 9562), which take 16 bytes, are compared as two numbers and
/// need no memory of their own; others are kept as they are.
enum ObjectUID: Hashable, Sendable {
    case uuid(UInt64, UInt64)
    case other(String)

    init(_ text: String) {
        var text = text
        self = text.withUTF8 { Self.uuid(UnsafeRawBufferPointer($0)) } ?? .other(text)
    }

    /// Reads a UUID; nil when the bytes are none, or are written otherwise than `text` writes them.
    static func uuid(_ bytes: UnsafeRawBufferPointer) -> ObjectUID? {
        guard bytes.count == 36 else { return nil }
        var halves = (UInt64(0), UInt64(0))
        for position in 0..<36 {
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard bytes[position] == UInt8(ascii: "-") else { return nil }
                continue
            }
            let digit: UInt8
            switch bytes[position] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = bytes[position] - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = bytes[position] - UInt8(ascii: "a") + 10
            default: return nil
            }
            if position < 18 {
                halves.0 = halves.0 << 4 | UInt64(digit)
            } else {
                halves.1 = halves.1 << 4 | UInt64(digit)
            }
        }
        return .uuid(halves.0, halves.1)
    }

    /// As it stands in the object.
    var text: String {
        switch self {
        case .other(let text): text
        case .uuid(let high, let low): uuidText(high, low)
        }
    }
}
