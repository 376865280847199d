import PluginAPI

/// Bytes that came out of a plugin, copied within a bound and released.
enum ForeignBytes {
    struct TooLong: Error {
        let size: UInt64
        let limit: Int
    }

    /// Copies and releases a buffer; a buffer beyond `limit` is released unread.
    static func take(_ buffer: hostd_buffer, limit: Int) throws(TooLong) -> [UInt8] {
        defer { buffer.release?(buffer.context) }
        guard buffer.size <= UInt64(limit) else { throw TooLong(size: buffer.size, limit: limit) }
        guard let data = buffer.data else { return [] }
        return Array(UnsafeBufferPointer(start: data, count: Int(buffer.size)))
    }

    /// The start of an error's message as text, and releases it.
    static func message(of error: hostd_error) -> String {
        let buffer = error.message
        defer { buffer.release?(buffer.context) }
        guard let data = buffer.data, buffer.size > 0 else { return "" }
        let limit = UInt64(HOSTD_ERROR_MESSAGE_LIMIT)
        let text = String(
            decoding: UnsafeBufferPointer(start: data, count: Int(min(buffer.size, limit))), as: UTF8.self)
        return buffer.size > limit ? text + "… (cut: the message has \(buffer.size) bytes)" : text
    }

    static func emptyError() -> hostd_error {
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        return error
    }

    static func borrowed(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: data, count: data == nil ? 0 : Int(clamping: size))
    }

    static func text(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> String {
        String(decoding: borrowed(data, size), as: UTF8.self)
    }
}

extension hostd_buffer {
    /// A buffer that owns a copy of `bytes`.
    init(owning bytes: [UInt8]) {
        self.init()
        guard !bytes.isEmpty else { return }
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = copy.initialize(from: bytes)
        data = UnsafePointer(copy.baseAddress)
        size = UInt64(bytes.count)
        context = UnsafeMutableRawPointer(copy.baseAddress)
        release = { $0?.deallocate() }
    }
}

extension UnsafeMutablePointer<hostd_error> {
    /// Fills the error and returns `code`, for the slots that the host itself provides.
    func fail(_ code: Int32, _ message: String) -> Int32 {
        guard pointee.struct_size >= UInt32(MemoryLayout<hostd_error>.size) else { return code }
        pointee.code = code
        pointee.retryable = code == HOSTD_ERROR_UNAVAILABLE ? 1 : 0
        pointee.message = hostd_buffer(owning: Array(message.utf8))
        return code
    }
}
