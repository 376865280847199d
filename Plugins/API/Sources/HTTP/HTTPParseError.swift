/// Why the bytes of a client are no acceptable HTTP request; each has its HTTP status.
enum HTTPParseError: Error, Equatable {
    /// 400: the bytes break the grammar or contradict themselves.
    case malformed(String)
    /// 431: the head is larger than the bound.
    case headTooLarge
    /// 413: the body is larger than the bound, given in bytes.
    case bodyTooLarge(limit: Int)
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    case versionNotSupported
    /// 501: a transfer coding other than chunked.
    case codingNotSupported(String)

    var status: Int {
        switch self {
        case .malformed: 400
        case .headTooLarge: 431
        case .bodyTooLarge: 413
        case .versionNotSupported: 505
        case .codingNotSupported: 501
        }
    }

    var message: String {
        switch self {
        case .malformed(let reason): "malformed HTTP request: \(reason)"
        case .headTooLarge: "the request's head is larger than \(HTTPRequestParser.headLimit) bytes"
        case .bodyTooLarge(let limit): "Request entity too large: limit is \(limit)"
        case .versionNotSupported: "only HTTP/1.0 and HTTP/1.1 are served"
        case .codingNotSupported(let name): "the transfer coding \(name) is not supported; use chunked"
        }
    }
}
