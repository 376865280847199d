import Glibc
import Objects

/// A request that another server answers: what the relay needs to know of it before it begins.
struct ProxyExchange: Sendable {
    var request: ProxyRequest
    var response: ProxyResponse
    /// The client waits for a word before it sends its body.
    var expectsContinue = false
    /// HTTP/1.0 knows no chunks.
    var clientKnowsChunks = true
    /// Told the status of the answer, once, when it is known.
    var report: StatusReport
    /// Makes a new connection, for a request that was sent on one that had waited; runs what it is given on any thread.
    var connectAgain: (@Sendable (@escaping @Sendable (Result<UpstreamConnection, UpstreamError>) -> Void) -> Void)?
}

/// Carries one request of a client to another server and the answer back, both as they come: bodies of any size, streams
/// without an end, and, where the server agrees to an upgrade, whatever the two say to each other then. What one side
/// does not take is not read from the other. Lives on the client's connection's loop.
final class ProxyRelay: UpgradedProtocol, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): every member is used on the loop's thread alone.
    private enum Phase {
        case head
        case body(HTTPBodyReader)
        /// The connection was found to have ended before the server saw the request: another one is being made.
        case connecting
        /// Both sides speak a protocol of their own.
        case tunnel
        case finished
    }

    private var exchange: ProxyExchange
    private var upstream: UpstreamStream
    private let pool: UpstreamPool
    private unowned let connection: any UpgradeHost
    private var phase = Phase.head
    /// What reads the client's body; nil when it has been sent on to its end.
    private var requestBody: HTTPBodyReader?
    /// Bytes of the response's head.
    private var received: [UInt8] = []
    private var hasGreeted = false
    /// How the client knows the end of the response's body.
    private var shown = HTTPBodyReader.Framing.none
    /// What changes a page on its way to the client.
    private var links: HTMLLinks?
    /// Whether the server's connection can take another request when the answer has come to its end.
    private var mayBeKept = false
    /// Why there is no other connection.
    private var connectFailure: UpstreamError?
    /// Whether the end of the response on the client's connection is plain to see.
    private(set) var isReusable = false

    /// - Parameter pool: gets the connection back, when it can take another request.
    init(
        _ exchange: ProxyExchange, _ upstream: UpstreamConnection, _ pool: UpstreamPool, connection: any UpgradeHost
    ) throws(HTTPServerError) {
        self.exchange = exchange
        self.pool = pool
        self.connection = connection
        self.upstream = try UpstreamStream(upstream, connection: connection)
        requestBody = connection.takeBodyReader()
        sendHead()
    }

    private func sendHead() {
        let request = exchange.request
        var framing: HTTPBodyReader.Framing =
            requestBody?.framing
            ?? (request.body.isEmpty && !["POST", "PUT", "PATCH"].contains(request.method)
                ? .none : .counted(request.body.count))
        // The end of a body on a stream of HTTP/2 is the stream's.
        if framing == .untilClose { framing = .chunked }
        upstream.send(request.head(framing) + request.body)
    }

    var isFinished: Bool { if case .finished = phase { true } else { false } }
    var isBlocked: Bool { upstream.isBlocked }

    var inputLimit: Int {
        if case .tunnel = phase { return .max }
        return requestBody == nil ? HTTPRequestParser.headLimit : .max
    }

    func resume() { upstream.resumeReading() }

    func end() {
        if mayBeKept, case .finished = phase, requestBody == nil, let connection = upstream.release() {
            pool.put(connection, now: self.connection.loop.now)
        }
        phase = .finished
        mayBeKept = false
        upstream.end()
    }

    // MARK: - From the client

    func take(from input: inout [UInt8], to output: inout OutputQueue) -> Bool {
        if !hasGreeted {
            hasGreeted = true
            if exchange.expectsContinue, requestBody != nil, input.isEmpty {
                output.append(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
                return true
            }
        }
        guard !input.isEmpty else { return false }
        if case .tunnel = phase {
            upstream.send(input)
            input = []
            return true
        }
        guard var reader = requestBody else { return false }
        do throws(HTTPParseError) {
            let taken = try input.withBytes { bytes throws(HTTPParseError) in try reader.consume(bytes) }
            input.removeSubrange(..<taken)
            sendBody(&reader)
            requestBody = reader.isDone ? nil : reader
        } catch {
            refuse(APIStatus.badRequest(error.message), &output)
        }
        return true
    }

    func inputHasEnded() {
        guard var reader = requestBody, reader.finish() else { return }
        sendBody(&reader)
        requestBody = nil
    }

    private func sendBody(_ reader: inout HTTPBodyReader) {
        let bytes = reader.takeBody()
        guard reader.framing == .chunked || reader.framing == .untilClose else { return upstream.send(bytes) }
        var framed: [UInt8] = []
        if !bytes.isEmpty { framed += Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0D, 0x0A] }
        if reader.isDone { framed += Array("0\r\n\r\n".utf8) }
        upstream.send(framed)
    }

    // MARK: - From the server

    func pump(through buffer: UnsafeMutableRawBufferPointer, to output: inout OutputQueue, limit: Int) {
        if let error = connectFailure {
            connectFailure = nil
            failed(error, &output)
        }
        while !isFinished, output.count < limit {
            if case .connecting = phase { return }
            switch upstream.receive(into: buffer) {
            case .bytes(let bytes):
                do throws(UpstreamError) { try accept(bytes, &output) } catch { failed(error, &output) }
            case .nothing: return
            case .end: ended(&output)
            case .failure(let error): failed(error, &output)
            }
        }
    }

    private func accept(_ bytes: UnsafeRawBufferPointer, _ output: inout OutputQueue) throws(UpstreamError) {
        switch phase {
        case .head:
            received.append(contentsOf: bytes)
            // Only a line's end can make the head whole.
            guard received.count <= 16 || received.count > HTTPResponseParser.headLimit || bytes.contains(0x0A) else {
                return
            }
            try readHeads(&output)
        case .body(var reader):
            // What comes behind the body is nobody's, and then the connection takes no other request.
            phase = .finished
            try read(bytes, &reader, &output)
        case .tunnel: output.append { $0.append(contentsOf: bytes) }
        case .connecting: break
        case .finished: mayBeKept = false
        }
    }

    private func readHeads(_ output: inout OutputQueue) throws(UpstreamError) {
        while case .head = phase, let (head, size) = try HTTPResponseParser.parse(received[...]) {
            received.removeFirst(size)
            // "Continue" and other words in between are between this server and the front.
            if head.status >= 200 || head.status == 101 { try begin(head, &output) }
        }
        if case .head = phase { return }
        let rest = received
        received = []
        guard !rest.isEmpty else { return }
        try rest.withBytes { bytes throws(UpstreamError) in try accept(bytes, &output) }
    }

    private func begin(_ head: HTTPResponseHead, _ output: inout OutputQueue) throws(UpstreamError) {
        exchange.report.tell(head.status)
        if head.status == 101 {
            guard !exchange.request.upgrade.isEmpty else { throw UpstreamError("unexpected upgrade") }
            output.append(exchange.response.head(head, .none, keepsAlive: true))
            phase = .tunnel
            return
        }
        let framing = try head.framing(answering: exchange.request.method)
        mayBeKept = head.keepsAlive && framing != .untilClose && exchange.request.upgrade.isEmpty
        // A body whose end the server's closing tells is sent in chunks, so that the client sees whether it is whole.
        shown = framing
        if framing != .none, exchange.response.leadsLinks(of: head) {
            // It gets longer on its way.
            links = HTMLLinks(exchange.response)
            shown = .chunked
        }
        if shown == .untilClose || shown == .chunked { shown = exchange.clientKnowsChunks ? .chunked : .untilClose }
        isReusable = requestBody == nil && shown != .untilClose
        let length = head.status == 304 || exchange.request.method == "HEAD" ? head.values("content-length").first : nil
        output.append(exchange.response.head(head, shown, length: length, keepsAlive: isReusable))
        do throws(HTTPParseError) {
            let reader = try HTTPBodyReader(framing: framing, limit: .max)
            phase = reader.isDone ? .finished : .body(reader)
        } catch {
            throw UpstreamError(error.message)
        }
    }

    private func read(
        _ bytes: UnsafeRawBufferPointer, _ reader: inout HTTPBodyReader, _ output: inout OutputQueue
    ) throws(UpstreamError) {
        do throws(HTTPParseError) {
            if try reader.consume(bytes) < bytes.count { mayBeKept = false }
        } catch {
            throw UpstreamError("malformed chunked encoding: \(error.message)")
        }
        write(reader.takeBody(), &output)
        if reader.isDone { finish(&output) } else { phase = .body(reader) }
    }

    private func write(_ bytes: [UInt8], _ output: inout OutputQueue) {
        let bytes = links?.take(bytes) ?? bytes
        if shown == .chunked { bytes.withUnsafeBytes { output.append(chunk: $0) } } else { output.append(bytes) }
    }

    private func finish(_ output: inout OutputQueue) {
        if let rest = links?.finish() {
            links = nil
            write(rest, &output)
        }
        if shown == .chunked { output.appendLastChunk() }
        phase = .finished
    }

    private func ended(_ output: inout OutputQueue) {
        switch phase {
        case .head: failed(UpstreamError(received.isEmpty ? "EOF" : "unexpected EOF"), &output)
        case .body(var reader):
            if reader.finish() { return finish(&output) }
            failed(UpstreamError("unexpected EOF"), &output)
        case .tunnel: phase = .finished
        case .connecting, .finished: break
        }
    }

    /// Makes another connection, where this one had waited and ended before anything of an answer came: its server had ended it
    /// before it saw the request, or sees it once more without harm.
    /// - Returns: whether it does.
    private func retry() -> Bool {
        guard case .head = phase, received.isEmpty, let connectAgain = exchange.connectAgain else { return false }
        exchange.connectAgain = nil
        phase = .connecting
        upstream.end()
        let loop = connection.loop
        connectAgain { [weak self] result in loop.post { [weak self] in self?.goOn(with: result) } }
        return true
    }

    private func goOn(with result: Result<UpstreamConnection, UpstreamError>) {
        guard case .connecting = phase else { return }
        phase = .head
        switch result {
        case .failure(let error): connectFailure = error
        case .success(let made):
            do throws(HTTPServerError) {
                upstream = try UpstreamStream(made, connection: connection)
                sendHead()
            } catch {
                connectFailure = UpstreamError("\(error)")
            }
        }
        connection.pumpIsReady()
    }

    /// The server has failed: the client is told, or, once it has seen the head of an answer, finds it cut short.
    private func failed(_ error: UpstreamError, _ output: inout OutputQueue) {
        mayBeKept = false
        if retry() { return }
        if case .head = phase { return refuse(.unreachable(error), &output) }
        isReusable = false
        phase = .finished
    }

    private func refuse(_ status: APIStatus, _ output: inout OutputQueue) {
        if case .head = phase {
            exchange.report.tell(status.code)
            isReusable = requestBody == nil
            output.append(
                HTTPResponse.failure(status).whole(date: connection.loop.date(), keepAlive: isReusable))
        } else {
            isReusable = false
        }
        phase = .finished
    }
}
