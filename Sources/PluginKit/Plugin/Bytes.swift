import Glibc
import Objects
import PluginAPI

/// An owned buffer of the ABI: released exactly once, when the last reference goes. The bytes are immutable.
public final class OwnedBuffer: @unchecked Sendable {
    // SAFETY: the buffer is never changed after the initialiser, and the ABI lets any thread release it.
    private let buffer: hostd_buffer

    /// Takes over `buffer`.
    public init(taking buffer: hostd_buffer) { self.buffer = buffer }

    deinit { buffer.release?(buffer.context) }

    /// Valid as long as this object is referenced, which ends with its last use: hold it with `withExtendedLifetime`, or
    /// take `json` or `array`.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.data, count: buffer.data == nil ? 0 : Int(buffer.size))
    }

    /// The bytes as JSON.
    public func json() throws(JSONParseError) -> JSON {
        defer { withExtendedLifetime(self) {} }
        return try JSON(parsing: bytes)
    }

    /// A copy of the bytes.
    public var array: [UInt8] {
        defer { withExtendedLifetime(self) {} }
        return Array(bytes)
    }
}

extension hostd_buffer {
    /// Hands out a copy of `bytes`, released by the receiver.
    public init(copying bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0, let copy = malloc(bytes.count) else {
            self.init()
            return
        }
        memcpy(copy, base, bytes.count)
        self.init(
            data: UnsafePointer(copy.assumingMemoryBound(to: UInt8.self)), size: UInt64(bytes.count),
            release: { free($0) }, context: copy)
    }

    /// Hands out the text's UTF-8 bytes.
    public init(copying text: String) {
        var text = text
        self = text.withUTF8 { hostd_buffer(copying: UnsafeRawBufferPointer($0)) }
    }

    /// Hands out a value as JSON.
    public init(copying json: JSON) {
        self = json.serialized().withUnsafeBytes { hostd_buffer(copying: $0) }
    }
}

/// The bytes of one borrowed argument; empty for a null pointer.
@inline(__always)
public func borrowedBytes(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : Int(size))
}

/// The text of one borrowed argument, ill-formed UTF-8 repaired.
public func borrowedText(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> String {
    String(decoding: borrowedBytes(data, size), as: UTF8.self)
}

/// Lends a string's UTF-8 bytes to a call. The pointer is never null, also for the empty string.
@inline(__always)
public func lend<Result>(_ text: String, _ body: (UnsafePointer<UInt8>, UInt64) throws -> Result) rethrows -> Result {
    var text = text
    return try text.withUTF8 { utf8 in
        guard let base = utf8.baseAddress else {
            var zero: UInt8 = 0
            return try withUnsafePointer(to: &zero) { try body($0, 0) }
        }
        return try body(base, UInt64(utf8.count))
    }
}

/// Lends an array's bytes to a call. The pointer is never null, also for the empty array.
@inline(__always)
public func lend<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<UInt8>, UInt64) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else {
            var zero: UInt8 = 0
            return try withUnsafePointer(to: &zero) { try body($0, 0) }
        }
        return try body(base, UInt64(buffer.count))
    }
}

/// The monotonic clock in nanoseconds: the clock of every deadline of the ABI.
public func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
