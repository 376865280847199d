/// A connection whose client speaks HTTP/2: its bytes are the session's frames.
extension HTTPConnection {
    /// After the handshake; false when the connection has ended.
    func beginHTTP2() -> Bool {
        do {
            phase = .http2(
                try HTTP2Session(loop: loop, handler: handler, certificate: certificate, descriptor: descriptor) {
                    [weak self] in
                    self?.advanceSoon()
                })
            setDeadline(nil)
            return true
        } catch {
            end()
            return false
        }
    }

    /// Brings frames from the client to the session and back; false when it has to wait.
    func readHTTP2(_ session: HTTP2Session) -> Bool {
        // A client that does not read the answers is not heard.
        guard output.count < Self.highWater else { return false }
        let count = receiveScratch()
        if count > 0 { session.receive(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count])) }
        session.send(into: &output, limit: Self.highWater)
        if session.isOver {
            session.end()
            startClosing()
            return true
        }
        guard count == 0 else { return true }
        if hasEnded { end() }
        return session.isHeldBack
    }

    /// Streams have something to send. What several have at once leaves together.
    private func advanceSoon() {
        guard !isAdvancing, !isAdvanceDue else { return }
        isAdvanceDue = true
        loop.afterwards { [weak self] in
            self?.isAdvanceDue = false
            self?.advance()
        }
    }

    /// The server stops: what is being answered may end, streams without an end are ended, nothing new is taken.
    func drain() {
        isDraining = true
        switch phase {
        case .http2(let session): session.drain()
        case .responding: keepsAlive = false
        case .streaming(let stream):
            keepsAlive = false
            stream.close()
            finishChunked()
            advance()
        case .closing: advance()
        case .closed: break
        case .handshake, .head, .body, .packets, .webSocket, .upgraded: end()
        }
    }
}
