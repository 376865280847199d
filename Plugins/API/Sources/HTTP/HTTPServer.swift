import CEpoll
import Glibc
import Synchronization

/// The HTTPS server: event loops on threads of their own, listeners that spread connections over them.
final class HTTPServer: Sendable {
    /// Most connections at once; more are closed as they come.
    static let connectionLimit = 20_000

    let loops: [EventLoop]
    private let handler: any HTTPHandler
    private let context: Mutex<TLSContext?>
    private let listeners = Mutex<[HTTPListener]>([])
    private let connections = Atomic<Int>(0)
    private let next = Atomic<Int>(0)

    /// Starts the loops. Without a context the server speaks plain HTTP.
    init(threads: Int, context: TLSContext?, handler: any HTTPHandler) throws(HTTPServerError) {
        var loops: [EventLoop] = []
        for _ in 0..<threads { loops.append(try EventLoop()) }
        self.loops = loops
        self.handler = handler
        self.context = Mutex(context)
        for (index, loop) in loops.enumerated() { try loop.start(name: "api-\(index)") }
    }

    var connectionCount: Int { connections.load(ordering: .relaxed) }

    /// New connections use `context` from now on.
    func replaceContext(_ context: TLSContext) {
        self.context.withLock { $0 = context }
    }

    /// Opens a listener; the result is the port, chosen by the system for port 0.
    @discardableResult
    func listen(on address: SocketAddress) throws(HTTPServerError) -> UInt16 {
        try listen(on: address) { [unowned self] descriptor in
            serve(descriptor, context: context.withLock { $0 }, handler: handler)
        }.port
    }

    /// Opens a listener whose connections go to `accepted`, on a loop, which hands them to `serve` or to `refuse`.
    func listen(
        on address: SocketAddress, accepted: @escaping @Sendable (Int32) -> Void
    ) throws(HTTPServerError) -> HTTPListener {
        let loop = loops[0]
        let listener = HTTPListener(descriptor: try address.listen(), loop: loop) { [unowned self] descriptor in
            guard connections.add(1, ordering: .relaxed).newValue <= Self.connectionLimit else {
                return refuse(descriptor)
            }
            accepted(descriptor)
        }
        listeners.withLock { $0.append(listener) }
        loop.post { listener.begin() }
        return listener
    }

    /// Closes a listener; its connections go on.
    func close(_ listener: HTTPListener) {
        listeners.withLock { $0.removeAll { $0 === listener } }
        listener.loop.post { listener.end() }
    }

    /// How long requests that are being answered may take to end when the server stops, in nanoseconds.
    private static let patience: UInt64 = 1_000_000_000

    /// Closes listeners and connections, and ends the threads. Requests that are being answered may end; watches end, and
    /// clients of HTTP/2 are told to go. [blocking]
    func stop() {
        let open = listeners.withLock { listeners in
            defer { listeners = [] }
            return listeners
        }
        for listener in open { listener.loop.post { listener.end() } }
        for loop in loops {
            loop.post { [unowned loop] in
                for case let connection as HTTPConnection in loop.handlers { connection.drain() }
            }
            loop.leave(patience: Self.patience)
        }
        for loop in loops { loop.join() }
    }

    /// Closes an accepted connection. [any-thread]
    func refuse(_ descriptor: Int32) {
        connections.subtract(1, ordering: .relaxed)
        Glibc.close(descriptor)
    }

    /// Serves an accepted connection, on one of the loops. [any-thread]
    func serve(_ descriptor: Int32, context: TLSContext?, handler: any HTTPHandler) {
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, 4)
        var idle: Int32 = 60
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, &idle, 4)
        let loop = loops[next.wrappingAdd(1, ordering: .relaxed).newValue % loops.count]
        loop.post { [self] in
            guard let transport = Transport(descriptor: descriptor, context: context) else {
                return refuse(descriptor)
            }
            let connection = HTTPConnection(
                descriptor: descriptor, transport: transport, loop: loop, handler: handler
            ) { [self] in connections.subtract(1, ordering: .relaxed) }
            connection.begin()
        }
    }
}

/// A listening socket on a loop.
final class HTTPListener: EventHandler, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): used on its loop's thread alone after `init`.
    let loop: EventLoop
    /// Chosen by the system where 0 was asked for.
    let port: UInt16
    private let descriptor: Int32
    private let accepted: (Int32) -> Void
    private var token: EventLoop.Token?
    private var retry = UInt64.max
    private var isOpen = true

    init(descriptor: Int32, loop: EventLoop, accepted: @escaping (Int32) -> Void) {
        self.descriptor = descriptor
        port = SocketAddress.port(of: descriptor)
        self.loop = loop
        self.accepted = accepted
    }

    func begin() {
        do {
            token = try loop.add(self, descriptor: descriptor, events: EPOLLIN.rawValue | EPOLLET.rawValue)
            ready(EPOLLIN.rawValue)
        } catch {
            end()
        }
    }

    func ready(_ events: UInt32) {
        while isOpen {
            let client = accept4(descriptor, nil, nil, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
            if client >= 0 {
                accepted(client)
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EAGAIN: return
            default:
                // Out of descriptors or memory: those that wait are taken when some are free again.
                retry = loop.now + 200_000_000
                loop.schedule(deadline: retry)
                return
            }
        }
    }

    func checkDeadline(now: UInt64) -> UInt64 {
        guard now >= retry else { return retry }
        retry = .max
        ready(EPOLLIN.rawValue)
        return retry
    }

    func end() {
        guard isOpen else { return }
        isOpen = false
        if let token { loop.remove(token, descriptor: descriptor) }
        close(descriptor)
    }
}
