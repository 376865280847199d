/// The head of a request: its raw bytes once, and the ranges of its parts in them.
///
/// Strings are made only when asked for; look-ups of headers compare bytes, without regard to case.
struct HTTPRequestHead: Sendable {
    struct Field: Sendable {
        var name: Range<Int>
        var value: Range<Int>
    }

    var bytes: [UInt8]
    var methodRange: Range<Int>
    var targetRange: Range<Int>
    var minorVersion: Int
    var fields: [Field]
    /// The body's length as announced; nil when there is no Content-Length.
    var contentLength: Int?
    var isChunked = false
    var keepsAlive = true
    var expectsContinue = false

    var method: String { string(methodRange) }
    /// Whether the response must have no body.
    var isHead: Bool {
        let start = methodRange.lowerBound
        guard methodRange.count == 4, bytes[start] == UInt8(ascii: "H") else { return false }
        return bytes[start + 1] == UInt8(ascii: "E") && bytes[start + 2] == UInt8(ascii: "A")
            && bytes[start + 3] == UInt8(ascii: "D")
    }
    /// The request target in origin form, query included.
    var target: String { string(targetRange) }
    var targetBytes: ArraySlice<UInt8> { bytes[targetRange] }

    /// The first value of a header, surrounding blanks removed; nil when absent. `name` is given in lower case.
    func header(_ name: StaticString) -> String? {
        field(name).map { string($0.value) }
    }

    /// All values of a header, in order.
    func headers(_ name: StaticString) -> [String] {
        fields.filter { matches($0.name, name) }.map { string($0.value) }
    }

    /// All headers as lower-case names with their values, in order.
    var allHeaders: [(name: String, value: String)] {
        fields.map { (string($0.name).lowercased(), string($0.value)) }
    }

    func field(_ name: StaticString) -> Field? {
        fields.first { matches($0.name, name) }
    }

    func string(_ range: Range<Int>) -> String {
        bytes.withUnsafeBytes { String(decoding: UnsafeRawBufferPointer(rebasing: $0[range]), as: UTF8.self) }
    }

    /// Whether a header's name is this one, in lower case.
    func matches(_ range: Range<Int>, _ name: StaticString) -> Bool {
        guard range.count == name.utf8CodeUnitCount else { return false }
        return bytes.withUnsafeBytes { bytes in
            for offset in 0..<range.count
            where Self.lowercased(bytes[range.lowerBound + offset]) != name.utf8Start[offset] {
                return false
            }
            return true
        }
    }

    /// Whether a header's name begins with a text in lower case.
    func begins(_ range: Range<Int>, _ prefix: StaticString) -> Bool {
        let size = prefix.utf8CodeUnitCount
        return range.count >= size && matches(range.lowerBound..<range.lowerBound + size, prefix)
    }

    /// Whether a comma-separated header holds a token, without regard to case.
    static func list(_ value: String, contains token: String) -> Bool {
        value.split(separator: ",").contains { part in
            let trimmed = part.utf8.drop { $0 == 0x20 || $0 == 0x09 }
            var end = trimmed.endIndex
            while end > trimmed.startIndex {
                let previous = trimmed.index(before: end)
                guard trimmed[previous] == 0x20 || trimmed[previous] == 0x09 else { break }
                end = previous
            }
            return trimmed[..<end].map(lowercased) == token.utf8.map(lowercased)
        }
    }

    @inline(__always) static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
}
