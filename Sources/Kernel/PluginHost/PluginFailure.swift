import PluginAPI

/// Why a plugin is not (or no longer) in use: the step of its life that failed, and a sentence with the remedy.
public struct PluginFailure: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Step: String, Sendable, CaseIterable {
        case find, probe, open, entry, describe, schema, options, interface, configure, require, activate, drain
        case exportState = "export"
        case importState = "import"
        case deactivate
        /// Its process came to an end by itself, or was ended.
        case process
        /// The request itself: what it names, what it would leave without a provider.
        case request
    }

    public let step: Step
    /// HOSTD_ERROR_*.
    public let code: Int32
    public let message: String

    public init(_ step: Step, code: Int32 = HOSTD_ERROR_INTERNAL, _ message: String) {
        self.step = step
        self.code = code
        self.message = message
    }

    public var description: String { "\(step.rawValue): \(message)" }
}

/// The name of a status, such as "NOT_FOUND".
public func statusName(_ code: Int32) -> String {
    switch code {
    case HOSTD_OK: "OK"
    case HOSTD_ERROR_INTERNAL: "INTERNAL"
    case HOSTD_ERROR_INVALID_ARGUMENT: "INVALID_ARGUMENT"
    case HOSTD_ERROR_NOT_FOUND: "NOT_FOUND"
    case HOSTD_ERROR_ALREADY_EXISTS: "ALREADY_EXISTS"
    case HOSTD_ERROR_CONFLICT: "CONFLICT"
    case HOSTD_ERROR_UNAVAILABLE: "UNAVAILABLE"
    case HOSTD_ERROR_DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED"
    case HOSTD_ERROR_CANCELLED: "CANCELLED"
    case HOSTD_ERROR_NOT_SUPPORTED: "NOT_SUPPORTED"
    case HOSTD_ERROR_FORBIDDEN: "FORBIDDEN"
    case HOSTD_ERROR_RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED"
    case HOSTD_ERROR_COMPACTED: "COMPACTED"
    case HOSTD_ERROR_NO_SPACE: "NO_SPACE"
    case HOSTD_ERROR_WRONG_STATE: "WRONG_STATE"
    case HOSTD_ERROR_DATA_LOSS: "DATA_LOSS"
    case HOSTD_ERROR_VERSION: "VERSION"
    default: "status \(code)"
    }
}
