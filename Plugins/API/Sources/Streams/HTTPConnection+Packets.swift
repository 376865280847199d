import Glibc

/// Bodies and WebSockets whose other side is an extension's packet socket.
extension HTTPConnection {
    func writeSwitch(_ headers: [(name: String, value: String)]) {
        var head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        for header in headers { head += "\(header.name): \(header.value)\r\n" }
        output.append(Array((head + "\r\n").utf8))
    }

    func begin(_ upgrade: StreamUpgrade) {
        do {
            let upgraded = try upgrade.begin(self)
            if let headers = upgrade.headers { writeSwitch(headers) }
            phase = .upgraded(upgraded)
            loop.post { [weak self] in self?.pumpIsReady() }
        } catch {
            if upgrade.headers == nil { send(.failure(.internalError("\(error)")), keepAlive: false) }
            startClosing()
        }
    }

    /// The pump's socket may have packets, or room.
    func pumpIsReady() {
        let buffer = loop.packetScratch
        reading: while output.count < Self.highWater {
            switch phase {
            case .packets(let pump):
                switch pump.receive(into: buffer) {
                case .packet(let bytes): output.append(chunk: bytes)
                case .nothing: break reading
                case .end:
                    pump.end()
                    finishChunked()
                    break reading
                }
            case .webSocket(let pump):
                switch pump.receive(into: buffer) {
                case .packet(let bytes):
                    output.append { messageForm.write(bytes, into: &$0) }
                case .nothing: break reading
                case .end:
                    closeWebSocket(pump, code: 1000, reason: "")
                    break reading
                }
            case .upgraded(let upgraded):
                upgraded.pump(through: buffer, to: &output, limit: Self.highWater)
                break reading
            default: break reading
            }
        }
        advance()
    }

    /// Reads messages of the client and hands them on; false when it has to wait.
    func readWebSocket(_ pump: PacketPump) -> Bool {
        guard !pump.isBlocked else { return false }
        if !input.isEmpty {
            do {
                let parsed = try input.withUnsafeBufferPointer { bytes throws(WebSocketError) in
                    try messages.parse(UnsafeRawBufferPointer(bytes))
                }
                if let (message, size) = parsed {
                    input.removeSubrange(..<size)
                    if input.isEmpty { input = [] }
                    if let message { take(message, pump) }
                    return true
                }
            } catch {
                closeWebSocket(pump, code: error.code, reason: error.reason)
                return true
            }
        }
        if receive() { return true }
        if hasEnded { end() }
        return false
    }

    /// Hands the client's bytes to the protocol that the connection speaks now; false when it has to wait.
    func readUpgraded(_ upgraded: any UpgradedProtocol) -> Bool {
        if upgraded.isFinished {
            upgraded.end()
            finishExchange(isReusable: upgraded.isReusable)
            return true
        }
        guard !upgraded.isBlocked else { return false }
        if upgraded.take(from: &input, to: &output) { return true }
        guard input.count < upgraded.inputLimit else { return false }
        if receive() { return true }
        if hasEnded { end() }
        return false
    }

    private func take(_ message: WebSocketMessage, _ pump: PacketPump) {
        switch message {
        case .text(let bytes), .binary(let bytes): if let packet = messageForm.packet(bytes) { pump.send(packet) }
        case .ping(let bytes):
            bytes.withUnsafeBytes { payload in
                output.append { WebSocketFrame.write(opcode: WebSocketFrame.pong, payload, into: &$0) }
            }
        case .pong: break
        case .close(let code): closeWebSocket(pump, code: code == 1005 ? 1000 : code, reason: "")
        }
    }

    private func closeWebSocket(_ pump: PacketPump, code: UInt16, reason: String) {
        pump.end()
        output.append(WebSocketFrame.closing(code: code, reason: reason))
        startClosing()
    }
}
