import COpenSSL
import Objects

/// Frames as a WebSocket server writes them (RFC 6455): unmasked, one per message.
enum WebSocketFrame {
    static let text: UInt8 = 1
    static let binary: UInt8 = 2
    static let close: UInt8 = 8
    static let pong: UInt8 = 10

    static func write(opcode: UInt8, _ payload: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        output.append(0x80 | opcode)
        switch payload.count {
        case ...125: output.append(UInt8(payload.count))
        case ...65535:
            output.append(126)
            output.append(UInt8(payload.count >> 8))
            output.append(UInt8(payload.count & 0xFF))
        default:
            output.append(127)
            for shift in stride(from: 56, through: 0, by: -8) { output.append(UInt8(payload.count >> shift & 0xFF)) }
        }
        output.append(contentsOf: payload)
    }

    /// A Close frame; the reason is cut to what a control frame holds.
    static func closing(code: UInt16, reason: String) -> [UInt8] {
        var payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
        payload.append(contentsOf: Array(reason.utf8).prefix(123))
        var frame: [UInt8] = []
        payload.withUnsafeBytes { write(opcode: close, $0, into: &frame) }
        return frame
    }

    /// The value of Sec-WebSocket-Accept for a client's Sec-WebSocket-Key; nil when the key is not 16 bytes in base64.
    static func acceptance(of key: String) -> String? {
        guard key.utf8.count == 24, key.hasSuffix("=="), Base64.decode(key)?.count == 16 else { return nil }
        let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
        var digest = [UInt8](repeating: 0, count: 20)
        var size: UInt32 = 0
        guard EVP_Digest(text, text.count, &digest, &size, EVP_sha1(), nil) == 1 else { return nil }
        return Base64.encode(digest)
    }
}
