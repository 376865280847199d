/// Forwarded ports over a WebSocket without SPDY (Kubernetes' v4.channel.k8s.io for ports): the query lists the ports, and
/// each has two channels, of data (2 × its index) and of errors (2 × its index + 1). A message begins with its channel's
/// byte; the first on each channel carries the port, little-endian.
final class ChannelForwards: UpgradedProtocol {
    /// Channels are counted in a byte.
    static let portLimit = 127

    private let form: WebSocketForm
    private var parser: WebSocketParser
    private var forwards: [Forward?]
    private var greeting: [UInt8] = []
    private(set) var isFinished = false

    init(ports: [UInt16], dialer: ForwardDialer, connection: any UpgradeHost, form: WebSocketForm) {
        self.form = form
        parser = form.parser
        forwards = ports.map { Forward(port: $0, dialer: dialer, connection: connection) }
        for (index, port) in ports.enumerated() {
            for channel in [2 * index, 2 * index + 1] {
                let message = [UInt8(channel), UInt8(port & 0xFF), UInt8(port >> 8)]
                message.withUnsafeBytes { form.write($0, into: &greeting) }
            }
        }
    }

    var isBlocked: Bool { forwards.contains { $0?.isBlocked ?? false } }

    func take(from input: inout [UInt8], to output: inout OutputQueue) -> Bool {
        guard !isFinished else { return false }
        do {
            let parsed = try input.withUnsafeBufferPointer { bytes throws(WebSocketError) in
                try parser.parse(UnsafeRawBufferPointer(bytes))
            }
            guard let (message, size) = parsed else { return false }
            input.removeSubrange(..<size)
            if let message { take(message, &output) }
        } catch {
            close(code: error.code, reason: error.reason, &output)
        }
        return true
    }

    private func take(_ message: WebSocketMessage, _ output: inout OutputQueue) {
        switch message {
        case .binary(let bytes), .text(let bytes):
            guard let packet = form.packet(bytes), let channel = packet.first, channel % 2 == 0,
                Int(channel / 2) < forwards.count
            else { return }
            forwards[Int(channel / 2)]?.send(Array(packet.dropFirst()))
        case .ping(let bytes):
            bytes.withUnsafeBytes { payload in
                output.append { WebSocketFrame.write(opcode: WebSocketFrame.pong, payload, into: &$0) }
            }
        case .pong: break
        case .close(let code): close(code: code == 1005 ? 1000 : code, reason: "", &output)
        }
    }

    func pump(through buffer: UnsafeMutableRawBufferPointer, to output: inout OutputQueue, limit: Int) {
        guard !isFinished else { return }
        if !greeting.isEmpty {
            output.append(greeting)
            greeting = []
        }
        var didMove = true
        while didMove, output.count < limit {
            didMove = false
            for index in forwards.indices where move(index, buffer, &output) { didMove = true }
        }
        if forwards.allSatisfy({ $0 == nil }) { close(code: 1000, reason: "", &output) }
    }

    private func move(_ index: Int, _ buffer: UnsafeMutableRawBufferPointer, _ output: inout OutputQueue) -> Bool {
        guard let forward = forwards[index] else { return false }
        func send(_ channel: Int, _ bytes: UnsafeRawBufferPointer) {
            let message = [UInt8(channel)] + bytes
            message.withUnsafeBytes { payload in
                output.append { form.write(payload, into: &$0) }
            }
        }
        switch forward.receive(into: buffer) {
        case .nothing: return false
        case .bytes(let bytes): send(2 * index, bytes)
        case .end: forwards[index] = nil
        case .failure(let reason):
            Array("error forwarding port \(forward.port): \(reason)".utf8).withUnsafeBytes { send(2 * index + 1, $0) }
            forwards[index] = nil
        }
        return true
    }

    private func close(code: UInt16, reason: String, _ output: inout OutputQueue) {
        isFinished = true
        output.append(WebSocketFrame.closing(code: code, reason: reason))
    }

    func resume() { for forward in forwards { forward?.resume() } }

    func end() {
        for forward in forwards { forward?.end() }
        forwards = []
    }
}
