import CEpoll
import Glibc
import Objects
import Synchronization

/// Answers at ports of this node whether it routes services, and whether it has endpoints of one: one thread with one epoll.
/// The thread exists from the first port on. Requests are small and answered at once; connections are bounded in number,
/// size and time.
final class HealthServer: @unchecked Sendable {
    // SAFETY: what the loop's thread owns is touched by it alone; what is shared sits behind `inbox`.

    /// What is asked at a port.
    enum Page: Equatable, Sendable {
        case service(HealthCheck)
        case routing
        /// For this machine alone, at its loopback address.
        case status
    }

    /// A port and what is served there.
    struct Site: Equatable, Sendable {
        let port: UInt16
        let page: Page

        fileprivate var place: Place { Place(port: port, isLoopback: page == .status) }
    }

    fileprivate struct Place: Hashable {
        let port: UInt16
        let isLoopback: Bool
    }

    private struct Connection {
        let place: Place
        var head: [UInt8] = []
        let deadline: UInt64
    }

    private struct Inbox: Sendable {
        var sites: [Site]?
        /// By what services are routed.
        var mode = ""
        var isRunning = false
        var isStopped = false
    }

    /// Connections at once; further ones are closed.
    static let connectionLimit = 256
    private static let headLimit = 8 << 10
    private static let patience: UInt64 = 5_000_000_000

    private let health: @Sendable () -> RoutingHealth
    private let report: @Sendable (Site, any Error) -> Void
    private let inbox = Mutex(Inbox())
    private let wakeup: Int32
    private let poller: Int32
    private let thread = NodeThread(name: "hostd-health")

    private var sites: [Place: Site] = [:]
    private var listeners: [Int32: Place] = [:]
    private var connections: [Int32: Connection] = [:]
    /// Ports that another process has; nothing tells when it lets go of them.
    private var missing: Set<Place> = []
    private var nextTry = UInt64.max

    /// - Parameter report: told once of a port that cannot be listened at; it is tried again all the same.
    init(
        health: @escaping @Sendable () -> RoutingHealth,
        report: @escaping @Sendable (Site, any Error) -> Void
    ) throws {
        self.health = health
        self.report = report
        wakeup = try SystemError.check("eventfd", "") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
        do {
            poller = try SystemError.check("epoll_create1", "") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        } catch {
            close(wakeup)
            throw error
        }
        try watch(wakeup)
    }

    deinit {
        close(wakeup)
        close(poller)
    }

    // MARK: - From any thread

    /// Serves exactly these from now on.
    func serve(_ sites: [Site]) {
        let starts = inbox.withLock { inbox -> Bool in
            if inbox.isStopped || (sites.isEmpty && !inbox.isRunning) { return false }
            inbox.sites = sites
            defer { inbox.isRunning = true }
            return !inbox.isRunning
        }
        if !starts { return wake() }
        guard thread.start({ [self] in loop() }) else {
            inbox.withLock { $0.isRunning = false }
            for site in sites { report(site, SystemError("start a thread", "", code: EAGAIN)) }
            return
        }
    }

    func routes(by mode: String) { inbox.withLock { $0.mode = mode } }

    /// Returns when no port is open any more.
    func stop() {
        inbox.withLock { $0.isStopped = true }
        wake()
        thread.join()
    }

    private func wake() {
        var one: UInt64 = 1
        // A full counter means that the thread is about to wake anyway.
        _ = write(wakeup, &one, 8)
    }

    // MARK: - The loop's thread

    private func watch(_ descriptor: Int32) throws {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = descriptor
        try SystemError.check("epoll_ctl", "") { epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) }
    }

    private func loop() {
        var events = [epoll_event](repeating: epoll_event(), count: 32)
        while true {
            let (wanted, isStopped) = inbox.withLock { inbox -> ([Site]?, Bool) in
                defer { inbox.sites = nil }
                return (inbox.sites, inbox.isStopped)
            }
            if isStopped { break }
            if let wanted { take(wanted) }
            expire()
            let count = epoll_wait(poller, &events, Int32(events.count), timeout())
            for event in events.prefix(max(0, Int(count))) {
                let descriptor = event.data.fd
                if descriptor == wakeup {
                    var counter: UInt64 = 0
                    _ = read(wakeup, &counter, 8)
                } else if let place = listeners[descriptor] {
                    accept(descriptor, place)
                } else if connections[descriptor] != nil {
                    receive(descriptor)
                }
            }
        }
        for descriptor in listeners.keys { close(descriptor) }
        for descriptor in connections.keys { close(descriptor) }
        listeners = [:]
        connections = [:]
    }

    private func take(_ wanted: [Site]) {
        sites = Dictionary(wanted.map { ($0.place, $0) }, uniquingKeysWith: { first, _ in first })
        for (descriptor, place) in listeners where sites[place] == nil {
            close(descriptor)
            listeners[descriptor] = nil
        }
        missing = missing.filter { sites[$0] != nil }
        let open = Set(listeners.values)
        for site in wanted where !open.contains(site.place) && !missing.contains(site.place) { listen(site) }
        nextTry = missing.isEmpty ? .max : WallClock.monotonicNanoseconds() + Self.patience
    }

    private func listen(_ site: Site) {
        do {
            let descriptor = try Self.listener(site.place)
            do { try watch(descriptor) } catch {
                close(descriptor)
                throw error
            }
            listeners[descriptor] = site.place
            missing.remove(site.place)
        } catch {
            if missing.insert(site.place).inserted { report(site, error) }
        }
    }

    private static func listener(_ place: Place) throws -> Int32 {
        let name = "\(place.isLoopback ? "127.0.0.1" : "0.0.0.0"):\(place.port)"
        let descriptor = try SystemError.check("open a socket for", name) {
            socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = place.port.bigEndian
        address.sin_addr.s_addr = (place.isLoopback ? UInt32(0x7f00_0001) : 0).bigEndian
        do {
            try SystemError.check("listen at", name) {
                withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
            }
            try SystemError.check("listen at", name) { Glibc.listen(descriptor, 64) }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private func accept(_ listener: Int32, _ place: Place) {
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = accept4(listener, nil, nil, flags)
        if descriptor < 0 { return }
        guard connections.count < Self.connectionLimit else {
            close(descriptor)
            return
        }
        connections[descriptor] = Connection(
            place: place, deadline: WallClock.monotonicNanoseconds() + Self.patience)
        do { try watch(descriptor) } catch { end(descriptor) }
    }

    private func receive(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 2048)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0, var connection = connections[descriptor] else { return end(descriptor) }
        connection.head += buffer[..<count]
        connections[descriptor] = connection
        if HealthReply.isWhole(connection.head) {
            answer(descriptor, connection)
        } else if connection.head.count > Self.headLimit {
            end(descriptor)
        }
    }

    private func answer(_ descriptor: Int32, _ connection: Connection) {
        defer { end(descriptor) }
        // Another service's by now, or nobody's.
        guard let site = sites[connection.place] else { return }
        let request = HealthReply.request(connection.head)
        let bytes = (request.map { reply(site.page, $0.path) } ?? .malformed).bytes(withBody: request?.method != "HEAD")
        // A few hundred bytes fit into the buffer of a socket that nothing has been sent on; and nobody asks twice.
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private func reply(_ page: Page, _ path: String) -> HealthReply {
        let monotonic = WallClock.monotonicNanoseconds()
        return switch page {
        case .service(let check): .service(check, isHealthy: health().isHealthy(monotonic: monotonic))
        case .routing: .routing(path, health(), monotonic: monotonic, now: .now())
        case .status: .status(path, mode: inbox.withLock { $0.mode })
        }
    }

    private func end(_ descriptor: Int32) {
        connections[descriptor] = nil
        close(descriptor)
    }

    private func expire() {
        let now = WallClock.monotonicNanoseconds()
        for (descriptor, connection) in connections where connection.deadline <= now { end(descriptor) }
        guard nextTry <= now else { return }
        for place in missing { if let site = sites[place] { listen(site) } }
        nextTry = missing.isEmpty ? .max : now + Self.patience
    }

    /// Milliseconds to the next deadline, rounded up; -1 without one.
    private func timeout() -> Int32 {
        let next = connections.values.reduce(nextTry) { min($0, $1.deadline) }
        if next == .max { return -1 }
        let now = WallClock.monotonicNanoseconds()
        return next <= now ? 0 : Int32(clamping: (next - now + 999_999) / 1_000_000)
    }
}
