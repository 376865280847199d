import CZlib

/// Names and values of a stream's headers, as SPDY carries them: compressed, by one dictionary and one zlib stream for each
/// direction of a connection. Confined to its connection's thread.
final class SPDYHeaderReader {
    /// Most bytes and most pairs of one block of headers.
    static let sizeLimit = 16 * 1024
    static let countLimit = 64

    private let stream: UnsafeMutablePointer<z_stream>

    init() throws(SPDYError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard inflateInit_(stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            stream.deallocate()
            throw SPDYError("zlib has no memory")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// The pairs of a compressed block, names as they were sent: SPDY has them in lower case.
    func read(_ compressed: UnsafeRawBufferPointer) throws(SPDYError) -> [(name: String, value: String)] {
        try Self.pairs(try inflated(compressed))
    }

    private func inflated(_ compressed: UnsafeRawBufferPointer) throws(SPDYError) -> [UInt8] {
        var failure: SPDYError?
        let limit = Self.sizeLimit
        let output = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: compressed.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(compressed.count)
            stream.pointee.next_out = buffer.baseAddress
            stream.pointee.avail_out = UInt32(limit)
            failure = inflateAll()
            count = limit - Int(stream.pointee.avail_out)
        }
        if let failure { throw failure }
        return output
    }

    private func inflateAll() -> SPDYError? {
        while stream.pointee.avail_in > 0 {
            switch inflate(stream, Z_SYNC_FLUSH) {
            case Z_OK: if stream.pointee.avail_out == 0 { return SPDYError("a block of headers is too long") }
            case Z_NEED_DICT:
                let dictionary = SPDYDictionary.bytes
                guard inflateSetDictionary(stream, dictionary, UInt32(dictionary.count)) == Z_OK else {
                    return SPDYError("the headers are compressed against another dictionary")
                }
            default: return SPDYError("the headers cannot be decompressed")
            }
        }
        return nil
    }

    /// Pure: a count, then for each pair two texts with their lengths before them.
    static func pairs(_ bytes: [UInt8]) throws(SPDYError) -> [(name: String, value: String)] {
        var position = 0
        func number() throws(SPDYError) -> Int {
            guard position + 4 <= bytes.count else { throw SPDYError("a block of headers is cut off") }
            defer { position += 4 }
            return bytes[position..<(position + 4)].reduce(0) { $0 << 8 | Int($1) }
        }
        func text() throws(SPDYError) -> String {
            let count = try number()
            guard count <= bytes.count - position else { throw SPDYError("a block of headers is cut off") }
            defer { position += count }
            guard let text = String(validating: bytes[position..<(position + count)], as: UTF8.self) else {
                throw SPDYError("a header is not UTF-8")
            }
            return text
        }
        let count = try number()
        guard count <= countLimit else { throw SPDYError("a stream has more than \(countLimit) headers") }
        var pairs: [(name: String, value: String)] = []
        for _ in 0..<count {
            let name = try text()
            pairs.append((name, try text()))
        }
        return pairs
    }
}

/// Compresses blocks of headers for a client, or, in tests, for a server.
final class SPDYHeaderWriter {
    private let stream: UnsafeMutablePointer<z_stream>

    init() throws(SPDYError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let dictionary = SPDYDictionary.bytes
        // A window of 2 KiB (2^11) and little memory: what this server sends is an empty block for each stream.
        guard
            deflateInit2_(
                stream, Z_BEST_SPEED, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)) == Z_OK,
            deflateSetDictionary(stream, dictionary, UInt32(dictionary.count)) == Z_OK
        else {
            stream.deallocate()
            throw SPDYError("zlib has no memory")
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// One block, complete on its own for who has read those before it.
    func write(_ pairs: [(name: String, value: String)]) -> [UInt8] {
        var plain: [UInt8] = []
        SPDYFrame.append(UInt32(pairs.count), to: &plain)
        for pair in pairs {
            for text in [pair.name, pair.value] {
                SPDYFrame.append(UInt32(text.utf8.count), to: &plain)
                plain += text.utf8
            }
        }
        let capacity = Int(deflateBound(stream, UInt(plain.count))) + 64
        return plain.withUnsafeMutableBufferPointer { input in
            [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = UInt32(capacity)
                // With room for the bound and a flush's marker, deflate takes all of the input in one call.
                let status = deflate(stream, Z_SYNC_FLUSH)
                precondition(status == Z_OK && stream.pointee.avail_in == 0)
                count = capacity - Int(stream.pointee.avail_out)
            }
        }
    }
}
