import Glibc
import Objects
import PluginAPI

/// Runs a call of the ABI and turns a negative status and its error into a thrown PluginError. The message is copied,
/// bounded by HOSTD_ERROR_MESSAGE_LIMIT, and released.
@inline(__always)
public func checked(_ call: (UnsafeMutablePointer<hostd_error>) -> Int32) throws(PluginError) {
    var error = hostd_error()
    error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
    let status = call(&error)
    if status < 0 { throw takeError(status, &error) }
}

/// As `checked`, for calls that hand out a buffer.
@inline(__always)
public func checkedBuffer(
    _ call: (UnsafeMutablePointer<hostd_buffer>, UnsafeMutablePointer<hostd_error>) -> Int32
) throws(PluginError) -> OwnedBuffer {
    var buffer = hostd_buffer()
    try checked { call(&buffer, $0) }
    return OwnedBuffer(taking: buffer)
}

/// Reads a filled error and releases its message.
func takeError(_ status: Int32, _ error: UnsafeMutablePointer<hostd_error>) -> PluginError {
    let taken = PluginError(status: status, borrowing: error)
    error.pointee.message.release?(error.pointee.message.context)
    error.pointee.message = hostd_buffer()
    return taken
}

extension PluginError {
    /// Reads an error that stays the lender's, as completions get it.
    public init(status: Int32, borrowing error: UnsafePointer<hostd_error>?) {
        guard let error = error?.pointee else {
            self.init(code: status, message: "")
            return
        }
        let size = min(error.message.size, UInt64(HOSTD_ERROR_MESSAGE_LIMIT))
        self.init(
            code: status, message: borrowedText(error.message.data, size), isRetryable: error.retryable != 0,
            retryDelay: error.retry_delay_ms)
    }

    /// The message within HOSTD_ERROR_MESSAGE_LIMIT, cut between characters: what it names may have come from outside.
    private var boundedMessage: String {
        let limit = Int(HOSTD_ERROR_MESSAGE_LIMIT)
        guard message.utf8.count > limit else { return message }
        let mark = "…"
        var end = message.utf8.index(message.startIndex, offsetBy: limit - mark.utf8.count)
        while end > message.startIndex, end.samePosition(in: message.unicodeScalars) == nil {
            end = message.utf8.index(before: end)
        }
        return message[..<end] + mark
    }

    /// Fills the caller's error, when its size allows, and returns the status.
    public func fill(_ error: UnsafeMutablePointer<hostd_error>) -> Int32 {
        if error.pointee.struct_size >= UInt32(MemoryLayout<hostd_error>.size) {
            error.pointee.code = code
            error.pointee.retryable = isRetryable ? 1 : 0
            error.pointee.retry_delay_ms = retryDelay
            error.pointee.message = hostd_buffer(copying: boundedMessage)
        }
        return code < 0 ? code : HOSTD_ERROR_INTERNAL
    }
}

/// Runs the body of a slot: what it throws becomes the status and the error.
@inline(__always)
public func answering(_ error: UnsafeMutablePointer<hostd_error>, _ body: () throws -> Void) -> Int32 {
    do {
        try body()
        return HOSTD_OK
    } catch let failure {
        return PluginError(failure).fill(error)
    }
}

/// Parses a JSON argument; empty bytes are an empty object.
func parseRequest(_ bytes: UnsafeRawBufferPointer) throws -> JSON {
    if bytes.isEmpty { return .object([:]) }
    do {
        return try JSON(parsing: bytes)
    } catch let failure {
        throw PluginError.invalid("the request is not JSON: \(failure)")
    }
}

/// The same, for a call that gives descriptors away (letter F): they are closed when it is refused here.
func parseRequest(_ bytes: UnsafeRawBufferPointer, closing descriptors: Int32...) throws -> JSON {
    do {
        return try parseRequest(bytes)
    } catch {
        for number in descriptors where number >= 0 { close(number) }
        throw error
    }
}
