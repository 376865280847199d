import CEpoll
import Glibc

/// One client's connection: handshake, requests in order, responses, streams, upgrades; or HTTP/2, where that was agreed upon.
/// It lives on one event loop.
final class HTTPConnection: EventHandler, HTTPExchangeOwner, UpgradeHost, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): every member is used on the loop's thread alone.
    enum Phase {
        case handshake
        case head
        case body(HTTPRequestHead)
        /// A request is being answered.
        case responding(HTTPExchange)
        case streaming(HTTPBodyStream)
        case packets(PacketPump)
        case webSocket(PacketPump)
        case upgraded(any UpgradedProtocol)
        /// Requests come on streams of their own.
        case http2(HTTP2Session)
        /// What is queued is sent, then the connection ends.
        case closing
        case closed
    }

    static let handshakeTimeout: UInt64 = 15_000_000_000
    static let headTimeout: UInt64 = 30_000_000_000
    static let bodyTimeout: UInt64 = 120_000_000_000
    static let idleTimeout: UInt64 = 180_000_000_000
    static let writeTimeout: UInt64 = 60_000_000_000
    static let closeTimeout: UInt64 = 5_000_000_000
    /// A request's body may have this many bytes.
    static let bodyLimit = 3 << 20
    /// Above this many unsent bytes a packet source waits.
    static let highWater = 256 * 1024
    /// The same for a stream, whose own queue the client's slowness shall show in.
    static let streamHighWater = 64 * 1024

    let descriptor: Int32
    let loop: EventLoop
    let handler: any HTTPHandler
    private let onEnd: () -> Void
    var transport: Transport
    var phase: Phase
    var input: [UInt8] = []
    var output = OutputQueue()
    private var token: EventLoop.Token?
    private var parser = HTTPRequestParser()
    private var bodyReader: HTTPBodyReader?
    var messages = WebSocketParser()
    /// How the packets of a WebSocket are put into them.
    var messageForm = WebSocketForm.binary
    /// Whether the stream at hand has been left waiting for the client to read on.
    var streamWaits = false
    private(set) var certificate: ClientCertificate?
    private var isReadable = true
    private var isWritable = true
    /// The client sends no more, or the connection is broken: it is read to its end.
    private var hasHungUp = false
    private var sawEnd = false
    private(set) var isAdvancing = false
    var isAdvanceDue = false
    /// The server stops.
    var isDraining = false
    var keepsAlive = true
    private var hasSaidGoodbye = false
    /// Who wants to know when the body at hand has ended.
    var onBodyEnd: (@Sendable () -> Void)?
    /// When the connection is given up, and when the write in progress is.
    private var deadline = UInt64.max
    private var writeDeadline = UInt64.max

    init(
        descriptor: Int32, transport: Transport, loop: EventLoop, handler: any HTTPHandler, onEnd: @escaping () -> Void
    ) {
        self.descriptor = descriptor
        self.transport = transport
        self.loop = loop
        self.handler = handler
        self.onEnd = onEnd
        phase = transport.isTLS ? .handshake : .head
    }

    /// Registers with the loop and begins. On the loop.
    func begin() {
        do {
            let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
            token = try loop.add(self, descriptor: descriptor, events: events)
        } catch {
            end()
            return
        }
        setDeadline(Self.handshakeTimeout)
        advance()
    }

    func ready(_ events: UInt32) {
        if events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
            isReadable = true
            if events & ~EPOLLIN.rawValue & ~EPOLLOUT.rawValue != 0 { hasHungUp = true }
        }
        if events & (EPOLLOUT.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { isWritable = true }
        advance()
    }

    func loopEnds() { end() }

    func checkDeadline(now: UInt64) -> UInt64 {
        if case .http2(let session) = phase, now < writeDeadline {
            let next = session.checkDeadline(now: now)
            if next == nil { end() }
            return next.map { min($0, writeDeadline) } ?? .max
        }
        if now >= deadline, now < writeDeadline, case .streaming(let stream) = phase {
            stream.close()
            finishChunked()
            advance()
        } else if now >= min(deadline, writeDeadline) {
            end()
            return .max
        }
        return min(deadline, writeDeadline)
    }

    func setDeadline(_ delay: UInt64?) {
        guard let delay else {
            deadline = .max
            return
        }
        deadline = loop.now + delay
        loop.schedule(deadline: deadline)
    }

    // MARK: - Progress

    /// Does all that can be done now: reads, answers, writes, until it would block.
    func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        var didWork = true
        while didWork {
            didWork = step()
            if output.count > Self.highWater || !didWork { flush() }
            if case .closed = phase { return }
        }
    }

    /// The end after a last response: the client gets all of it before the connection goes, also while it still sends.
    private func linger() -> Bool {
        flush()
        if case .closed = phase { return false }
        guard output.isEmpty else { return false }
        if isDraining {
            end()
            return false
        }
        if !hasSaidGoodbye {
            hasSaidGoodbye = true
            transport.shutdown()
            shutdown(descriptor, Int32(SHUT_WR))
            setDeadline(Self.closeTimeout)
        }
        input = []
        if receive() { return true }
        if sawEnd { end() }
        return false
    }

    /// One step of the connection's life; false when it has to wait.
    private func step() -> Bool {
        switch phase {
        case .handshake: return handshake()
        case .head: return readHead()
        case .body(let head): return readBody(head)
        case .responding, .streaming, .packets: return watchForEnd()
        case .webSocket(let pump): return readWebSocket(pump)
        case .upgraded(let upgraded): return readUpgraded(upgraded)
        case .http2(let session): return readHTTP2(session)
        case .closing: return linger()
        case .closed: return false
        }
    }

    private func handshake() -> Bool {
        switch transport.handshake(through: loop.scratch, loop.records) {
        case .done(let peer):
            certificate = peer.certificate
            if peer.speaksHTTP2 { return beginHTTP2() }
            phase = .head
            setDeadline(Self.idleTimeout)
            return true
        case .waits: return false
        case .failed:
            end()
            return false
        }
    }

    private func readHead() -> Bool {
        if sawEnd && input.isEmpty {
            startClosing()
            return true
        }
        if !input.isEmpty {
            do {
                let parsed = try input.withUnsafeBufferPointer { bytes throws(HTTPParseError) in
                    try parser.parse(UnsafeRawBufferPointer(bytes))
                }
                if let (head, size) = parsed {
                    try begin(head, size)
                    return true
                }
            } catch {
                refuse(error)
                return true
            }
        }
        guard !sawEnd else {
            startClosing()
            return true
        }
        let wasEmpty = input.isEmpty
        guard receive() else { return sawEnd }
        if wasEmpty { setDeadline(Self.headTimeout) }
        return true
    }

    private func begin(_ head: HTTPRequestHead, _ size: Int) throws(HTTPParseError) {
        input.removeSubrange(..<size)
        if input.isEmpty { input = [] }
        let isCarried = (head.isChunked || head.contentLength ?? 0 > 0) && handler.carriesBody(head)
        let reader = try HTTPBodyReader(head: head, limit: isCarried ? .max : Self.bodyLimit)
        keepsAlive = head.keepsAlive
        if reader.isDone {
            dispatch(head, [])
        } else if isCarried {
            bodyReader = reader
            dispatch(head, [])
        } else {
            if head.expectsContinue, input.isEmpty { output.append(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
            bodyReader = reader
            phase = .body(head)
            setDeadline(Self.bodyTimeout)
        }
    }

    /// What reads the body of the request at hand, when it was left to come; the connection does not read it then.
    func takeBodyReader() -> HTTPBodyReader? {
        defer { bodyReader = nil }
        return bodyReader
    }

    private func readBody(_ head: HTTPRequestHead) -> Bool {
        if input.isEmpty {
            flush()
            if case .closed = phase { return false }
            guard receive() else {
                if sawEnd { startClosing() }
                return sawEnd
            }
        }
        do {
            let taken = try input.withUnsafeBufferPointer { bytes throws(HTTPParseError) in
                try bodyReader?.consume(UnsafeRawBufferPointer(bytes)) ?? 0
            }
            input.removeSubrange(..<taken)
            if input.isEmpty { input = [] }
        } catch {
            bodyReader = nil
            refuse(error)
            return true
        }
        if let reader = bodyReader, reader.isDone {
            bodyReader = nil
            dispatch(head, reader.body)
        }
        return true
    }

    private func dispatch(_ head: HTTPRequestHead, _ body: [UInt8]) {
        let exchange = HTTPExchange(
            head: head, body: body, carriesBody: bodyReader != nil, certificate: certificate, owner: self,
            loop: loop)
        phase = .responding(exchange)
        setDeadline(nil)
        handler.handle(exchange)
    }

    private func refuse(_ error: HTTPParseError) {
        send(handler.refusal(error), keepAlive: false)
        input = []
        startClosing()
    }

    /// While a response is made or streamed: notices the client's end, keeps what it sends ahead, within a bound.
    private func watchForEnd() -> Bool {
        guard isReadable, input.count < HTTPRequestParser.headLimit else { return false }
        if receive() { return true }
        guard sawEnd else { return false }
        switch phase {
        case .responding: return false
        default:
            end()
            return false
        }
    }

    /// Reads once into `input`; false when nothing came. Sets `sawEnd`.
    func receive() -> Bool {
        let count = receiveScratch()
        guard count > 0 else { return false }
        input.append(contentsOf: UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
        return true
    }

    /// Reads once into the loop's scratch space; the result is how many bytes came. Sets `sawEnd`.
    func receiveScratch() -> Int {
        guard isReadable, !sawEnd else { return 0 }
        switch transport.read(into: loop.scratch) {
        case .count(let count):
            // What comes now is announced, and the look for it would find nothing. An end that has been announced is not again.
            if transport.isDrained, !hasHungUp { isReadable = false }
            return count
        case .wantsRead: isReadable = false
        case .wantsWrite: isWritable = false
        case .end, .failed: sawEnd = true
        }
        return 0
    }

    var hasEnded: Bool { sawEnd }

    // MARK: - Writing

    func flush() {
        guard !output.isEmpty else { return }
        while !output.isEmpty, isWritable {
            switch output.withNext({ transport.write($0) }) {
            case .count(let count):
                output.consume(count)
                writeDeadline = .max
            case .wantsWrite:
                isWritable = false
                if writeDeadline == .max {
                    writeDeadline = loop.now + Self.writeTimeout
                    loop.schedule(deadline: writeDeadline)
                }
            case .wantsRead: isWritable = false
            case .end, .failed:
                end()
                return
            }
        }
        if case .streaming(let stream) = phase {
            stream.note(unsent: output.count)
            guard streamWaits, output.count < Self.streamHighWater else { return }
            streamWaits = false
            return loop.post { [weak self] in self?.takeFromStream() }
        }
        guard output.count < Self.highWater else { return }
        switch phase {
        case .packets(let pump), .webSocket(let pump): pump.resumeReading()
        case .upgraded(let upgraded): upgraded.resume()
        case .http2(let session) where session.isHeldBack: loop.post { [weak self] in self?.advance() }
        default: break
        }
    }

    /// Ends the connection at once and releases all of it. Idempotent.
    func end() {
        if case .closed = phase { return }
        let last = phase
        phase = .closed
        tellBodyEnd()
        switch last {
        case .streaming(let stream): stream.close()
        case .packets(let pump), .webSocket(let pump): pump.end()
        case .upgraded(let upgraded): upgraded.end()
        case .http2(let session): session.end()
        default: break
        }
        transport.shutdown()
        transport.free()
        if let token { loop.remove(token, descriptor: descriptor) }
        close(descriptor)
        input = []
        output.removeAll()
        onEnd()
    }
}
