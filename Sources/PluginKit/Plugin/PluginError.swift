import PluginAPI

/// A failure as it crosses the plugin boundary: a stable code, one sentence that names the thing and the remedy, and
/// whether the same call may succeed later. docs/abi.md lists the codes.
public struct PluginError: Error, Sendable, CustomStringConvertible {
    /// One of the HOSTD_ERROR_ codes, negative.
    public let code: Int32
    public let message: String
    public let isRetryable: Bool
    /// Least delay before a retry, in milliseconds.
    public let retryDelay: UInt32

    public init(code: Int32, message: String, isRetryable: Bool = false, retryDelay: UInt32 = 0) {
        self.code = code
        self.message = message
        self.isRetryable = isRetryable
        self.retryDelay = retryDelay
    }

    public var description: String { message.isEmpty ? "status \(code)" : message }

    public static func `internal`(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_INTERNAL, message: message)
    }
    public static func invalid(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_INVALID_ARGUMENT, message: message)
    }
    public static func notFound(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_NOT_FOUND, message: message)
    }
    public static func alreadyExists(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_ALREADY_EXISTS, message: message)
    }
    public static func conflict(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_CONFLICT, message: message)
    }
    public static func unavailable(_ message: String, retryDelay: UInt32 = 100) -> PluginError {
        .init(code: HOSTD_ERROR_UNAVAILABLE, message: message, isRetryable: true, retryDelay: retryDelay)
    }
    public static func deadlineExceeded(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_DEADLINE_EXCEEDED, message: message, isRetryable: true)
    }
    public static func cancelled(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_CANCELLED, message: message)
    }
    public static func notSupported(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_NOT_SUPPORTED, message: message)
    }
    public static func forbidden(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_FORBIDDEN, message: message)
    }
    public static func exhausted(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_RESOURCE_EXHAUSTED, message: message)
    }
    public static func noSpace(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_NO_SPACE, message: message, isRetryable: true, retryDelay: 1_000)
    }
    public static func wrongState(_ message: String) -> PluginError {
        .init(code: HOSTD_ERROR_WRONG_STATE, message: message)
    }

    /// The error of any Swift error: a PluginError as it is, anything else as an internal one with its description.
    public init(_ error: any Error) {
        switch error {
        case let error as PluginError: self = error
        case let error as APIError: self = error.pluginError
        default: self = .internal("\(error)")
        }
    }
}
