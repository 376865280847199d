import Objects

/// How packets are put into a WebSocket's messages: as they are, or in base 64 for clients that take text alone. Pure.
///
/// The names are Kubernetes': `v4.base64.channel.k8s.io` says the same as `v4.channel.k8s.io`, in text.
enum WebSocketForm: Sendable {
    case binary
    /// The channel as a digit, and what is said on it in base 64.
    case base64Channels
    /// A body in base 64, a packet in each message.
    case base64Body

    /// - Parameter subprotocol: as it was agreed upon; nil for none.
    init(_ subprotocol: String?) {
        switch subprotocol {
        case let name? where name.hasSuffix(Self.mark + "channel.k8s.io"): self = .base64Channels
        case Self.mark + StreamNegotiation.bodyProtocol: self = .base64Body
        default: self = .binary
        }
    }

    private static let mark = "base64."
    private static let zero = UInt8(ascii: "0")

    /// The subprotocols of which there is a form in base 64, in that form.
    static func names(of subprotocols: [String]) -> [String] {
        subprotocols.compactMap { name in
            switch name {
            case "channel.k8s.io", StreamNegotiation.bodyProtocol: mark + name
            case StreamNegotiation.channelsProtocol: "v4." + mark + "channel.k8s.io"
            default: nil
            }
        }
    }

    /// What a subprotocol is called where it is not in base 64.
    static func plain(_ subprotocol: String) -> String {
        guard let range = subprotocol.firstRange(of: mark) else { return subprotocol }
        return String(subprotocol[..<range.lowerBound] + subprotocol[range.upperBound...])
    }

    /// Reads messages whose packets are of the size that an extension takes.
    var parser: WebSocketParser {
        self == .binary
            ? WebSocketParser() : WebSocketParser(messageLimit: 1 + (WebSocketParser.packetLimit - 2) / 3 * 4)
    }

    /// Writes a packet as a message.
    func write(_ packet: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        guard self != .binary else { return WebSocketFrame.write(opcode: WebSocketFrame.binary, packet, into: &output) }
        var text: [UInt8] = []
        var rest = packet[...]
        if self == .base64Channels, let channel = rest.popFirst() { text.append(Self.zero &+ channel) }
        text += Base64.encode(rest).utf8
        text.withUnsafeBytes { WebSocketFrame.write(opcode: WebSocketFrame.text, $0, into: &output) }
    }

    /// The packet that a message holds; nil for one that is no base 64, which is passed over.
    func packet(_ message: [UInt8]) -> [UInt8]? {
        guard self != .binary else { return message }
        var rest = message[...]
        var packet: [UInt8] = []
        if self == .base64Channels {
            guard let channel = rest.popFirst() else { return nil }
            packet.append(channel &- Self.zero)
        }
        return Base64.decode(String(decoding: rest, as: UTF8.self)).map { packet + $0 }
    }
}
