import CStateStore
import Glibc
import PluginAPI
import Synchronization

/// One watch: live, when routing fills its queue, or catching up, when it reads the store's history itself.
final class Watch: PoolJob, @unchecked Sendable {
    // SAFETY: All state is behind `monitor`; `ordinal` and `isTouched` are the router's.

    typealias Sink = @Sendable (_ kind: Int32, _ data: UnsafeRawBufferPointer) -> Void

    /// Bytes given to a sink in one call, unless one event is larger.
    private static let deliverySize = 256 << 10
    /// Deliveries in a row before other watches get the thread.
    private static let turn = 16
    /// Bytes that the committer delivers itself.
    private static let promptSize = 64 << 10
    /// An event of this size goes to the sink by itself, as it lies; smaller ones are put together.
    private static let largeSize = 4 << 10

    private struct Queued {
        let event: SharedEvent
        let flags: UInt32
    }

    let handle: UInt64
    let prefix: [UInt8]
    let selector: IndexSelector
    private let sink: Sink
    private unowned let hub: WatchHub
    private let monitor = Monitor()
    private var queue = RingBuffer<Queued>()
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
    /// Where it lies in the tables; the hub's.
    var place = WatchRoutes.Place.all
    var ringPosition = 0
    /// Whether its sink returns promptly.
    var isPrompt: Bool {
        get { promptness.load(ordering: .relaxed) }
        set { promptness.store(newValue, ordering: .relaxed) }
    }
    private let promptness = Atomic<Bool>(false)

    init(handle: UInt64, prefix: [UInt8], selector: IndexSelector, from: UInt64, hub: WatchHub, sink: @escaping Sink) {
        self.handle = handle
        self.prefix = prefix
        self.selector = selector
        delivered = from
        self.hub = hub
        self.sink = sink
    }

    var subject: String { "watch of \(prefix.isEmpty ? "everything" : String(decoding: prefix, as: UTF8.self))" }

    // MARK: Matching

    /// The flags with which the watch is to see an event; nil when it does not concern it.
    func interest(in event: Event) -> UInt32? {
        let record = event.record
        guard prefix.withUnsafeBytes({ record.key.begins(with: $0) }) else { return nil }
        let deleted = planted(.deleteWithoutPrevious) ? 0 : HOSTD_STORE_RECORD_HAS_PREVIOUS
        if selector.isEmpty { return record.isPut ? 0 : deleted }
        let isIn = record.isPut && selector.matches(record)
        var existed = false
        var wasIn = false
        if let previous = event.previous, previous.isPut {
            existed = true
            wasIn = selector.matches(previous)
        }
        if !record.isPut { return wasIn ? deleted : nil }
        if isIn { return wasIn || !existed ? 0 : HOSTD_STORE_RECORD_ENTERED }
        return wasIn ? HOSTD_STORE_RECORD_LEFT | HOSTD_STORE_RECORD_HAS_PREVIOUS : nil
    }

    // MARK: Filling, by the router

    /// Queues an event, or notes that there is one; `shared` makes the shared form of it. True when the watch is to be
    /// scheduled after the batch.
    func offer(_ event: Event, flags: UInt32, limit: Int, shared: () -> SharedEvent) -> Bool {
        monitor.lock()
        defer { monitor.unlock() }
        if isOver || event.record.revision <= delivered { return false }
        noted = event.record.revision
        guard isLive else { return true }
        let shared = shared()
        if queuedBytes > 0 && queuedBytes + shared.size > limit {
            // Too slow: it reads on from the history when it comes to it, and costs no memory meanwhile.
            isLive = false
            if planted(.overflowSkipped) { delivered = event.record.revision }
            while queue.popFirst() != nil {}
            account(-queuedBytes)
            hub.noteOverflow()
            return true
        }
        queue.append(Queued(event: shared, flags: flags))
        account(shared.size)
        return true
    }

    /// The lock is held.
    private func account(_ bytes: Int) {
        queuedBytes += bytes
        hub.account(queuedBytes: bytes)
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

    /// Whether no thread delivers for it, and none is to.
    var isAtRest: Bool { monitor.locked { !isScheduled } }

    /// Whether the committer may deliver what is queued: little, and to a sink that returns promptly.
    var canBeServedPromptly: Bool {
        guard isPrompt else { return false }
        return monitor.locked { isLive && queuedBytes <= Self.promptSize }
    }

    // MARK: Delivering, by a dispatcher, or by the committer

    func run() {
        monitor.lock()
        runner = KernelThread.current
        var turns = 0
        var isDone = false
        let before = delivered
        while !isOver && !isDone && turns < Self.turn {
            turns += 1
            isDone = isLive ? deliverQueued() : catchUp()
            if isDone && prefix.isEmpty && delivered > before { isDone = !hasGathered() }
        }
        runner = nil
        let again = !isOver && !isDone
        isScheduled = again
        monitor.broadcast()
        monitor.unlock()
        if again { hub.submit(self) }
    }

    /// Waits a little for more events. The lock is held, and given up meanwhile. Whether there are any, be it in the history.
    private func hasGathered() -> Bool {
        let deadline = monotonicNow() + hub.gathering
        while !isOver, monotonicNow() < deadline { monitor.wait(until: deadline) }
        return !isLive || !queue.isEmpty
    }

    /// Delivers what is queued. The lock is held, and given up while the sink runs. True when nothing is left.
    private func deliverQueued() -> Bool {
        let routed = hub.routedRevision
        var events: [Queued] = []
        var bytes = 0
        while !queue.isEmpty, queue[0].event.revision <= routed, bytes < Self.deliverySize || isInside(events) {
            guard let next = queue.popFirst() else { break }
            events.append(next)
            bytes += next.event.size
        }
        account(-min(bytes, queuedBytes))
        if let last = events.last {
            delivered = last.event.revision
            told = delivered
            deliver(events)
            return planted(.watchWakeUpLost)
        }
        guard queue.isEmpty else { return true }
        delivered = max(delivered, routed)
        tellProgress()
        // While the sink heard of it, events may have come, and so many that the watch is to read on from the history.
        return isLive && queue.isEmpty
    }

    /// Whether the next queued event belongs to the last transaction taken.
    private func isInside(_ events: [Queued]) -> Bool {
        events.last.map { $0.event.revision == queue[0].event.revision } ?? false
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
            deliver(piece.events.map { Queued(event: SharedEvent(taking: $0), flags: interest(in: $0) ?? 0) })
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
        if kind == HOSTD_SINK_RESYNC { hub.noteResync() }
        monitor.unlock()
        hub.forget(self)
        var reason = reason
        reason.withUTF8 { sink(kind, UnsafeRawBufferPointer($0)) }
        monitor.lock()
    }

    /// Hands events to the sink. The lock is held, and given up meanwhile.
    private func deliver(_ events: [Queued]) {
        monitor.unlock()
        var start = 0
        while start < events.count {
            let end = Self.pieceEnd(events, from: start)
            if end == start + 1 {
                sink(HOSTD_SINK_DATA, events[start].event.bytes(events[start].flags))
            } else {
                deliverTogether(events[start..<end])
            }
            start = end
            // The sink may have cancelled the watch.
            if start < events.count && monitor.locked({ isOver }) { break }
        }
        monitor.lock()
    }

    /// Where the piece that begins at `start` ends: what one transaction wrote stays together, large events go alone.
    private static func pieceEnd(_ events: [Queued], from start: Int) -> Int {
        func joins(_ position: Int) -> Bool {
            let (before, next) = (events[position - 1].event, events[position].event)
            return before.revision == next.revision || (before.size < largeSize && next.size < largeSize)
        }
        var end = start + 1
        while end < events.count && joins(end) { end += 1 }
        return end
    }

    private func deliverTogether(_ events: ArraySlice<Queued>) {
        let parts = events.map { $0.event.bytes($0.flags) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: parts.reduce(0) { $0 + $1.count }, alignment: 16)
        defer { buffer.deallocate() }
        var offset = 0
        for part in parts {
            UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).copyMemory(from: part)
            offset += part.count
        }
        sink(HOSTD_SINK_DATA, UnsafeRawBufferPointer(buffer))
    }

    // MARK: Ending

    /// When it returns the sink is not running, unless this is called from it, and will not run again.
    func cancel() {
        monitor.lock()
        isOver = true
        monitor.broadcast()
        while let runner, runner != KernelThread.current { monitor.wait() }
        while queue.popFirst() != nil {}
        account(-queuedBytes)
        monitor.unlock()
    }

    /// Ends the stream from the store's side: the sink gets END as its last message.
    func end(_ reason: String) {
        monitor.lock()
        let wasOver = isOver
        isOver = true
        monitor.broadcast()
        while let runner, runner != KernelThread.current { monitor.wait() }
        monitor.unlock()
        var reason = reason
        if !wasOver { reason.withUTF8 { sink(HOSTD_SINK_END, UnsafeRawBufferPointer($0)) } }
    }
}
