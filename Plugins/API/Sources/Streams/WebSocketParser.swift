/// A message of a WebSocket client, put together from its frames.
enum WebSocketMessage: Equatable {
    case text([UInt8])
    case binary([UInt8])
    case ping([UInt8])
    case pong
    /// The client ends, with its status code; 1005 when it gave none.
    case close(code: UInt16)
}

/// The client broke the protocol; `code` goes into the Close frame.
struct WebSocketError: Error, Equatable {
    var code: UInt16
    var reason: String

    static func protocolError(_ reason: String) -> WebSocketError { .init(code: 1002, reason: reason) }
    static let tooBig = WebSocketError(code: 1009, reason: "the message is larger than the server takes")
}

/// Takes client frames apart (RFC 6455, section 5): masked, fragmented, within a bound. Pure.
struct WebSocketParser {
    /// What fits one packet to an extension.
    static let packetLimit = 64 * 1024
    /// Most bytes of one message.
    private let messageLimit: Int

    private struct Frame {
        var isFinal: Bool
        var opcode: UInt8
        var mask: (UInt8, UInt8, UInt8, UInt8)
        var headerSize: Int
        var length: Int
    }

    private var fragments: [UInt8] = []
    private var fragmentOpcode: UInt8?

    init(messageLimit: Int = packetLimit) { self.messageLimit = messageLimit }

    /// The next message at the front of `bytes` and how many bytes it took; nil when more are needed. A frame that is part
    /// of a message yet to be completed gives a size and no message.
    mutating func parse(
        _ bytes: UnsafeRawBufferPointer
    ) throws(WebSocketError) -> (message: WebSocketMessage?, size: Int)? {
        guard let frame = try header(bytes) else { return nil }
        let isControl = frame.opcode & 8 != 0
        guard isControl || fragments.count + frame.length <= messageLimit else { throw .tooBig }
        guard bytes.count >= frame.headerSize + frame.length else { return nil }
        var payload = Array(bytes[frame.headerSize..<(frame.headerSize + frame.length)])
        payload.withUnsafeMutableBufferPointer { payload in
            let mask = [frame.mask.0, frame.mask.1, frame.mask.2, frame.mask.3]
            for index in payload.indices { payload[index] ^= mask[index & 3] }
        }
        let size = frame.headerSize + frame.length
        if isControl { return (try Self.control(frame.opcode, payload), size) }
        return (try assemble(frame, payload), size)
    }

    private func header(_ bytes: UnsafeRawBufferPointer) throws(WebSocketError) -> Frame? {
        guard bytes.count >= 2 else { return nil }
        guard bytes[0] & 0x70 == 0 else { throw .protocolError("a reserved bit is set") }
        guard bytes[1] & 0x80 != 0 else { throw .protocolError("a client's frame is not masked") }
        let opcode = bytes[0] & 0x0F
        let isFinal = bytes[0] & 0x80 != 0
        guard [0, 1, 2, 8, 9, 10].contains(opcode) else { throw .protocolError("the opcode is unknown") }
        var length = Int(bytes[1] & 0x7F)
        if opcode & 8 != 0, !isFinal || length > 125 { throw .protocolError("a control frame is long or fragmented") }
        var position = 2
        let extra = length == 126 ? 2 : length == 127 ? 8 : 0
        guard bytes.count >= 2 + extra + 4 else { return nil }
        if extra > 0 {
            guard extra == 2 || bytes[2] & 0x80 == 0 else { throw .protocolError("the length is negative") }
            length = bytes[2..<(2 + extra)].reduce(0) { $0 << 8 | Int($1) }
            guard length > (extra == 2 ? 125 : 65535) else { throw .protocolError("the length is not minimal") }
            position += extra
        }
        guard length <= messageLimit else { throw .tooBig }
        return Frame(
            isFinal: isFinal, opcode: opcode,
            mask: (bytes[position], bytes[position + 1], bytes[position + 2], bytes[position + 3]),
            headerSize: position + 4, length: length)
    }

    private static func control(_ opcode: UInt8, _ payload: [UInt8]) throws(WebSocketError) -> WebSocketMessage {
        switch opcode {
        case 9: return .ping(payload)
        case 10: return .pong
        default:
            guard !payload.isEmpty else { return .close(code: 1005) }
            guard payload.count >= 2 else { throw .protocolError("a close frame has half a code") }
            let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
            guard (1000...1003).contains(code) || (1007...1011).contains(code) || (3000...4999).contains(code) else {
                throw .protocolError("a close code is not allowed")
            }
            return .close(code: code)
        }
    }

    private mutating func assemble(_ frame: Frame, _ payload: [UInt8]) throws(WebSocketError) -> WebSocketMessage? {
        let opcode: UInt8
        if frame.opcode == 0 {
            guard let begun = fragmentOpcode else { throw .protocolError("a continuation continues nothing") }
            opcode = begun
        } else {
            guard fragmentOpcode == nil else { throw .protocolError("a message begins within another") }
            opcode = frame.opcode
        }
        guard frame.isFinal else {
            fragmentOpcode = opcode
            fragments.append(contentsOf: payload)
            return nil
        }
        let whole = fragments.isEmpty ? payload : fragments + payload
        fragments = []
        fragmentOpcode = nil
        guard opcode == 1 else { return .binary(whole) }
        guard String(validating: whole, as: UTF8.self) != nil else {
            throw WebSocketError(code: 1007, reason: "a text message is not UTF-8")
        }
        return .text(whole)
    }
}
