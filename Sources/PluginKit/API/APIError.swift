import Objects
import PluginAPI

/// A Kubernetes Status that says why a request failed.
public struct APIError: Error, Sendable, CustomStringConvertible {
    /// HTTP status code.
    public let code: Int
    /// Kubernetes' reason: NotFound, AlreadyExists, Conflict, Invalid, Forbidden, …
    public let reason: String
    public let message: String
    /// The whole Status object.
    public let status: JSON

    public init(code: Int, status: JSON) {
        self.code = code
        self.status = status
        reason = status["reason"].stringValue ?? ""
        message = status["message"].stringValue ?? "HTTP status \(code)"
    }

    public var description: String { message }
    public var isNotFound: Bool { code == 404 }
    public var isAlreadyExists: Bool { reason == "AlreadyExists" }
    public var isConflict: Bool { code == 409 && reason == "Conflict" }

    var pluginError: PluginError {
        switch code {
        case 404: .notFound(message)
        case 409: reason == "AlreadyExists" ? .alreadyExists(message) : .conflict(message)
        case 403: .forbidden(message)
        case 400, 422: .invalid(message)
        case 507: .noSpace(message)
        case 429, 503: .unavailable(message)
        default: .internal(message)
        }
    }
}
