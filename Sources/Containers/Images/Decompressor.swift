import CZlib
import CZstd
import PluginKit

/// Undoes gzip or zstd compression, recognised by its first bytes; anything else passes unchanged.
enum Decompressor {
    static func source(over source: any ByteSource, name: String) throws(PluginError) -> any ByteSource {
        let peeked = try PeekedSource(source)
        switch peeked.head {
        case let head where head.starts(with: [0x1f, 0x8b]): return try GzipSource(peeked, name: name)
        case let head where head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]): return try ZstdSource(peeked, name: name)
        case let head where head.count == 4 && head[1...] == [0x2a, 0x4d, 0x18] && head[0] & 0xf0 == 0x50:
            return try ZstdSource(peeked, name: name)
        case let head where head.starts(with: [0x42, 0x5a, 0x68]) || head.starts(with: [0xfd, 0x37, 0x7a, 0x58]):
            throw .invalid(
                "\(name) is compressed with bzip2 or xz; hostd reads tar, gzip and zstd: compress it again with one of these"
            )
        default: return peeked
        }
    }
}

/// A source whose first bytes have been looked at already.
private final class PeekedSource: ByteSource {
    private(set) var head: [UInt8] = []
    private var given = 0
    private let source: any ByteSource

    init(_ source: any ByteSource) throws(PluginError) {
        self.source = source
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
        defer { buffer.deallocate() }
        while head.count < 4 {
            let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<4 - head.count]))
            if count == 0 { break }
            head += buffer[0..<count]
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int {
        if given == head.count { return try source.read(into: buffer) }
        let count = min(buffer.count, head.count - given)
        buffer.copyBytes(from: head[given..<given + count])
        given += count
        return count
    }
}

private let inputSize = 65_536

/// gzip (RFC 1952), also of several members.
private final class GzipSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: inputSize, alignment: 16)
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var isInsideMember = false
    private var isAtEnd = false

    init(_ source: any ByteSource, name: String) throws(PluginError) {
        self.source = source
        self.name = name
        stream.initialize(to: z_stream())
        let windowBitsWithGzipHeader: Int32 = 15 + 16
        guard inflateInit2_(stream, windowBitsWithGzipHeader, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else {
            throw .exhausted("no memory to decompress \(name)")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int {
        stream.pointee.next_out = buffer.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_out = UInt32(min(buffer.count, Int(UInt32.max)))
        let wanted = stream.pointee.avail_out
        while !isAtEnd, stream.pointee.avail_out == wanted {
            if stream.pointee.avail_in == 0 {
                let count = try source.read(into: input)
                if count == 0 {
                    if isInsideMember { throw .invalid("\(name) is truncated: its gzip stream ends too early") }
                    isAtEnd = true
                    break
                }
                stream.pointee.next_in = input.bindMemory(to: UInt8.self).baseAddress
                stream.pointee.avail_in = UInt32(count)
            }
            isInsideMember = true
            switch inflate(stream, Z_NO_FLUSH) {
            case Z_OK, Z_BUF_ERROR: continue
            case Z_STREAM_END:
                inflateReset(stream)
                isInsideMember = false
            default: throw .invalid("\(name) is damaged: its gzip stream cannot be decompressed")
            }
        }
        return Int(wanted - stream.pointee.avail_out)
    }
}

/// Zstandard (RFC 8878), also of several frames.
private final class ZstdSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: inputSize, alignment: 16)
    private let stream: OpaquePointer
    private var pending = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
    private var isInsideFrame = false

    init(_ source: any ByteSource, name: String) throws(PluginError) {
        self.source = source
        self.name = name
        guard let stream = ZSTD_createDCtx() else { throw .exhausted("no memory to decompress \(name)") }
        self.stream = stream
    }

    deinit {
        ZSTD_freeDCtx(stream)
        input.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while output.pos == 0 {
            if pending.pos == pending.size {
                let count = try source.read(into: input)
                if count == 0 {
                    if isInsideFrame { throw .invalid("\(name) is truncated: its zstd stream ends too early") }
                    return 0
                }
                pending = ZSTD_inBuffer(src: UnsafeRawPointer(input.baseAddress), size: count, pos: 0)
            }
            let result = ZSTD_decompressStream(stream, &output, &pending)
            if ZSTD_isError(result) != 0 {
                throw .invalid("\(name) is damaged: \(String(cString: ZSTD_getErrorName(result)))")
            }
            isInsideFrame = result != 0
        }
        return output.pos
    }
}
