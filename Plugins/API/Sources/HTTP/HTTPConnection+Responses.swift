/// The answer to the request at hand: written whole, chunk by chunk from a stream, or by what the connection is handed to.
extension HTTPConnection {
    var peerAddress: String? { SocketAddress.peer(of: descriptor) }

    /// Takes the response to the request at hand.
    func complete(_ exchange: HTTPExchange, _ response: HTTPResponse) {
        guard case .responding(let current) = phase, current === exchange else {
            response.discard()
            return
        }
        onBodyEnd = response.onEnd
        if case .upgrade = response.body {
        } else if takeBodyReader() != nil {
            // Behind a body that nobody reads no next request can be found.
            keepsAlive = false
        }
        switch response.body {
        case .bytes:
            let keepAlive = keepsAlive && !response.closes && !hasEnded
            send(response, keepAlive: keepAlive, isHead: exchange.head.isHead)
            if keepAlive {
                phase = .head
                setDeadline(Self.idleTimeout)
            } else {
                startClosing()
            }
        case .stream(let stream):
            beginChunked(response)
            phase = .streaming(stream)
            setDeadline(response.timeLimit)
            stream.attach { [weak self, loop] in loop.post { [weak self] in self?.takeFromStream() } }
            takeFromStream()
        case .packets(let source):
            beginChunked(response)
            beginPump(source) { .packets($0) }
        case .webSocket(let source, let headers, let form):
            writeSwitch(headers)
            (messageForm, messages) = (form, form.parser)
            beginPump(source) { .webSocket($0) }
        case .upgrade(let upgrade): begin(upgrade)
        }
        advance()
    }

    /// The response at hand, which was written by what the connection was handed to, is whole.
    /// - Parameter isReusable: whether the request has been read to its end and the response's end can be seen.
    func finishExchange(isReusable: Bool) {
        tellBodyEnd()
        if keepsAlive, isReusable, !hasEnded {
            phase = .head
            setDeadline(Self.idleTimeout)
        } else {
            startClosing()
        }
    }

    func send(_ response: HTTPResponse, keepAlive: Bool, isHead: Bool = false) {
        guard case .bytes(let body) = response.body else { return }
        let date = loop.date()
        let isSmall = body.count <= 16 * 1024 && !isHead
        output.append { bytes in
            if isSmall { bytes.reserveCapacity(bytes.count + body.count + 320) }
            response.writeHead(into: &bytes, length: body.count, date: date, keepAlive: keepAlive)
            if isSmall { bytes.append(contentsOf: body) }
        }
        if !isSmall, !isHead { output.append(body) }
    }

    private func beginChunked(_ response: HTTPResponse) {
        let date = loop.date()
        output.append { response.writeHead(into: &$0, length: nil, date: date, keepAlive: true) }
    }

    private func beginPump(_ source: Int32, _ phase: (PacketPump) -> Phase) {
        do {
            let pump = try PacketPump(descriptor: source, connection: self, loop: loop)
            self.phase = phase(pump)
        } catch {
            startClosing()
        }
    }

    /// Sends the last chunk and goes on to the next request, or ends.
    func finishChunked() {
        output.appendLastChunk()
        tellBodyEnd()
        if keepsAlive {
            phase = .head
            setDeadline(Self.idleTimeout)
        } else {
            startClosing()
        }
    }

    func tellBodyEnd() {
        let tell = onBodyEnd
        onBodyEnd = nil
        tell?()
    }

    func takeFromStream() {
        guard case .streaming(let stream) = phase else { return }
        if stream.isAborted { return end() }
        while case .streaming(let current) = phase, current === stream {
            // What waits already is sent first; the stream's own bound holds meanwhile.
            streamWaits = output.count >= Self.streamHighWater
            guard !streamWaits else { return }
            switch stream.take(upTo: Self.streamHighWater) {
            case .aborted: return end()
            case .bytes(let segments, let more, let isFinished):
                output.append(chunk: segments)
                if isFinished {
                    finishChunked()
                    stream.close()
                }
                advance()
                guard more else { return }
            }
        }
    }

    func startClosing() {
        phase = .closing
        setDeadline(Self.closeTimeout)
    }
}
