import Objects

/// How far a probe's conversation over a connection is.
enum ProbeProgress: Equatable {
    case needsMore
    case succeeded
    case failed(String)
    /// The answer to a probe by HTTP is elsewhere.
    case redirected(String)
}

/// What is said and expected over a probe's connection, without any socket.
enum ProbeExchange: Equatable {
    /// A connection is all that is wanted.
    case connect
    case http(request: [UInt8], url: String)
    /// An answer by HTTP, of whatever status, is all that is wanted.
    case answer(request: [UInt8], url: String)
    case grpc(request: [UInt8])

    private static let redirections: Set = [301, 302, 303, 307, 308]

    /// Bytes to send once connected.
    var request: [UInt8] {
        switch self {
        case .connect: return []
        case .http(let request, _), .answer(let request, _), .grpc(let request): return request
        }
    }

    /// Judges what was received so far; `isClosed` when the peer sends no more.
    func judge(_ received: [UInt8], isClosed: Bool) -> ProbeProgress {
        switch self {
        case .connect: return .succeeded
        case .http(_, let url), .answer(_, let url):
            guard let status = HTTPProbeRequest.status(received) else {
                return isClosed ? .failed("Get \"\(url)\": EOF") : .needsMore
            }
            if status == 0 { return .failed("Get \"\(url)\": malformed HTTP response") }
            if case .answer = self { return .succeeded }
            guard (200..<400).contains(status) else { return .failed("HTTP probe failed with statuscode: \(status)") }
            // Without a place to go on to, such a status is as good as any below 400.
            guard Self.redirections.contains(status) else { return .succeeded }
            guard HTTPProbeRequest.hasWholeBody(received) || isClosed else { return .needsMore }
            return HTTPProbeRequest.location(received).map { .redirected($0) } ?? .succeeded
        case .grpc:
            switch GRPCHealth.verdict(received) {
            case .some(true): return .succeeded
            case .some(false): return .failed("service unhealthy (responded with \"NOT_SERVING\")")
            case .none: return isClosed ? .failed("health rpc failed: connection closed") : .needsMore
            }
        }
    }
}

/// The one gRPC call that probes make, grpc.health.v1.Health/Check, as HTTP/2 frames (RFC 9113) with headers in plain
/// literals (RFC 7541).
enum GRPCHealth {
    static func request(service: String, authority: String) -> [UInt8] {
        var bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        bytes += frame(type: 4, flags: 0, stream: 0, [])
        var block: [UInt8] = []
        for (name, value) in [
            (":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority), ("content-type", "application/grpc"), ("te", "trailers"),
        ] {
            block.append(0)
            block += literal(name) + literal(value)
        }
        bytes += frame(type: 1, flags: 4, stream: 1, block)
        var message: [UInt8] = []
        if !service.isEmpty {
            let name = Array(service.utf8.prefix(127))
            message = [0x0a, UInt8(name.count)] + name
        }
        bytes += frame(type: 0, flags: 1, stream: 1, [0, 0, 0, 0, UInt8(message.count)] + message)
        // Acknowledges the server's settings, which it always sends first.
        return bytes + frame(type: 4, flags: 1, stream: 0, [])
    }

    /// Whether the service serves; nil while the answer is not there.
    static func verdict(_ received: [UInt8]) -> Bool? {
        var offset = 0
        while offset + 9 <= received.count {
            let length = Int(received[offset]) << 16 | Int(received[offset + 1]) << 8 | Int(received[offset + 2])
            let type = received[offset + 3]
            let end = offset + 9 + length
            guard end <= received.count else { return nil }
            let stream = received[(offset + 5)..<(offset + 9)].reduce(0) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
            if stream == 1, type == 0, length >= 5 {
                // Field 1, varint: SERVING is 1; an empty message is UNKNOWN.
                let message = received[(offset + 14)..<end]
                return message.count >= 2 && message.first == 0x08 && message[message.startIndex + 1] == 1
            }
            // The answer's end without a message, a reset, or the connection's end.
            if stream == 1, type == 3 || (type == 1 && received[offset + 4] & 1 == 1) { return false }
            if type == 7 { return false }
            offset = end
        }
        return nil
    }

    private static func frame(type: UInt8, flags: UInt8, stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let size = payload.count
        return [UInt8(size >> 16 & 255), UInt8(size >> 8 & 255), UInt8(size & 255), type, flags, 0, 0, 0, stream]
            + payload
    }

    private static func literal(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8.prefix(126))
        return [UInt8(bytes.count)] + bytes
    }
}
