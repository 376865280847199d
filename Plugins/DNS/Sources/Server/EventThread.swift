import CEpoll
import Glibc
import Synchronization

/// Something that waits for its socket or its deadline. Called on the event thread alone.
protocol EventSource: AnyObject {
    /// `events` are epoll's bits.
    func ready(_ events: UInt32)
    /// When `expired` is wanted, in monotonic nanoseconds; `.max` = never.
    var deadline: UInt64 { get }
    func expired()
}

/// One thread around one epoll instance, level-triggered. Other threads hand it closures with `post`.
final class EventThread: @unchecked Sendable {
    // SAFETY: `sources` and `nextToken` belong to the thread; the rest is immutable or behind the mutex.
    private let epoll: Int32
    private let wake: Int32
    private struct Inbox {
        var work: [@Sendable () -> Void] = []
        var isStopping = false
    }
    private let inbox = Mutex(Inbox())
    private var sources: [UInt64: any EventSource] = [:]
    private var nextToken: UInt64 = 1
    private var thread = pthread_t()

    /// Starts the thread.
    init(name: String) throws(ServerError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw ServerError("make an epoll instance") }
        wake = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard wake >= 0 else {
            let failure = ServerError("make an eventfd")
            close(epoll)
            throw failure
        }
        control(EPOLL_CTL_ADD, wake, token: 0, events: EPOLLIN.rawValue)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 512 * 1024)
        let context = Unmanaged.passRetained(self).toOpaque()
        let status = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<EventThread>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        pthread_attr_destroy(&attributes)
        guard status == 0 else {
            Unmanaged<EventThread>.fromOpaque(context).release()
            errno = status
            throw ServerError("start a thread")
        }
        pthread_setname_np(thread, name)
    }

    deinit {
        close(epoll)
        close(wake)
    }

    /// Runs a closure on the thread. After `stop` it does nothing.
    func post(_ work: @escaping @Sendable () -> Void) {
        inbox.withLock { $0.work.append(work) }
        signal()
    }

    /// Ends the thread and lets go of all sources. Not from the thread itself.
    func stop() {
        inbox.withLock { $0.isStopping = true }
        signal()
        pthread_join(thread, nil)
    }

    private func signal() {
        var one: UInt64 = 1
        // A full counter means that the thread is about to wake anyway.
        _ = write(wake, &one, 8)
    }

    /// Watches a descriptor. On the thread. Returns the token for `change` and `remove`.
    func add(_ source: any EventSource, _ descriptor: Int32, events: UInt32) -> UInt64 {
        let token = nextToken
        nextToken += 1
        sources[token] = source
        control(EPOLL_CTL_ADD, descriptor, token: token, events: events)
        return token
    }

    func change(_ token: UInt64, _ descriptor: Int32, events: UInt32) {
        control(EPOLL_CTL_MOD, descriptor, token: token, events: events)
    }

    /// Lets go of a source. Its descriptor is closed by its owner.
    func remove(_ token: UInt64, _ descriptor: Int32) {
        sources[token] = nil
        control(EPOLL_CTL_DEL, descriptor, token: token, events: 0)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, token: UInt64, events: UInt32) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        _ = epoll_ctl(epoll, operation, descriptor, &event)
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), timeout())
            for event in events[..<max(0, Int(count))] {
                if event.data.u64 == 0 {
                    var counter: UInt64 = 0
                    _ = read(wake, &counter, 8)
                } else {
                    sources[event.data.u64]?.ready(event.events)
                }
            }
            let (work, isStopping) = inbox.withLock { inbox -> ([@Sendable () -> Void], Bool) in
                defer { inbox.work = [] }
                return (inbox.work, inbox.isStopping)
            }
            if isStopping { break }
            for item in work { item() }
            let now = monotonicNow()
            for source in sources.values.filter({ $0.deadline <= now }) { source.expired() }
        }
        sources = [:]
    }

    /// Milliseconds to the next deadline, rounded up; -1 without one. Only exchanges and open connections have any.
    private func timeout() -> Int32 {
        let next = sources.values.reduce(UInt64.max) { min($0, $1.deadline) }
        if next == .max { return -1 }
        let now = monotonicNow()
        return next <= now ? 0 : Int32(clamping: (next - now + 999_999) / 1_000_000)
    }
}
