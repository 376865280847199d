import Glibc
import PluginKit

/// Bytes that come one after another: a file, a decompressor over it, a bound around that.
protocol ByteSource: AnyObject {
    /// Fills a part of `buffer`, which is not empty, and returns its size; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int
}

/// The bytes of a descriptor, from where it stands. One that gives none for a while, as a pipe that nobody writes to, is
/// given up.
final class DescriptorSource: ByteSource {
    /// How long the next byte may take.
    static let patience: UInt64 = 15_000_000_000

    private let descriptor: Descriptor
    private let name: String
    /// Monotonic nanoseconds; 0 is none.
    private let deadline: UInt64

    init(_ descriptor: Descriptor, name: String, deadline: UInt64 = 0) {
        self.descriptor = descriptor
        self.name = name
        self.deadline = deadline
    }

    private func awaitBytes() throws(PluginError) {
        let begin = monotonicNanoseconds()
        let end = deadline == 0 ? begin + Self.patience : min(deadline, begin + Self.patience)
        while true {
            let now = monotonicNanoseconds()
            // Also of one that always has bytes.
            if deadline > 0, now >= deadline { throw .deadlineExceeded("\(name) could not be read in time") }
            var polled = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            let ready = poll(&polled, 1, now >= end ? 0 : Int32((end - now) / 1_000_000) + 1)
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw .system("wait for", name, errno: errno) }
            if ready == 0, monotonicNanoseconds() >= end {
                throw .deadlineExceeded("\(name) gave no more bytes in time")
            }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int {
        try awaitBytes()
        while true {
            let count = Glibc.read(descriptor.number, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            if errno != EINTR { throw .system("read", name, errno: errno) }
        }
    }
}

/// Bytes in memory.
final class MemorySource: ByteSource {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, bytes.count - position)
        buffer.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
    }
}

/// Counts and hashes what passes through, and stops what grows beyond its bounds.
final class MeasuredSource: ByteSource {
    private let source: any ByteSource
    private let hasher = Digest.Hasher()
    private let limit: (_ total: Int64) -> PluginError?
    private(set) var total: Int64 = 0

    /// - Parameter limit: gets the number of bytes so far and answers with the error to stop with.
    init(_ source: any ByteSource, limit: @escaping (_ total: Int64) -> PluginError?) {
        self.source = source
        self.limit = limit
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(PluginError) -> Int {
        let count = try source.read(into: buffer)
        total += Int64(count)
        if let error = limit(total) { throw error }
        hasher.update(UnsafeRawBufferPointer(rebasing: buffer[0..<count]))
        return count
    }

    /// Reads what is left and returns the digest of everything.
    func drain() throws(PluginError) -> Digest {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        while try read(into: buffer) > 0 {}
        return hasher.finish()
    }
}
