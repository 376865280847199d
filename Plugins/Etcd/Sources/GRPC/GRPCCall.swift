import PluginKit

/// Why a gRPC call has no answer.
enum GRPCFailure: Error, Sendable {
    /// The server's own status. See https://grpc.io/docs/guides/status-codes.
    case status(code: Int, message: String)
    /// The connection failed. `mayHaveRun`: the server may have done what it was asked.
    case connection(String, mayHaveRun: Bool)
    case timeout

    /// Codes that are told apart here.
    enum Code {
        static let invalidArgument = 3
        static let deadlineExceeded = 4
        static let notFound = 5
        static let permissionDenied = 7
        static let resourceExhausted = 8
        static let failedPrecondition = 9
        static let outOfRange = 11
        static let unavailable = 14
        static let dataLoss = 15
        static let unauthenticated = 16
    }
}

/// Calls of gRPC over an HTTP/2 connection.
/// See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
struct GRPCClient: Sendable {
    let connection: HTTP2Connection

    /// One request, one answer.
    func unary(_ method: String, _ request: [UInt8], deadline: UInt64) throws(GRPCFailure) -> [UInt8] {
        let stream = try open(method, request, isLast: true)
        var answer: [UInt8]?
        while true {
            switch stream.next(deadline: deadline) {
            case .message(let message): answer = message
            case .timeout:
                connection.cancel(stream)
                throw .timeout
            case .end(let end, let headers):
                if let failure = Self.failure(end, headers) { throw failure }
                guard let answer else {
                    throw .connection("\(method) was answered without a message", mayHaveRun: true)
                }
                return answer
            }
        }
    }

    /// A call that goes on, with its first message.
    func open(_ method: String, _ first: [UInt8], isLast: Bool) throws(GRPCFailure) -> HTTP2Stream {
        let endpoint = connection.endpoint
        let headers = [
            (":method", "POST"), (":scheme", endpoint.isSecure ? "https" : "http"), (":path", method),
            (":authority", endpoint.authority), ("te", "trailers"), ("content-type", "application/grpc"),
            ("user-agent", "hostd"),
        ]
        do throws(PluginError) {
            return try connection.open(headers, body: Self.framed(first), isLast: isLast)
        } catch {
            throw .connection(error.message, mayHaveRun: false)
        }
    }

    func send(_ message: [UInt8], on stream: HTTP2Stream) { connection.send(Self.framed(message), on: stream) }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        [0] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
    }

    /// What an end means; nil for success.
    static func failure(_ end: HTTP2Stream.End, _ headers: [String: String]) -> GRPCFailure? {
        if let code = headers["grpc-status"].flatMap({ Int($0) }) {
            return code == 0 ? nil : .status(code: code, message: decoded(headers["grpc-message"] ?? ""))
        }
        if !end.reason.isEmpty { return .connection(end.reason, mayHaveRun: !end.isUntouched) }
        let status = headers[":status"] ?? "none"
        return .connection(
            "the member answers with HTTP status \(status) and no gRPC status", mayHaveRun: status == "200")
    }

    /// Undoes the percent-encoding of messages.
    static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
