import CZlib

/// Compressed answers (RFC 9110, section 8.4.1.3): as in Kubernetes only large ones, quickly rather than well.
enum GzipCoding {
    /// An answer of more bytes is compressed for clients that take it.
    static let threshold = 128 << 10
    private static let step = 64 << 10

    /// Whether an Accept-Encoding header takes gzip.
    static func isAccepted(_ header: String?) -> Bool {
        guard let header else { return false }
        let codings = MediaRange.all(header)
        let named = codings.first { $0.type == "gzip" || $0.type == "x-gzip" } ?? codings.first { $0.type == "*" }
        return named.map { !$0.isRefused } ?? false
    }

    /// Compresses `bytes`; nil when there is no memory for it. Takes a few milliseconds for a megabyte: not on an event loop.
    static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        // A window of 32 KiB (2^15) in gzip's own wrapping (16), and the memory that is usual for it.
        guard
            deflateInit2_(
                stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { return nil }
        defer { deflateEnd(stream) }
        var output: [UInt8] = []
        let piece = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: step)
        defer { piece.deallocate() }
        return bytes.withUnsafeBufferPointer { input in
            var taken = 0
            var status = Z_OK
            while status != Z_STREAM_END {
                if stream.pointee.avail_in == 0, taken < input.count {
                    let count = min(input.count - taken, 1 << 30)
                    stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress).map { $0 + taken }
                    stream.pointee.avail_in = UInt32(count)
                    taken += count
                }
                stream.pointee.next_out = piece.baseAddress
                stream.pointee.avail_out = UInt32(step)
                status = deflate(stream, taken == input.count ? Z_FINISH : Z_NO_FLUSH)
                guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else { return nil }
                output.append(contentsOf: piece[..<(step - Int(stream.pointee.avail_out))])
            }
            return output
        }
    }
}
