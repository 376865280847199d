/// What the streams of a SPDY connection are for: the channels of a process, or forwarded ports. On the connection's loop.
protocol SPDYTarget: AnyObject {
    func handle(_ event: SPDYEvent, _ session: SPDYSession, to bytes: inout [UInt8])
    var isBlocked: Bool { get }
    var isFinished: Bool { get }
    /// Moves what extensions have sent to `bytes`, until those are `limit`.
    func pump(
        through buffer: UnsafeMutableRawBufferPointer, _ session: SPDYSession, to bytes: inout [UInt8], limit: Int)
    func resume()
    func end()
}

/// SPDY/3.1 behind an upgrade, on the connection itself or within the binary messages of a WebSocket, as kubectl tunnels it
/// from version 1.31 on (Kubernetes enhancement 4006).
final class SPDYConnection: UpgradedProtocol {
    private let session: SPDYSession
    private let target: any SPDYTarget
    private var tunnel: Tunnel?
    private(set) var isFinished = false

    /// Between the messages of a WebSocket and the bytes of SPDY.
    private struct Tunnel {
        /// A message is as long as a write of the client's: a frame of data with its head, and some more.
        static let messageLimit = 1 << 20
        var parser = WebSocketParser(messageLimit: messageLimit)
        var plain: [UInt8] = []
    }

    init(target: any SPDYTarget, isTunnelled: Bool) throws(SPDYError) {
        session = try SPDYSession()
        self.target = target
        if isTunnelled { tunnel = Tunnel() }
    }

    var isBlocked: Bool { target.isBlocked }

    func take(from input: inout [UInt8], to output: inout OutputQueue) -> Bool {
        guard !isFinished else {
            input = []
            return false
        }
        do {
            guard tunnel != nil else { return try takeFrames(&input, &output) }
            // Out of the tunnel meanwhile, into which the answers go.
            var plain = tunnel?.plain ?? []
            tunnel?.plain = []
            let didWork = try takeFrames(&plain, &output)
            tunnel?.plain = plain
            return didWork ? true : try unwrap(&input, &output)
        } catch {
            fail("\(error)", &output)
            return true
        }
    }

    private func takeFrames(_ input: inout [UInt8], _ output: inout OutputQueue) throws(SPDYError) -> Bool {
        var used = 0
        var didWork = false
        var answer: [UInt8] = []
        defer {
            if used > 0 { input.removeSubrange(..<used) }
            if input.isEmpty { input = [] }
            write(answer, &output)
        }
        while !target.isBlocked, !isFinished {
            let taken = try input.withUnsafeBufferPointer { bytes throws(SPDYError) in
                try session.take(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[used...])))
            }
            guard let (event, size) = taken else { break }
            used += size
            didWork = true
            if case .ping(let number)? = event {
                session.pong(number, to: &answer)
            } else if let event {
                target.handle(event, session, to: &answer)
            }
            finish(&answer)
        }
        return didWork
    }

    private func unwrap(_ input: inout [UInt8], _ output: inout OutputQueue) throws(WebSocketError) -> Bool {
        let parsed = try input.withUnsafeBufferPointer { bytes throws(WebSocketError) in
            try tunnel?.parser.parse(UnsafeRawBufferPointer(bytes))
        }
        guard let (message, size) = parsed else { return false }
        input.removeSubrange(..<size)
        switch message {
        case .binary(let bytes)?, .text(let bytes)?: tunnel?.plain += bytes
        case .ping(let bytes)?:
            bytes.withUnsafeBytes { payload in
                output.append { WebSocketFrame.write(opcode: WebSocketFrame.pong, payload, into: &$0) }
            }
        case .close(let code)?:
            isFinished = true
            output.append(WebSocketFrame.closing(code: code == 1005 ? 1000 : code, reason: ""))
        case .pong?, nil: break
        }
        return true
    }

    func pump(through buffer: UnsafeMutableRawBufferPointer, to output: inout OutputQueue, limit: Int) {
        guard !isFinished else { return }
        var bytes: [UInt8] = []
        target.pump(through: buffer, session, to: &bytes, limit: max(0, limit - output.count))
        finish(&bytes)
        write(bytes, &output)
    }

    private func finish(_ bytes: inout [UInt8]) {
        guard target.isFinished, !isFinished else { return }
        isFinished = true
        session.goAway(to: &bytes)
    }

    private func write(_ bytes: [UInt8], _ output: inout OutputQueue) {
        guard !bytes.isEmpty else { return }
        guard tunnel != nil else {
            output.append(bytes)
            return
        }
        bytes.withUnsafeBytes { payload in
            output.append { WebSocketFrame.write(opcode: WebSocketFrame.binary, payload, into: &$0) }
        }
        if isFinished { output.append(WebSocketFrame.closing(code: 1000, reason: "")) }
    }

    /// The client cannot be understood any more: a tunnel can say why, SPDY itself just ends.
    private func fail(_ reason: String, _ output: inout OutputQueue) {
        isFinished = true
        if tunnel != nil {
            output.append(WebSocketFrame.closing(code: 1002, reason: reason))
        } else {
            var bytes: [UInt8] = []
            session.goAway(to: &bytes)
            output.append(bytes)
        }
    }

    func resume() { target.resume() }
    func end() { target.end() }
}
