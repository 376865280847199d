import Glibc
import Synchronization

/// A server that sends back what it is sent, to many clients, on one thread.
final class Echo: @unchecked Sendable {
    // SAFETY: set once before the thread starts.
    private let listener: Int32
    private let ending: [Int32]
    private var thread = pthread_t()

    /// Listens in the calling thread's network namespace.
    init(port: UInt16) throws {
        let socket = try Sockets.make(SOCK_STREAM)
        listener = socket
        var pipes: [Int32] = [0, 0]
        pipe(&pipes)
        ending = pipes
        guard Sockets.call(Sockets.address("0.0.0.0", port), { bind(socket, $0, $1) }) == 0, listen(socket, 256) == 0
        else { throw TestFailure("listen", errno) }
        pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Echo>.fromOpaque(context).takeRetainedValue().serve()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    private func serve() {
        var files = [listener, ending[0]].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        while poll(&files, nfds_t(files.count), -1) >= 0 {
            if files[1].revents != 0 { break }
            if files[0].revents != 0 {
                let client = accept(listener, nil, nil)
                if client >= 0 { files.append(pollfd(fd: client, events: Int16(POLLIN), revents: 0)) }
            }
            for index in files.indices.dropFirst(2).reversed() where files[index].revents != 0 {
                let count = read(files[index].fd, &buffer, buffer.count)
                if count <= 0 || write(files[index].fd, buffer, count) != count {
                    close(files[index].fd)
                    files.remove(at: index)
                }
            }
        }
        for file in files.dropFirst(2) { close(file.fd) }
    }

    func stop() {
        close(ending[1])
        pthread_join(thread, nil)
        close(ending[0])
        close(listener)
    }
}

/// A client that keeps connections open and used, and makes new ones, from the network namespace of the thread that made
/// it. Its own thread takes turns: each connection once, and one more that ends at once.
final class Traffic: @unchecked Sendable {
    // SAFETY: the mutex guards what changes; the rest is set before the thread starts.
    private struct State {
        var connections: [Int32] = []
        var failures: [String] = []
        var rounds = 0
        var ends = false
    }
    private let state = Mutex(State())
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let target: sockaddr_in
    private var thread = pthread_t()

    init(_ host: String, _ port: UInt16) throws {
        target = Sockets.address(host, port)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        for _ in 0..<10 { try addConnection() }
        pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Traffic>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    private func dial() throws -> Int32 {
        let descriptor = try Sockets.make(SOCK_STREAM)
        do {
            try Self.withoutLoss(descriptor) {
                guard Sockets.call(target, { connect(descriptor, $0, $1) }) == 0 else { throw DialFailure(code: errno) }
            }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Fails when `body` takes as long as it does to send a lost packet again, and one was sent again. A machine that is
    /// busy may take as long as it likes.
    private static func withoutLoss(_ descriptor: Int32, _ body: () throws -> Void) throws {
        func sentAgain() -> UInt32 {
            var info = tcp_info()
            var size = socklen_t(MemoryLayout<tcp_info>.size)
            getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size)
            return info.tcpi_total_retrans
        }
        let (start, before) = (ContinuousClock.now, sentAgain())
        try body()
        if ContinuousClock.now - start > .milliseconds(900), sentAgain() != before { throw LostPacket() }
    }

    private struct LostPacket: Error {}

    /// One connection more, from the calling thread's namespace.
    func addConnection() throws {
        let descriptor = try dial()
        state.withLock { $0.connections.append(descriptor) }
    }

    private func exchange(_ descriptor: Int32) throws {
        var buffer = [UInt8](repeating: 0, count: 8)
        try Self.withoutLoss(descriptor) {
            guard send(descriptor, "hello", 5, Int32(MSG_NOSIGNAL)) == 5, read(descriptor, &buffer, 8) == 5 else {
                throw DialFailure(code: errno)
            }
        }
    }

    private func run() {
        while true {
            let (connections, ends) = state.withLock { ($0.connections, $0.ends) }
            if ends { return }
            func attempt(_ what: String, _ body: () throws -> Void) {
                do { try body() } catch { state.withLock { $0.failures.append("\(what): \(error)") } }
            }
            for connection in connections { attempt("connection \(connection)") { try exchange(connection) } }
            attempt("new") {
                let descriptor = try dial()
                defer { close(descriptor) }
                try exchange(descriptor)
            }
            pthread_mutex_lock(mutex)
            state.withLock { $0.rounds += 1 }
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
    }

    /// Waits until everything has been tried once from now on.
    func waitForRound() {
        pthread_mutex_lock(mutex)
        let wanted = state.withLock { $0.rounds } + 2
        while state.withLock({ $0.rounds }) < wanted { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// What failed, and how many new connections there were.
    func stop() -> (failures: [String], dials: Int) {
        state.withLock { $0.ends = true }
        pthread_join(thread, nil)
        return state.withLock { state in
            for connection in state.connections { close(connection) }
            return (state.failures, state.rounds)
        }
    }
}
