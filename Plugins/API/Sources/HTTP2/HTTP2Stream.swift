import CNGHTTP2

/// One request of an HTTP/2 connection and its response. Lives on the connection's loop.
final class HTTP2Stream: HTTPExchangeOwner, UpgradeHost, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): every member is used on the loop's thread alone.
    private enum Phase {
        case head(HTTP2HeadBuilder)
        case body(HTTPRequestHead)
        /// The request is being answered.
        case responding(HTTPExchange)
        /// Another server answers.
        case relaying(HTTP2Relay)
        case sending(Source)
        case closed
    }

    /// Where the bytes of a response's body come from.
    private enum Source {
        /// All of them wait in `chunk`.
        case bytes
        case stream(HTTPBodyStream)
        case packets(PacketPump)
        case relay(HTTP2Relay)
        /// Nothing follows what waits.
        case ended
    }

    let identifier: Int32
    /// Bytes that the request's body may have, once that is known.
    var awaited = 0
    let loop: EventLoop
    private weak var session: HTTP2Session?
    private var phase: Phase
    /// What has come of the request's body and was not taken.
    private var body: [UInt8] = []
    /// What reads a body that is carried on as it comes, until that takes it; the client's window holds it back.
    private var bodyReader: HTTPBodyReader?
    private var carriesBody = false
    private var bodyHasEnded = false
    private var deadline = UInt64.max
    /// Bytes of the response that wait for the client's window.
    private var chunk: [UInt8] = []
    private var sent = 0
    /// Who wants to know when the response has ended.
    private var onEnd: (@Sendable () -> Void)?

    init(_ identifier: Int32, _ session: HTTP2Session) {
        self.identifier = identifier
        self.session = session
        loop = session.loop
        phase = .head(HTTP2HeadBuilder())
    }

    private func setDeadline(_ delay: UInt64?) {
        deadline = delay.map { loop.now + $0 } ?? .max
        loop.schedule(deadline: deadline)
    }

    /// The next deadline, after what had to end by now has been ended.
    func checkDeadline(now: UInt64) -> UInt64 {
        guard now >= deadline else { return deadline }
        deadline = .max
        if case .sending(.stream) = phase {
            finish()
        } else {
            session?.reset(self, NGHTTP2_CANCEL)
        }
        return deadline
    }

    // MARK: - The request

    func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
        guard case .head(var builder) = phase else { return }
        phase = .closed
        builder.add(name, value)
        phase = .head(builder)
    }

    func headIsComplete(isLast: Bool) {
        guard case .head(let builder) = phase else { return }
        do throws(HTTPParseError) {
            let head = try builder.build()
            if !isLast, head.contentLength != 0, session?.handler.carriesBody(head) == true {
                let framing = head.contentLength.map { HTTPBodyReader.Framing.counted($0) } ?? .untilClose
                bodyReader = try HTTPBodyReader(framing: framing, limit: .max)
                carriesBody = true
                return dispatch(head)
            }
            let limit = HTTPConnection.bodyLimit
            guard head.contentLength ?? 0 <= limit else { throw .bodyTooLarge(limit: limit) }
            guard !isLast else { return dispatch(head) }
            phase = .body(head)
            setDeadline(HTTPConnection.bodyTimeout)
            if head.expectsContinue { session?.submitContinue(self) }
        } catch {
            refuse(error)
        }
    }

    /// Takes a piece of the request's body.
    func take(_ bytes: UnsafeRawBufferPointer) {
        if carriesBody {
            body.append(contentsOf: bytes)
            return carryOn()
        }
        guard case .body(let head) = phase else { return }
        let limit = HTTPConnection.bodyLimit
        guard body.count + bytes.count <= limit else { return refuse(.bodyTooLarge(limit: limit)) }
        body.append(contentsOf: bytes)
        // One byte more than the limit tells a body that is too large from one that has the very size.
        let wanted = head.contentLength ?? limit + 1
        if awaited == 0, wanted > HTTP2Limits.firstWindow, body.count >= HTTP2Limits.firstWindow / 2 {
            session?.awaitBody(self, wanted)
        }
    }

    func bodyIsComplete() {
        bodyHasEnded = true
        if carriesBody { return carryOn() }
        guard case .body(let head) = phase else { return }
        session?.bodyIsComplete(self)
        dispatch(head)
    }

    private func dispatch(_ head: HTTPRequestHead) {
        guard let session else { return }
        deadline = .max
        guard session.begin() else { return session.reset(self, NGHTTP2_REFUSED_STREAM) }
        let exchange = HTTPExchange(
            head: head, body: body, carriesBody: carriesBody, certificate: session.certificate, owner: self, loop: loop)
        body = []
        phase = .responding(exchange)
        session.handler.handle(exchange)
    }

    private func refuse(_ error: HTTPParseError) {
        guard let session else { return }
        body = []
        session.bodyIsComplete(self)
        respond(session.handler.refusal(error), to: "")
    }

    // MARK: - The response

    var peerAddress: String? { session?.peerAddress }

    func complete(_ exchange: HTTPExchange, _ response: HTTPResponse) {
        session?.requestIsAnswered()
        guard case .responding(let current) = phase, current === exchange else { return response.discard() }
        respond(response, to: exchange.head.method, expectsContinue: carriesBody && exchange.head.expectsContinue)
    }

    private func respond(_ response: HTTPResponse, to method: String, expectsContinue: Bool = false) {
        guard let session else { return response.discard() }
        var length: Int?
        onEnd = response.onEnd
        switch response.body {
        case .bytes(let bytes):
            length = bytes.count
            chunk = method == "HEAD" ? [] : bytes
            phase = .sending(.bytes)
            setDeadline(HTTPConnection.writeTimeout)
        case .stream(let stream):
            phase = .sending(.stream(stream))
            setDeadline(response.timeLimit)
            stream.attach { [weak self, loop] in loop.post { [weak self] in self?.resume() } }
        case .packets(let descriptor):
            do {
                let pump = try PacketPump(descriptor: descriptor, loop: loop) { [weak self] in self?.resume() }
                phase = .sending(.packets(pump))
            } catch {
                return session.reset(self, NGHTTP2_INTERNAL_ERROR)
            }
        case .upgrade(let upgrade) where upgrade.headers == nil: return relay(upgrade, method, greets: expectsContinue)
        case .webSocket, .upgrade:
            onEnd = nil
            response.discard()
            phase = .closed
            return session.reset(self, NGHTTP2_HTTP_1_1_REQUIRED)
        }
        var fields = response.fields(length: length, date: loop.date())
        session.submit(self, &fields, hasBody: length == nil || !chunk.isEmpty)
        if response.closes { session.leave() }
    }

    // MARK: - Other servers' answers

    private func relay(_ upgrade: StreamUpgrade, _ method: String, greets: Bool) {
        do {
            phase = .relaying(HTTP2Relay(try upgrade.begin(self), answering: method, loop: loop))
            if greets { session?.submitContinue(self) }
            carryOn()
            pumpIsReady()
        } catch {
            let tell = onEnd
            var response = HTTPResponse.failure(.internalError("\(error)"))
            response.onEnd = tell
            respond(response, to: method)
        }
    }

    func takeBodyReader() -> HTTPBodyReader? {
        defer { bodyReader = nil }
        return bodyReader
    }

    /// Hands what has come of the request's body to the other server, as far as that takes it, and lets the client send as much
    /// again.
    private func carryOn() {
        let relay: HTTP2Relay
        switch phase {
        case .relaying(let carrier), .sending(.relay(let carrier)): relay = carrier
        // Until the other server is connected to the client sends what its first window has room for.
        case .head, .body, .responding: return
        case .sending, .closed:
            body = []
            return
        }
        let count = relay.take(&body, isEnd: bodyHasEnded)
        if count > 0 { session?.consume(self, count) }
    }

    func pumpIsReady() {
        if carriesBody { carryOn() }
        guard case .relaying(let relay) = phase else { return resume() }
        do throws(UpstreamError) {
            guard let head = try relay.head() else { return }
            phase = .sending(.relay(relay))
            var fields = head.block
            session?.submit(self, &fields, hasBody: relay.hasBody)
        } catch {
            session?.reset(self, NGHTTP2_INTERNAL_ERROR)
        }
    }

    // MARK: - Bodies of responses

    private func resume() {
        guard case .sending(let source) = phase else { return }
        // A stream that has been cut ends at once, also where the client has no room for more.
        if case .stream(let stream) = source, stream.isAborted {
            session?.reset(self, NGHTTP2_INTERNAL_ERROR)
        } else {
            session?.resume(self)
        }
    }

    /// Ends the response after what has been written to it.
    private func finish() {
        guard case .sending(let source) = phase else { return }
        phase = .sending(.ended)
        Self.end(source)
        setDeadline(HTTPConnection.writeTimeout)
        session?.resume(self)
    }

    /// The server stops.
    func drain() {
        switch phase {
        case .sending(.stream), .sending(.packets): finish()
        case .head, .body: session?.reset(self, NGHTTP2_REFUSED_STREAM)
        case .responding, .relaying, .sending, .closed: break
        }
    }

    enum Read {
        case bytes(Int, isLast: Bool)
        /// `resume` tells when there is something.
        case nothing
        case failed
    }

    /// Gives the next bytes of the response's body. Called when the client has room for them.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Read {
        while case .sending(let source) = phase {
            guard chunk.isEmpty else { return take(into: buffer, source) }
            switch source {
            case .bytes, .ended: return .bytes(0, isLast: true)
            case .stream(let stream):
                switch stream.take(upTo: HTTPConnection.streamHighWater) {
                case .aborted: return .failed
                case .bytes(let segments, _, let isFinished):
                    guard !segments.isEmpty || isFinished else { return .nothing }
                    chunk = segments.count == 1 ? segments[0] : Array(segments.joined())
                    if isFinished { finish() }
                }
            case .packets(let pump):
                switch pump.receive(into: loop.packetScratch) {
                case .packet(let bytes): chunk = Array(bytes)
                case .nothing: return .nothing
                case .end: finish()
                }
            case .relay(let relay):
                switch relay.next() {
                case .bytes(let bytes): chunk = bytes
                case .nothing: return .nothing
                case .end: finish()
                case .cut: return .failed
                }
            }
        }
        return .failed
    }

    /// Copies what fits of `chunk`.
    private func take(into buffer: UnsafeMutableRawBufferPointer, _ source: Source) -> Read {
        let count = min(buffer.count, chunk.count - sent)
        chunk.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[sent..<(sent + count)])) }
        sent += count
        if sent == chunk.count {
            chunk = []
            sent = 0
        }
        switch source {
        case .bytes, .ended:
            deadline = loop.now + HTTPConnection.writeTimeout
            return .bytes(count, isLast: chunk.isEmpty)
        case .stream(let stream):
            stream.note(unsent: chunk.count - sent)
            return .bytes(count, isLast: false)
        case .packets, .relay: return .bytes(count, isLast: false)
        }
    }

    /// The stream is gone: a request that runs is not waited for, what writes the response ends. Idempotent.
    func closed() {
        let last = phase
        phase = .closed
        chunk = []
        body = []
        deadline = .max
        if case .sending(let source) = last { Self.end(source) }
        if case .relaying(let relay) = last { relay.end() }
        let tell = onEnd
        onEnd = nil
        tell?()
    }

    private static func end(_ source: Source) {
        switch source {
        case .stream(let stream): stream.close()
        case .packets(let pump): pump.end()
        case .relay(let relay): relay.end()
        case .bytes, .ended: break
        }
    }
}

extension HTTPResponse {
    /// The head as a header block.
    fileprivate func fields(length: Int?, date: [UInt8]) -> HTTP2Fields {
        var fields = HTTP2Fields()
        fields.add(":status", String(status))
        if !contentType.isEmpty { fields.add("content-type", contentType) }
        fields.add("cache-control", cacheControl)
        fields.add("date".utf8, date)
        if let length, status != 304 { fields.add("content-length", String(length)) }
        for header in headers { fields.add(header.name, header.value) }
        return fields
    }
}
