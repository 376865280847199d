/// The chunked transfer coding (RFC 9112, section 7.1).
extension OutputQueue {
    /// Appends one chunk of the bytes; nothing when there are none, since an empty chunk is the last one.
    mutating func append(chunk bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        append { output in
            Self.writeSize(bytes.count, into: &output)
            output.append(contentsOf: bytes)
            Self.endLine(&output)
        }
    }

    /// The same of bytes that lie in several pieces.
    mutating func append(chunk segments: [[UInt8]]) {
        let size = segments.reduce(0) { $0 + $1.count }
        guard size > 0 else { return }
        append { output in
            Self.writeSize(size, into: &output)
            for segment in segments { output.append(contentsOf: segment) }
            Self.endLine(&output)
        }
    }

    /// Appends the chunk that ends the body, without a trailer.
    mutating func appendLastChunk() { append(Array("0\r\n\r\n".utf8)) }

    private static func writeSize(_ size: Int, into output: inout [UInt8]) {
        output.append(contentsOf: String(size, radix: 16).utf8)
        endLine(&output)
    }

    private static func endLine(_ output: inout [UInt8]) {
        output.append(0x0D)
        output.append(0x0A)
    }
}
