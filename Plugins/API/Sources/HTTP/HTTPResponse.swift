import Glibc

/// An HTTP response as a handler gives it.
struct HTTPResponse: Sendable {
    enum Body: Sendable {
        case bytes([UInt8])
        /// A body whose end is not known yet; sent chunked.
        case stream(HTTPBodyStream)
        /// A body, or the messages of a WebSocket, that come from a SOCK_SEQPACKET socket, which the connection now owns.
        case packets(descriptor: Int32)
        /// The connection becomes a WebSocket between the client and a SOCK_SEQPACKET socket, which it now owns.
        case webSocket(descriptor: Int32, headers: [(name: String, value: String)], form: WebSocketForm)
        /// The connection goes on in another protocol.
        case upgrade(StreamUpgrade)
    }

    var status: Int
    var contentType: String
    var headers: [(name: String, value: String)] = []
    var body: Body
    /// A stream ends after this many nanoseconds; nil = never.
    var timeLimit: UInt64?
    /// Whether the connection must end after this response.
    var closes = false
    /// Called once when a body that is not at hand has ended, or its client has gone. On the loop.
    var onEnd: (@Sendable () -> Void)?
    /// What the Cache-Control header says.
    var cacheControl = "no-cache, private"

    /// The same with another status.
    func with(status: Int) -> HTTPResponse {
        var response = self
        response.status = status
        return response
    }

    init(
        status: Int, contentType: String = "application/json", headers: [(name: String, value: String)] = [], body: Body
    ) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }

    /// Where the status is to be had that another server will answer with; nil when it is this response's own.
    var relayedStatus: StatusReport? {
        if case .upgrade(let upgrade) = body { upgrade.report } else { nil }
    }

    /// All that goes on the wire of a response whose body is at hand.
    func whole(date: [UInt8], keepAlive: Bool) -> [UInt8] {
        guard case .bytes(let body) = body else { return [] }
        var bytes: [UInt8] = []
        writeHead(into: &bytes, length: body.count, date: date, keepAlive: keepAlive)
        return bytes + body
    }

    /// Releases what the body holds, when there is nobody to take it.
    func discard() {
        onEnd?()
        switch body {
        case .bytes: break
        case .stream(let stream): stream.close()
        case .packets(let descriptor), .webSocket(let descriptor, _, _): close(descriptor)
        case .upgrade(let upgrade): upgrade.discard()
        }
    }

    /// The reason phrase that RFC 9110 gives a status.
    static func phrase(_ status: Int) -> StaticString {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 302: "Found"
        case 303: "See Other"
        case 308: "Permanent Redirect"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }

    /// Appends the head as it goes on the wire. `length` is the body's size, nil for a chunked one.
    func writeHead(into output: inout [UInt8], length: Int?, date: [UInt8], keepAlive: Bool) {
        func text(_ value: String) { output.append(contentsOf: value.utf8) }
        func literal(_ value: StaticString) {
            output.append(contentsOf: UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
        }
        literal("HTTP/1.1 ")
        text(String(status))
        literal(" ")
        literal(Self.phrase(status))
        if !contentType.isEmpty {
            literal("\r\nContent-Type: ")
            text(contentType)
        }
        literal("\r\nCache-Control: ")
        text(cacheControl)
        literal("\r\nDate: ")
        output.append(contentsOf: date)
        // A 304 would have to tell the length of what it does not send (RFC 9110, section 8.6).
        if let length {
            if status != 304 {
                literal("\r\nContent-Length: ")
                text(String(length))
            }
        } else {
            literal("\r\nTransfer-Encoding: chunked")
        }
        if !keepAlive { literal("\r\nConnection: close") }
        for header in headers {
            literal("\r\n")
            text(header.name)
            literal(": ")
            text(header.value)
        }
        literal("\r\n\r\n")
    }
}
