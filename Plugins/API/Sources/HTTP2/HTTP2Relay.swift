/// Another server's answer on a stream. What carries it on writes HTTP/1.1, of which this makes the head and the body again.
/// Lives on the connection's loop.
final class HTTP2Relay {
    private let carrier: any UpgradedProtocol
    private let method: String
    private let loop: EventLoop
    private var output = OutputQueue()
    /// What has been written and not been read yet.
    private var written: [UInt8] = []
    private var body: HTTPBodyReader?

    init(_ carrier: any UpgradedProtocol, answering method: String, loop: EventLoop) {
        self.carrier = carrier
        self.method = method
        self.loop = loop
    }

    /// Hands bytes of the request's body on, as many as the other server takes for now.
    /// - Parameter isEnd: whether nothing follows them.
    /// - Returns: how many it took.
    func take(_ input: inout [UInt8], isEnd: Bool) -> Int {
        let before = input.count
        while !carrier.isFinished, !carrier.isBlocked, carrier.take(from: &input, to: &output) {}
        if isEnd, input.isEmpty { carrier.inputHasEnded() }
        return before - input.count
    }

    /// Reads on as far as is needed for the next piece: what the client has no room for stays with the server.
    private func pump() {
        carrier.pump(through: loop.packetScratch, to: &output, limit: HTTPConnection.streamHighWater)
        while let segment = output.popFirst() { written += segment }
    }

    /// The head; nil while it is not complete.
    /// - Throws: when there is none to come.
    func head() throws(UpstreamError) -> HTTPResponseHead? {
        pump()
        while let (head, size) = try HTTPResponseParser.parse(written[...]) {
            written.removeFirst(size)
            guard head.status >= 200 else { continue }
            let framing = try head.framing(answering: method)
            do throws(HTTPParseError) {
                body = try HTTPBodyReader(framing: framing, limit: .max)
            } catch {
                throw UpstreamError(error.message)
            }
            return head
        }
        if carrier.isFinished { throw UpstreamError("unexpected EOF") }
        return nil
    }

    /// Whether anything follows the head.
    var hasBody: Bool { body?.isDone == false }

    enum Next {
        case bytes([UInt8])
        case nothing
        case end
        /// The server's answer has been cut short.
        case cut
    }

    /// The next piece of the body.
    func next() -> Next {
        if written.isEmpty { pump() }
        guard var reader = body else { return .cut }
        if !written.isEmpty, !reader.isDone {
            do throws(HTTPParseError) {
                let taken = try written.withBytes { bytes throws(HTTPParseError) in try reader.consume(bytes) }
                written.removeFirst(taken)
            } catch {
                return .cut
            }
        }
        let bytes = reader.takeBody()
        defer { body = reader }
        if !bytes.isEmpty { return .bytes(bytes) }
        if reader.isDone { return .end }
        guard carrier.isFinished, written.isEmpty else { return .nothing }
        return reader.finish() ? .end : .cut
    }

    /// Gives the server's answer up. Idempotent.
    func end() { carrier.end() }
}

extension HTTPResponseHead {
    /// The head as a header block: what is about one connection is left out.
    var block: HTTP2Fields {
        let ofConnection: Set = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        var block = HTTP2Fields()
        block.add(":status", String(status))
        for field in fields where !ofConnection.contains(field.name.lowercased()) {
            block.add(field.name, field.value)
        }
        return block
    }
}
