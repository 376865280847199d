/// What a connection is handed to: what it speaks once it has been upgraded to something of its own (SPDY, forwarded
/// ports), or another server's answer to the request at hand. It has packet pumps to extensions and streams to servers,
/// which call the connection when they can go on. Lives on the connection's loop.
protocol UpgradedProtocol: AnyObject {
    /// Takes what it can of the client's bytes from the front of `input`; whether it took or did anything.
    func take(from input: inout [UInt8], to output: inout OutputQueue) -> Bool
    /// The client has sent all of its request, whose body has no other end.
    func inputHasEnded()
    /// Whether the client must not be read for now, because an extension does not take what it has sent.
    var isBlocked: Bool { get }
    /// Moves what extensions have sent to `output`, until that holds `limit` bytes.
    func pump(through buffer: UnsafeMutableRawBufferPointer, to output: inout OutputQueue, limit: Int)
    /// Most bytes of the client's that wait to be taken.
    var inputLimit: Int { get }
    /// Whether all has been said: the connection ends when what is queued has been sent, or goes on.
    var isFinished: Bool { get }
    /// Whether the connection is as before when it is finished, so that another request may follow.
    var isReusable: Bool { get }
    /// The client has read on.
    func resume()
    /// The connection is gone. Idempotent.
    func end()
}

extension UpgradedProtocol {
    func inputHasEnded() {}
    var inputLimit: Int { .max }
    var isReusable: Bool { false }
}

/// What is handed over to an upgraded protocol: a connection, or the answer to a request on a stream of one. Lives on a loop.
protocol UpgradeHost: AnyObject, Sendable {
    var loop: EventLoop { get }
    /// What it was handed to can go on.
    func pumpIsReady()
    /// What reads the body of the request at hand, when that was left to come.
    func takeBodyReader() -> HTTPBodyReader?
}

/// An upgrade that has been agreed upon: the headers that say so, and what the connection speaks then.
struct StreamUpgrade: Sendable {
    /// Without `Connection: Upgrade`; nil when what the connection is handed to writes the head of a response itself.
    var headers: [(name: String, value: String)]?
    /// Told the status of another server's answer, where that is what the connection is handed to.
    var report: StatusReport?
    /// Called on the connection's loop.
    var begin: @Sendable (any UpgradeHost) throws -> any UpgradedProtocol
    /// Called in its place when the client has gone meanwhile.
    var discard: @Sendable () -> Void
}
