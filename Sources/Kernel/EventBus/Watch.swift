import CStateStore
import Glibc
import PluginAPI

/// One watch: live, when routing fills its queue, or catching up, when it reads the store's history itself.
final class Watch: PoolJob, @unchecked Sendable {
    // SAFETY: All state is behind `monitor`; `ordinal` and `isTouched` are the router's.

    typealias Sink = @Sendable (_ kind: Int32, _ data: UnsafeRawBufferPointer) -> Void

    /// Bytes given to a sink in one call, unless one event is larger.
    private static let deliverySize = 256 << 10
    /// Deliveries in a row before other watches get the thread.
    private static let turn = 16

    let handle: UInt64
    let prefix: [UInt8]
    let selector: IndexSelector
    private let sink: Sink
    private unowned let hub: WatchHub
    private let monitor = Monitor()
    private var queue = RingBuffer<Event>()
    private var queuedBytes = 0
    private var isLive = false
    /// Everything up to this revision was handed to the sink, or did not concern it.
    private var delivered: UInt64
    /// The newest event that came while the watch was not live.
    private var noted: UInt64 = 0
    private var told: UInt64 = 0
    private var wantsProgress = true
    private var isScheduled = false
    private var runner: UInt?
    private var isOver = false

    /// The last event that routing looked at for this watch, so that it is not queued twice.
    var ordinal: UInt64 = 0
    /// Whether routing has put the watch on its list.
    var isTouched = false

    init(handle: UInt64, prefix: [UInt8], selector: IndexSelector, from: UInt64, hub: WatchHub, sink: @escaping Sink) {
        self.handle = handle
        self.prefix = prefix
        self.selector = selector
        delivered = from
        self.hub = hub
        self.sink = sink
    }

    deinit {
        while let event = queue.popFirst() { event.release() }
    }

    // MARK: Matching

    /// Whether the watch is to see an event.
    func wants(_ event: Event) -> Bool {
        guard prefix.withUnsafeBytes({ event.record.key.begins(with: $0) }) else { return false }
        if selector.isEmpty { return true }
        if event.record.isPut && selector.matches(event.record) { return true }
        guard let previous = event.previous, previous.isPut else { return false }
        return selector.matches(previous)
    }

    /// The flags that the record gets in this watch's batch.
    private func flags(_ event: Event) -> UInt32 {
        guard event.record.isPut else { return planted(.deleteWithoutPrevious) ? 0 : HOSTD_STORE_RECORD_HAS_PREVIOUS }
        guard !selector.isEmpty, let previous = event.previous, previous.isPut else { return 0 }
        if !selector.matches(event.record) { return HOSTD_STORE_RECORD_LEFT | HOSTD_STORE_RECORD_HAS_PREVIOUS }
        return selector.matches(previous) ? 0 : HOSTD_STORE_RECORD_ENTERED
    }

    // MARK: Filling, by the router

    /// Queues an event, or notes that there is one. True when the watch is to be scheduled after the batch.
    func offer(_ event: Event, limit: Int) -> Bool {
        monitor.lock()
        defer { monitor.unlock() }
        if isOver || event.record.revision <= delivered { return false }
        noted = event.record.revision
        guard isLive else { return true }
        if queuedBytes > 0 && queuedBytes + event.record.size > limit {
            // Too slow: it reads on from the history when it comes to it, and costs no memory meanwhile.
            isLive = false
            if planted(.overflowSkipped) { delivered = event.record.revision }
            while let dropped = queue.popFirst() { dropped.release() }
            queuedBytes = 0
            return true
        }
        event.retain()
        queue.append(event)
        queuedBytes += event.record.size + (event.record.isPut ? 0 : event.previous?.size ?? 0)
        return true
    }

    /// Gives the watch to the dispatchers unless it is there already. Returns whether the caller is to do that.
    func claimSchedule(progress: Bool = false) -> Bool {
        monitor.lock()
        defer { monitor.unlock() }
        if isOver { return false }
        if progress {
            if !isLive || !queue.isEmpty || told >= hub.routedRevision { return false }
            wantsProgress = true
        }
        defer { isScheduled = true }
        return !isScheduled
    }

    // MARK: Delivering, by a dispatcher

    func run() {
        monitor.lock()
        runner = KernelThread.current
        var turns = 0
        var isDone = false
        while !isOver && !isDone && turns < Self.turn {
            turns += 1
            isDone = isLive ? deliverQueued() : catchUp()
        }
        runner = nil
        let again = !isOver && !isDone
        isScheduled = again
        monitor.broadcast()
        monitor.unlock()
        if again { hub.submit(self) }
    }

    /// Delivers what is queued. The lock is held, and given up while the sink runs. True when nothing is left.
    private func deliverQueued() -> Bool {
        let routed = hub.routedRevision
        var events: [Event] = []
        var bytes = 0
        while !queue.isEmpty, queue[0].record.revision <= routed, bytes < Self.deliverySize || isInside(events) {
            guard let event = queue.popFirst() else { break }
            events.append(event)
            bytes += event.record.size + (event.record.isPut ? 0 : event.previous?.size ?? 0)
        }
        queuedBytes = queue.isEmpty ? 0 : max(0, queuedBytes - bytes)
        if let last = events.last {
            delivered = last.record.revision
            told = delivered
            deliver(events)
            return planted(.watchWakeUpLost)
        }
        guard queue.isEmpty else { return true }
        delivered = max(delivered, routed)
        tellProgress()
        return queue.isEmpty
    }

    /// Whether the next queued event belongs to the last transaction taken.
    private func isInside(_ events: [Event]) -> Bool {
        events.last.map { $0.record.revision == queue[0].record.revision } ?? false
    }

    private func tellProgress() {
        guard wantsProgress else { return }
        wantsProgress = false
        told = delivered
        let revision = delivered.littleEndian
        monitor.unlock()
        withUnsafeBytes(of: revision) { sink(HOSTD_SINK_PROGRESS, $0) }
        monitor.lock()
    }

    /// Reads a piece of history. The lock is held, and given up meanwhile. True when the watch is live and has nothing.
    private func catchUp() -> Bool {
        let from = delivered
        monitor.unlock()
        let piece = hub.history(of: self, after: from, limit: Self.deliverySize)
        monitor.lock()
        guard let piece else {
            finish(HOSTD_SINK_RESYNC, "")
            return true
        }
        if !isOver { delivered = piece.upTo }
        if !piece.events.isEmpty {
            told = piece.upTo
            deliver(piece.events)
        } else if piece.isEnd && noted <= delivered {
            isLive = true
            tellProgress()
        }
        return false
    }

    /// Ends the stream with a last message. The lock is held.
    private func finish(_ kind: Int32, _ reason: String) {
        if isOver { return }
        isOver = true
        monitor.unlock()
        hub.forget(self)
        var reason = reason
        reason.withUTF8 { sink(kind, UnsafeRawBufferPointer($0)) }
        monitor.lock()
    }

    /// Hands events to the sink as one run of records, and releases them. The lock is held, and given up meanwhile.
    private func deliver(_ events: [Event]) {
        monitor.unlock()
        if events.count == 1, let event = events.first, event.record.isPut, flags(event) == 0 {
            sink(HOSTD_SINK_DATA, event.record.raw)  // As it lies in memory.
        } else {
            deliverCopy(events)
        }
        for event in events { event.release() }
        monitor.lock()
    }

    private func deliverCopy(_ events: [Event]) {
        let flagged = events.map { ($0, flags($0)) }
        func extra(_ event: Event, _ flags: UInt32) -> Record? {
            flags & HOSTD_STORE_RECORD_HAS_PREVIOUS != 0 ? event.previous : nil
        }
        let size = flagged.reduce(0) { $0 + $1.0.record.size + (extra($1.0, $1.1)?.size ?? 0) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { buffer.deallocate() }
        guard var end = buffer.baseAddress else { return }
        for (event, flags) in flagged {
            let previous = extra(event, flags)
            memcpy(end, event.record.bytes, event.record.size)
            let known = previous == nil ? flags & ~UInt32(HOSTD_STORE_RECORD_HAS_PREVIOUS) : flags
            end.assumingMemoryBound(to: hostd_store_record.self).pointee.flags = known
            end += event.record.size
            if let previous {
                memcpy(end, previous.bytes, previous.size)
                end += previous.size
            }
        }
        sink(HOSTD_SINK_DATA, UnsafeRawBufferPointer(buffer))
    }

    // MARK: Ending

    /// When it returns the sink is not running, unless this is called from it, and will not run again.
    func cancel() {
        monitor.lock()
        isOver = true
        while let runner, runner != KernelThread.current { monitor.wait() }
        while let event = queue.popFirst() { event.release() }
        monitor.unlock()
    }

    /// Ends the stream from the store's side: the sink gets END as its last message.
    func end(_ reason: String) {
        monitor.lock()
        let wasOver = isOver
        isOver = true
        while let runner, runner != KernelThread.current { monitor.wait() }
        monitor.unlock()
        var reason = reason
        if !wasOver { reason.withUTF8 { sink(HOSTD_SINK_END, UnsafeRawBufferPointer($0)) } }
    }
}
