/// One request of a connection and its one response.
final class HTTPExchange: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the connection is only touched on its loop, where `respond` takes the response.
    let head: HTTPRequestHead
    let body: [UInt8]
    /// Whether the body is still to come, for who carries it on.
    let carriesBody: Bool
    /// The client's certificate, when it showed one.
    let certificate: ClientCertificate?
    private let connection: HTTPConnection
    private let loop: EventLoop

    init(
        head: HTTPRequestHead, body: [UInt8], carriesBody: Bool = false, certificate: ClientCertificate?,
        connection: HTTPConnection, loop: EventLoop
    ) {
        self.head = head
        self.body = body
        self.carriesBody = carriesBody
        self.certificate = certificate
        self.connection = connection
        self.loop = loop
    }

    /// The client's address, without its port; nil when it has gone. On the loop.
    var peerAddress: String? { SocketAddress.peer(of: connection.descriptor) }

    /// Runs work on the exchange's loop, later. [any-thread]
    func onLoop(_ work: @escaping @Sendable () -> Void) { loop.post(work) }

    /// Answers; exactly once. [any-thread]
    func respond(_ response: HTTPResponse) {
        if loop.isCurrent {
            connection.complete(self, response)
        } else {
            loop.post { [self] in connection.complete(self, response) }
        }
    }
}

/// What answers the requests of a server.
protocol HTTPHandler: AnyObject, Sendable {
    /// Called on the connection's loop; must not block. Answers through the exchange, now or later.
    func handle(_ exchange: HTTPExchange)
    /// The answer to bytes that are no request.
    func refusal(_ error: HTTPParseError) -> HTTPResponse
    /// Whether a request's body is not to be read before the request is handled, because it is carried on to elsewhere
    /// while it comes. Asked of requests that have one.
    func carriesBody(_ head: HTTPRequestHead) -> Bool
}

extension HTTPHandler {
    func carriesBody(_ head: HTTPRequestHead) -> Bool { false }
}
