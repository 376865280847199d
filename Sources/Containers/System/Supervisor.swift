import CRuntime
import Glibc
import PluginKit
import Synchronization

/// One thread that waits for whatever happens to containers: exits, reports, closed connections, memory pressure. Handlers
/// run on it, one at a time, and must not block.
package final class Supervisor: @unchecked Sendable {
    // SAFETY: `thread` is written by start and stop only, which the plugin's life cycle serialises; the rest is immutable
    // or in a Mutex.
    /// Returns whether to go on watching.
    package typealias Handler = @Sendable () -> Bool

    private struct State {
        var handlers: [UInt64: (descriptor: Descriptor, handler: Handler)] = [:]
        var nextToken: UInt64 = 1
        var isStopping = false
    }

    private let epoll: Descriptor
    private let wake: Descriptor
    private let state = Mutex(State())
    private var thread: pthread_t?

    package init() throws(PluginError) {
        epoll = try Descriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), "make", "an epoll instance")
        wake = try Descriptor(eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)), "make", "an event descriptor")
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: 0))
        if epoll_ctl(epoll.number, EPOLL_CTL_ADD, wake.number, &event) != 0 {
            throw .system("watch", "an event descriptor", errno: errno)
        }
    }

    package func start() throws(PluginError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 512 << 10)
        let reference = Unmanaged.passRetained(self)
        var created = pthread_t()
        let code = pthread_create(
            &created, &attributes,
            { argument in
                runtime_name_thread("runtime-events")
                if let argument { Unmanaged<Supervisor>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, reference.toOpaque())
        if code != 0 {
            reference.release()
            throw .system("start", "the runtime's event thread", errno: code)
        }
        thread = created
    }

    /// Ends the thread and forgets all handlers. Not from a handler.
    package func stop() {
        state.withLock { $0.isStopping = true }
        notify()
        if let thread { pthread_join(thread, nil) }
        thread = nil
        state.withLock { $0.handlers = [:] }
    }

    private func notify() {
        var one: UInt64 = 1
        _ = write(wake.number, &one, 8)
    }

    /// Calls `handler` whenever `descriptor` is readable or closed by the other side.
    @discardableResult
    package func watch(_ descriptor: Descriptor, handler: @escaping Handler) throws(PluginError) -> UInt64 {
        let token = state.withLock { state in
            let token = state.nextToken
            state.nextToken += 1
            state.handlers[token] = (descriptor, handler)
            return token
        }
        var event = epoll_event(events: EPOLLIN.rawValue | EPOLLRDHUP.rawValue, data: epoll_data_t(u64: token))
        if epoll_ctl(epoll.number, EPOLL_CTL_ADD, descriptor.number, &event) != 0 {
            let code = errno
            state.withLock { $0.handlers[token] = nil }
            throw .system("watch", "a descriptor", errno: code)
        }
        return token
    }

    /// Forgets a handler; one that runs at this moment still finishes.
    package func forget(_ token: UInt64) {
        guard let entry = state.withLock({ $0.handlers.removeValue(forKey: token) }) else { return }
        epoll_ctl(epoll.number, EPOLL_CTL_DEL, entry.descriptor.number, nil)
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 32)
        while !state.withLock({ $0.isStopping }) {
            let count = epoll_wait(epoll.number, &events, Int32(events.count), -1)
            if count <= 0 { continue }
            for event in events[0..<Int(count)] where event.data.u64 != 0 {
                let token = event.data.u64
                guard let entry = state.withLock({ $0.handlers[token] }) else { continue }
                if !entry.handler() { forget(token) }
            }
        }
    }
}
