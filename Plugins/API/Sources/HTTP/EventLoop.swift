import CEpoll
import CTurns
import Glibc
import Synchronization

/// Something that an event loop tells of readiness. Called on the loop's thread alone.
protocol EventHandler: AnyObject {
    /// `events` are epoll's bits.
    func ready(_ events: UInt32)
    /// A deadline of the handler's, if it has any, may have passed; the result is its next one, or `.max`.
    func checkDeadline(now: UInt64) -> UInt64
    /// The loop ends: the handler releases what it has.
    func loopEnds()
}

extension EventHandler {
    func checkDeadline(now: UInt64) -> UInt64 { .max }
    func loopEnds() {}
}

/// One thread around one epoll instance. Handlers are registered edge-triggered and live on this thread alone; other
/// threads hand it closures with `post`.
final class EventLoop: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but `inbox` and the two descriptors belongs to the loop's thread.
    struct Token: Hashable, Sendable {
        fileprivate var raw: UInt64
    }

    private struct Slot {
        var handler: EventHandler?
        var generation: UInt32
    }

    private struct Inbox {
        var work: [@Sendable () -> Void] = []
        var isOpen = true
    }

    private let epollDescriptor: Int32
    private let wakeDescriptor: Int32
    private let inbox = Mutex(Inbox())
    /// The loop sleeps, or is about to when its inbox is empty: who puts something there must wake it. While it works it needs no
    /// waking, since it looks there before it sleeps.
    private let isAsleep = Atomic<Bool>(false)
    private let ownThread = Mutex<pthread_t?>(nil)
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var nextDeadline = UInt64.max
    private var thread: LoopThread?
    /// Registered handlers.
    private var active = 0
    /// When the loop ends; it ends before, when it has no handlers any more.
    private var end: UInt64?
    private var afterwards: [() -> Void] = []
    /// CLOCK_MONOTONIC at the last wake-up, in nanoseconds.
    private(set) var now: UInt64 = 0
    /// Where connections of this loop receive; one buffer for all.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 40 * 1024, alignment: 16)
    /// What they open and seal TLS records with.
    let records = RecordSpace()
    /// Where packets of extensions are received.
    let packetScratch = UnsafeMutableRawBufferPointer.allocate(byteCount: PacketPump.packetLimit, alignment: 16)
    private var dateSecond: Int = 0
    private var dateText: [UInt8] = []

    init() throws(HTTPServerError) {
        epollDescriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epollDescriptor >= 0 else { throw .system(call: "epoll_create1", code: errno, detail: "an event loop") }
        wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wakeDescriptor >= 0 else {
            let code = errno
            close(epollDescriptor)
            throw .system(call: "eventfd", code: code, detail: "an event loop")
        }
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: UInt64.max))
        guard epoll_ctl(epollDescriptor, EPOLL_CTL_ADD, wakeDescriptor, &event) == 0 else {
            throw .system(call: "epoll_ctl", code: errno, detail: "an event loop")
        }
    }

    deinit {
        close(epollDescriptor)
        close(wakeDescriptor)
        scratch.deallocate()
        packetScratch.deallocate()
    }

    func start(name: String) throws(HTTPServerError) {
        thread = try LoopThread(name: name) { [self] in
            hostd_thread_turns(Self.turn)
            run()
        }
    }

    /// Lets the loop end after what is posted already: when its last handler has gone, or after `patience` nanoseconds.
    func leave(patience: UInt64 = 0) {
        post { [self] in
            end = now + patience
            schedule(deadline: now + patience)
        }
    }

    /// Waits for the end of the loop's thread. Not from the loop itself, and after `leave`. [blocking]
    func join() {
        thread?.join()
        thread = nil
    }

    /// How long the loop's thread runs at a time where others want its processor, in nanoseconds: clients wait for it.
    private static let turn: UInt64 = 100_000

    /// Work that is put off is done when there is so much of it, though more is ready.
    private static let mostAfterwards = 32

    /// Runs `work` once the loop has done all that is ready now, or a good deal of it, and before it waits. On the loop's
    /// thread.
    func afterwards(_ work: @escaping () -> Void) { afterwards.append(work) }

    /// Runs `work` on the loop's thread, in order. Dropped once the loop has stopped. [any-thread]
    func post(_ work: @escaping @Sendable () -> Void) { _ = take(work) }

    /// The same; false when the loop has stopped.
    func take(_ work: @escaping @Sendable () -> Void) -> Bool {
        let isOpen = inbox.withLock { inbox in
            if inbox.isOpen { inbox.work.append(work) }
            return inbox.isOpen
        }
        if isOpen, isAsleep.exchange(false, ordering: .sequentiallyConsistent) {
            var one: UInt64 = 1
            // An eventfd write fails only when the counter is at its end, and then the loop wakes anyway.
            _ = write(wakeDescriptor, &one, 8)
        }
        return isOpen
    }

    var isCurrent: Bool {
        ownThread.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
    }

    /// Registers a descriptor edge-triggered for `events`. On the loop's thread.
    func add(_ handler: EventHandler, descriptor: Int32, events: UInt32) throws(HTTPServerError) -> Token {
        let index: UInt32
        if let free = freeSlots.popLast() {
            index = free
        } else {
            index = UInt32(slots.count)
            slots.append(Slot(handler: nil, generation: 0))
        }
        slots[Int(index)].generation &+= 1
        slots[Int(index)].handler = handler
        active += 1
        let raw = UInt64(slots[Int(index)].generation & 0x7FFF_FFFF) << 32 | UInt64(index)
        var event = epoll_event(events: events, data: epoll_data_t(u64: raw))
        guard epoll_ctl(epollDescriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            let code = errno
            slots[Int(index)].handler = nil
            freeSlots.append(index)
            active -= 1
            throw .system(call: "epoll_ctl", code: code, detail: "a connection")
        }
        return Token(raw: raw)
    }

    /// Ends a registration; the handler hears no more. The caller closes the descriptor.
    func remove(_ token: Token, descriptor: Int32) {
        let index = Int(token.raw & 0xFFFF_FFFF)
        guard handler(of: token.raw) != nil else { return }
        var event = epoll_event()
        epoll_ctl(epollDescriptor, EPOLL_CTL_DEL, descriptor, &event)
        slots[index].handler = nil
        freeSlots.append(UInt32(index))
        active -= 1
    }

    /// Makes sure that `checkDeadline` of all handlers runs soon after `deadline`.
    func schedule(deadline: UInt64) {
        if deadline < nextDeadline { nextDeadline = deadline }
    }

    /// All handlers, for an orderly end.
    var handlers: [EventHandler] { slots.compactMap(\.handler) }

    /// The Date header's value (RFC 9110, section 5.6.7), made once a second.
    func date() -> [UInt8] {
        var clock = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &clock)
        if clock.tv_sec != dateSecond || dateText.isEmpty {
            dateSecond = clock.tv_sec
            dateText = HTTPDate.format(clock.tv_sec)
        }
        return dateText
    }

    private func handler(of raw: UInt64) -> EventHandler? {
        let index = Int(raw & 0xFFFF_FFFF)
        guard index < slots.count, UInt64(slots[index].generation & 0x7FFF_FFFF) == raw >> 32 else { return nil }
        return slots[index].handler
    }

    private func run() {
        ownThread.withLock { $0 = pthread_self() }
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        updateClock()
        while !isOver {
            isAsleep.store(true, ordering: .sequentiallyConsistent)
            let wait = inbox.withLock { $0.work.isEmpty } ? timeout() : 0
            let count = epoll_wait(epollDescriptor, &events, Int32(events.count), wait)
            isAsleep.store(false, ordering: .relaxed)
            updateClock()
            for position in 0..<max(0, Int(count)) {
                let raw = events[position].data.u64
                if raw == UInt64.max {
                    var value: UInt64 = 0
                    _ = read(wakeDescriptor, &value, 8)
                } else {
                    handler(of: raw)?.ready(events[position].events)
                    if afterwards.count >= Self.mostAfterwards { runAfterwards() }
                }
            }
            runInbox()
            if now >= nextDeadline { checkDeadlines() }
            runAfterwards()
        }
        for handler in handlers { handler.loopEnds() }
        inbox.withLock { $0.isOpen = false }
        runInbox()
        runAfterwards()
        slots.removeAll()
    }

    private var isOver: Bool {
        guard let end else { return false }
        return active == 0 || now >= end
    }

    private func runInbox() {
        let work = inbox.withLock { inbox in
            let work = inbox.work
            inbox.work = []
            return work
        }
        for item in work { item() }
    }

    private func runAfterwards() {
        while !afterwards.isEmpty {
            let work = afterwards
            afterwards = []
            for item in work { item() }
        }
    }

    private func checkDeadlines() {
        var next = UInt64.max
        nextDeadline = .max
        for index in slots.indices {
            if let handler = slots[index].handler { next = min(next, handler.checkDeadline(now: now)) }
        }
        // Not more than one sweep in half a second, whatever the number of connections.
        if next != .max { schedule(deadline: max(next, now + 500_000_000)) }
        if let end { schedule(deadline: end) }
    }

    private func timeout() -> Int32 {
        guard nextDeadline != .max else { return -1 }
        guard nextDeadline > now else { return 0 }
        return Int32(min((nextDeadline - now) / 1_000_000 + 1, 3_600_000))
    }

    private func updateClock() {
        var clock = timespec()
        clock_gettime(CLOCK_MONOTONIC, &clock)
        now = UInt64(clock.tv_sec) * 1_000_000_000 + UInt64(clock.tv_nsec)
    }
}
