/// What a request came on, and its response goes to: a connection, or one of its streams. Lives on a loop.
protocol HTTPExchangeOwner: AnyObject {
    /// The client's address, without its port; nil when it has gone.
    var peerAddress: String? { get }
    /// Takes the response. On the loop.
    func complete(_ exchange: HTTPExchange, _ response: HTTPResponse)
}

/// One request of a connection and its one response.
final class HTTPExchange: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the owner is only touched on its loop, where `respond` takes the response; `labels` by
    // whoever has the request at hand, which is one thread at a time.
    let head: HTTPRequestHead
    let body: [UInt8]
    /// Whether the body is still to come, for who carries it on.
    let carriesBody: Bool
    /// The client's certificate, when it showed one.
    let certificate: ClientCertificate?
    private let owner: any HTTPExchangeOwner
    /// Where it is handled and answered.
    let loop: EventLoop
    /// What it is counted by, once it is known what it is about.
    var labels: RequestLabels?

    init(
        head: HTTPRequestHead, body: [UInt8], carriesBody: Bool = false, certificate: ClientCertificate?,
        owner: any HTTPExchangeOwner, loop: EventLoop
    ) {
        self.head = head
        self.body = body
        self.carriesBody = carriesBody
        self.certificate = certificate
        self.owner = owner
        self.loop = loop
    }

    /// The client's address, without its port; nil when it has gone. On the loop.
    var peerAddress: String? { owner.peerAddress }

    /// Runs work on the exchange's loop, later. [any-thread]
    func onLoop(_ work: @escaping @Sendable () -> Void) { loop.post(work) }

    /// Answers; exactly once. [any-thread]
    func respond(_ response: HTTPResponse) {
        if loop.isCurrent {
            owner.complete(self, response)
        } else {
            loop.post { [self] in owner.complete(self, response) }
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
