/// Why an expression has no value.
public struct CELError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Kind: Sendable, Hashable {
        /// Of the expression and its data; `&&` and `||` may absorb it.
        case evaluation
        /// The cost limit was reached; nothing absorbs it.
        case costLimit
        /// The deadline has passed, or evaluation was cancelled; nothing absorbs it.
        case interrupted
    }

    public let kind: Kind
    /// As CEL words it: `no such key: x`.
    public let message: String

    public init(_ message: String, kind: Kind = .evaluation) {
        self.message = message
        self.kind = kind
    }

    public var description: String { message }
}

extension CELError {
    static let noSuchOverload = CELError("no such overload")
    static let costLimit = CELError("operation cancelled: actual cost limit exceeded", kind: .costLimit)
    static let integerOverflow = CELError("integer overflow")
    static let unsignedOverflow = CELError("unsigned integer overflow")
    static let durationOverflow = CELError("duration overflow")
    static let timestampOverflow = CELError("timestamp overflow")
    static func noSuchKey(_ key: String) -> CELError { CELError("no such key: \(key)") }
}
