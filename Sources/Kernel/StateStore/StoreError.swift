import PluginAPI

/// A failure of the kernel's services: a stable code and one sentence that names the thing and the remedy.
public struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One of `HOSTD_ERROR_*`.
    public var code: Int32
    public var message: String
    /// Whether the same call may succeed later.
    public var isRetryable: Bool
    /// Least delay before a retry, milliseconds.
    public var retryDelay: UInt32

    public init(_ code: Int32, _ message: String, retryable: Bool = false, retryDelay: UInt32 = 0) {
        self.code = code
        self.message = message
        self.isRetryable = retryable
        self.retryDelay = retryDelay
    }

    /// Whether the data directory or what lies in it is the reason, not the request.
    public var isAboutData: Bool {
        [HOSTD_ERROR_DATA_LOSS, HOSTD_ERROR_VERSION, HOSTD_ERROR_FORBIDDEN].contains(code)
    }

    public var description: String { message }

    /// Damage of stored bytes that a checksum or a tag found.
    static func damage(_ path: String, at offset: Int, _ what: String) -> StoreError {
        StoreError(
            HOSTD_ERROR_DATA_LOSS, "\(path) is damaged at offset \(offset): \(what); \(StoreRemedy.restore(path))")
    }

    static func invalid(_ message: String) -> StoreError { StoreError(HOSTD_ERROR_INVALID_ARGUMENT, message) }
}
