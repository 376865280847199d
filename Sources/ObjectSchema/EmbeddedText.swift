import CObjectSchema
import Glibc

/// A constant text in the image, read line by line without copies.
struct EmbeddedText: @unchecked Sendable {
    // SAFETY: the bytes are constant data of the image, which is never unmapped.
    let bytes: UnsafeBufferPointer<UInt8>

    init(_ text: hostd_embedded_text) {
        bytes = UnsafeBufferPointer(start: text.bytes, count: Int(text.size))
    }

    /// The end of the line that begins at an offset: that of its newline, or of the text.
    func lineEnd(from offset: Int) -> Int {
        guard let base = bytes.baseAddress,
            let found = memchr(base + offset, Int32(UInt8(ascii: "\n")), bytes.count - offset)
        else { return bytes.count }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }

    func string(_ start: Int, _ end: Int) -> String {
        String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// Calls `body` with each line that is neither empty nor a comment, without its newline.
    func forEachLine(_ body: (_ offset: Int, _ line: Slice<UnsafeBufferPointer<UInt8>>) -> Void) {
        var offset = 0
        while offset < bytes.count {
            let end = lineEnd(from: offset)
            if end > offset, bytes[offset] != UInt8(ascii: "#") { body(offset, bytes[offset..<end]) }
            offset = end + 1
        }
    }
}

extension Slice<UnsafeBufferPointer<UInt8>> {
    var text: String { String(decoding: self, as: UTF8.self) }

    /// The parts between separators, empty ones included.
    func parts(_ separator: Character = "|") -> [String] {
        guard let byte = separator.asciiValue else { return [text] }
        return split(separator: byte, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}
