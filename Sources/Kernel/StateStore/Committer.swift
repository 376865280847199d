import CStateStore
import Glibc
import PluginAPI

/// The one thread that writes. It takes what waits as a batch, checks each write against the state and the batch so far,
/// writes the batch to the log, waits until it is on disk, and only then lets it be seen: by reads, by watches, and by the
/// writers. It also ends leases (`Committer+Leases`) and keeps house (`Committer+Housekeeping`).
final class Committer: @unchecked Sendable {  // The queue is behind `monitor`; the rest is used by the thread alone.
    let store: StateStore.Parts
    let log: SegmentLog
    let monitor = Monitor()
    private var queue = RingBuffer<Batch>()
    /// The last of the queue, which callers fill.
    private var openBatch: Batch?
    private var queuedBytes = 0
    private var isWaiting = false
    var isClosing = false
    /// Why no write is accepted any more.
    private var failure: StoreError?
    var snapshotDone: UInt64?
    /// Who waits for the files to be written anew, and who for those that are being written.
    var rewriteRequests: [@Sendable (StoreError?) -> Void] = []
    var rewriteWaiters: [@Sendable (StoreError?) -> Void] = []
    var isRewriteDone = false
    private var thread: KernelThread?

    // Of the thread. The compiler cannot see that nothing uses them while they are used, and need not check it for each.
    var batch = Batch()
    @exclusivity(unchecked) private var changedKeys = ChangedKeys()
    @exclusivity(unchecked) private(set) var changed: [(record: Record, place: StateTree.Place?)] = []
    /// What the keys of a transaction's changes hold.
    @exclusivity(unchecked) private var found: [Held] = []
    /// Leases that this batch revokes.
    var endedLeases: Set<UInt64> = []
    /// Records without a key that this batch added to the log.
    private var marks: [Record] = []
    /// Writers that this batch defines.
    private var newWriters: [UInt32] = []
    /// The writer of the write before, which mostly is that of the next.
    private var lastWriter: (text: String, number: UInt32) = ("", 0)
    private var hasTooManyWriters = false
    /// When the batch is written, milliseconds since 1970.
    private var batchTime: UInt64 = 0
    @exclusivity(unchecked) var nextRevision: UInt64 = 0
    var isSnapshotRunning = false
    /// Not before this time, after a failed one.
    var nextSnapshot: UInt64 = 0
    /// The segment that was written when the snapshot began: what it and later ones hold, the snapshot may lack.
    var firstSegmentAfterSnapshot: UInt64 = 0
    var nextHousekeeping: UInt64 = .max
    var progressDue: UInt64 = .max

    init(store: StateStore.Parts, log: SegmentLog) {
        self.store = store
        self.log = log
    }

    func start() throws(StoreError) {
        planHousekeeping()
        thread = try KernelThread(name: "hostd-commit") { [unowned self] in
            // It mostly sleeps; and when it does not, all writers wait for it.
            ThreadPriority.raised { run() }
        }
    }

    // MARK: The callers' side

    /// Queues a write, and says with which others it will end. Cheap: one lock, and a wake-up when the committer sleeps.
    /// Throws when it is not accepted. [any-thread]
    @discardableResult
    func enqueue(_ write: Write) throws(StoreError) -> Batch {
        monitor.lock()
        if let failure = failure ?? refusal(write) {
            monitor.unlock()
            throw failure
        }
        let batch = fillableBatch()
        batch.add(write)
        queuedBytes += write.size
        let wakes = isWaiting
        isWaiting = false
        monitor.unlock()
        if wakes { monitor.signal() }
        return batch
    }

    /// The batch that callers fill. The lock is held.
    private func fillableBatch() -> Batch {
        if let openBatch, openBatch.hasRoom { return openBatch }
        let batch = Batch()
        queue.append(batch)
        openBatch = batch
        return batch
    }

    private func refusal(_ write: Write) -> StoreError? {
        if isClosing {
            return StoreError(HOSTD_ERROR_UNAVAILABLE, "the store is closing", retryable: true, retryDelay: 1000)
        }
        guard queuedBytes + write.size > store.options.maximumQueuedSize, queuedBytes > 0 else { return nil }
        return StoreError(
            HOSTD_ERROR_RESOURCE_EXHAUSTED, "\(queuedBytes) bytes of writes wait for the disk already; write slower",
            retryable: true, retryDelay: 50)
    }

    /// Why the store does not accept writes, nil when it does.
    var refusesWritesBecause: StoreError? { monitor.locked { failure } }

    /// Writes what waits, then the mark of an orderly end, and ends the thread.
    func close() {
        let thread: KernelThread? = monitor.locked {
            isClosing = true
            monitor.signal()
            defer { self.thread = nil }
            return self.thread
        }
        thread?.join()
    }

    // MARK: The thread

    private func run() {
        while takeBatch() {
            endLeases()
            if !batch.writes.isEmpty { commit() }
            keepHouse()
        }
        writeCloseMark()
        let left = monitor.locked {
            defer { rewriteRequests = [] }
            return rewriteRequests
        }
        for request in left {
            request(StoreError(HOSTD_ERROR_UNAVAILABLE, "the store is closing", retryable: true))
        }
    }

    /// Waits for writes or for the next time of something. False at the end.
    private func takeBatch() -> Bool {
        monitor.lock()
        defer { monitor.unlock() }
        while queue.isEmpty && snapshotDone == nil && !isRewriteDone
            && (rewriteRequests.isEmpty || isSnapshotRunning)
        {
            if isClosing { return false }
            let deadline = min(store.leases.nextDeadline, nextHousekeeping, progressDue)
            if deadline <= monotonicNow() { break }
            isWaiting = !planted(.committerWakeUpLost) || deadline == .max
            if deadline == .max { monitor.wait() } else { monitor.wait(until: deadline) }
            isWaiting = false
        }
        batch = queue.popFirst() ?? Batch()
        if batch === openBatch && !planted(.takenBatchFilled) { openBatch = nil }
        queuedBytes -= batch.size
        return true
    }

    private func commit() {
        let started = monotonicNow()
        nextRevision = store.tree.revision
        batchTime = store.options.wallClock()
        for position in batch.writes.indices {
            batch.prefetch(position + 2)
            evaluate(batch.writes[position])
        }
        do throws(SegmentLog.Failure) {
            if failure == nil { try log.commit(time: batchTime) } else { log.discard() }
            store.numbers?.committed(batch.writes.count, nanoseconds: monotonicNow() - started)
            publish()
        } catch {
            fail(error)
        }
        complete()
    }

    // MARK: Checking

    private func evaluate(_ write: Write) {
        switch write.action {
        case .transaction: evaluateSteps(write)
        case .grant(let lease, let timeToLive):
            guard let mark = mark(write, kind: Record.Kind.leaseGrant, lease: lease, number: timeToLive) else { return }
            log.add(mark, revision: nextRevision)
            write.outcome.revision = lease
        case .revoke(let lease): evaluateRevoke(write, lease)
        case .compact(let revision):
            guard revision <= store.tree.revision else {
                write.outcome.error = .invalid(
                    "revision \(revision) is not reached yet; the store is at \(store.tree.revision)")
                return
            }
            guard let mark = mark(write, kind: Record.Kind.compact, lease: 0, number: 0) else { return }
            mark.head.pointee.revision = revision
            log.add(mark, revision: nextRevision)
        }
    }

    /// What a key holds after the batch so far, and its place when the batch has not changed it.
    typealias Held = (newest: Record?, place: StateTree.Place?)

    func newest(_ key: UnsafeRawBufferPointer, hash: UInt64) -> Held {
        if !planted(.batchIgnoredInPrecondition), let record = changedKeys.record(of: key, hash: hash) {
            return (record, nil)
        }
        return store.tree.find(key)
    }

    private func evaluateSteps(_ write: Write) {
        found.removeAll(keepingCapacity: true)
        for (position, step) in write.steps.enumerated() {
            let held = newest(step.record.key, hash: step.hash)
            let current = held.newest?.isPut == true ? held.newest : nil
            if let error = objection(to: step, current) {
                write.outcome = Outcome(revision: current?.revision ?? 0, failedStep: UInt32(position), error: error)
                return
            }
            if step.kind != HOSTD_STORE_CHECK { found.append(held) }
        }
        write.outcome.revision = found.isEmpty ? nextRevision : nextRevision + 1
        guard !found.isEmpty else { return }
        let (writer, definition) = writer(of: write)
        guard write.outcome.error == nil else { return }
        log.beginFrame()
        if let definition { log.add(definition) }
        nextRevision += 1
        var position = 0
        for step in write.steps where step.kind != HOSTD_STORE_CHECK {
            stamp(step, over: found[position], writer: writer)
            log.add(step.record)
            position += 1
        }
        log.endFrame(revision: nextRevision)
    }

    /// The number of who writes, and its definition when the log does not have it yet.
    func writer(of write: Write) -> (number: UInt32, definition: Record?) {
        guard let text = write.writer else { return (0, nil) }
        if text == lastWriter.text { return (lastWriter.number, nil) }
        let (number, isNew) = store.writers.number(of: text)
        if number == 0, !hasTooManyWriters {
            hasTooManyWriters = true
            store.options.log(
                HOSTD_LOG_WARNING,
                "the store knows \(WriterTable.limit) writers; changes of others are recorded without theirs until a restart",
                [])
        }
        lastWriter = (text, number)
        guard isNew else { return (number, nil) }
        newWriters.append(number)
        let bytes = Array(text.utf8)
        return (
            number, bytes.withUnsafeBytes { mark(write, kind: Record.Kind.writer, lease: UInt64(number), value: $0) }
        )
    }

    /// What speaks against a step, given what its key holds.
    private func objection(to step: Step, _ current: Record?) -> StoreError? {
        let name = { step.record.key.text }
        switch step.kind {
        case HOSTD_STORE_CREATE:
            if current != nil { return StoreError(HOSTD_ERROR_ALREADY_EXISTS, "\(name()) exists") }
        case HOSTD_STORE_UPDATE, HOSTD_STORE_DELETE:
            guard let current else { return StoreError(HOSTD_ERROR_NOT_FOUND, "\(name()) does not exist") }
            if step.expected != 0 && step.expected != current.revision { return conflict(step, current.revision) }
        case HOSTD_STORE_CHECK:
            if step.expected != current?.revision ?? 0 { return conflict(step, current?.revision ?? 0) }
        default: break
        }
        if step.record.isPut && step.record.lease != 0 && !isAlive(step.record.lease) {
            return StoreError(
                HOSTD_ERROR_NOT_FOUND, "lease \(step.record.lease) of \(name()) does not exist or is over")
        }
        return nil
    }

    private func conflict(_ step: Step, _ present: UInt64) -> StoreError {
        StoreError(
            HOSTD_ERROR_CONFLICT,
            "\(step.record.key.text) is at revision \(present), not \(step.expected); read it again", retryable: true)
    }

    /// Gives a record its place in history, at `nextRevision` and after what its key held, and makes it visible to the rest
    /// of the batch. A transaction changes a key once, so the order of its records does not matter.
    func stamp(_ step: Step, over held: Held, writer: UInt32) {
        let record = step.record
        let head = record.head
        head.pointee.revision = nextRevision
        if let before = held.newest, before.isPut {
            head.pointee.create_revision = before.head.pointee.create_revision
            head.pointee.version = before.head.pointee.version + 1
        } else {
            head.pointee.create_revision = nextRevision
            head.pointee.version = 1
        }
        if !record.isPut { head.pointee.flags = HOSTD_STORE_RECORD_HAS_PREVIOUS }
        record.writer = writer
        record.time = batchTime
        changed.append((record, held.place))
        if batch.writes.count > 1 { changedKeys.set(record, hash: step.hash) }
    }

    func mark(_ write: Write, kind: UInt32, lease: UInt64, number: UInt64) -> Record? {
        withUnsafeBytes(of: number.littleEndian) { mark(write, kind: kind, lease: lease, value: $0) }
    }

    private func mark(_ write: Write, kind: UInt32, lease: UInt64, value: UnsafeRawBufferPointer) -> Record? {
        do throws(StoreError) {
            let mark = try Record.make(
                kind: kind, key: UnsafeRawBufferPointer(start: nil, count: 0), value: value, lease: lease)
            marks.append(mark)
            return mark
        } catch {
            write.outcome.error = error
            return nil
        }
    }

    // MARK: After the disk

    /// The batch is on disk: lets it be seen.
    private func publish() {
        if let failure { return refuse(failure) }
        var events: [Event] = []
        events.reserveCapacity(changed.count)
        let now = UInt32(truncatingIfNeeded: monotonicNow() / 1_000_000_000)
        store.lock.writing {
            for (record, place) in changed {
                record.retain()
                events.append(store.tree.apply(record, now: now, at: place))
            }
            compact(now: now)
        }
        for event in events where event.record.lease != 0 || event.previous?.lease ?? 0 != 0 {
            store.leases.follow(event)
        }
        for write in batch.writes where write.outcome.error == nil { followAction(write.action) }
        if !events.isEmpty {
            store.hub.publish(events, upTo: store.tree.revision)
            if progressDue == .max { progressDue = monotonicNow() + WatchHub.progressNanoseconds }
        }
        if nextHousekeeping == .max { planHousekeeping() }
    }

    private func fail(_ error: SegmentLog.Failure) {
        switch error {
        case .refused(let error): refuse(error)
        case .fatal(let error):
            let stopped = StoreError(
                HOSTD_ERROR_UNAVAILABLE,
                "the store accepts no writes: \(error.message); what was acknowledged is safe, restart hostd after the repair"
            )
            monitor.locked { failure = stopped }
            store.options.log(HOSTD_LOG_ERROR, stopped.message, [("directory", store.directory.path)])
            refuse(stopped)
        }
    }

    /// Nothing of the batch happened.
    private func refuse(_ error: StoreError) {
        for writer in newWriters { store.writers.forget(writer) }
        lastWriter = ("", 0)
        for write in batch.writes { write.outcome = Outcome(error: error) }
        if batch.writes.contains(where: { if case .none = $0.completion { true } else { false } }) {
            store.leases.retry(at: failure == nil ? monotonicNow() + 1_000_000_000 : .max)
        }
    }

    private func complete() {
        changedKeys.removeAll()
        endedLeases.removeAll(keepingCapacity: true)
        changed.removeAll(keepingCapacity: true)
        for mark in marks { mark.release() }
        marks.removeAll(keepingCapacity: true)
        newWriters.removeAll(keepingCapacity: true)
        var sleepers = 0
        var calls = 0
        for write in batch.writes {
            switch write.completion {
            case .wake: sleepers += 1
            case .call: calls += 1
            case .none: break
            }
        }
        if calls > 0 { store.completions.add(batch.writes) }
        batch.clear()  // Before their callers wake, and would count references to the same writes at the same time.
        if sleepers > 0 { batch.end.fire(for: sleepers) }
    }

    private func writeCloseMark() {
        guard failure == nil else { return }
        let write = Write(.transaction)
        guard let mark = mark(write, kind: Record.Kind.close, lease: 0, number: 0) else { return }
        log.add(mark, revision: store.tree.revision)
        do throws(SegmentLog.Failure) {
            try log.commit(time: store.options.wallClock())
        } catch {
            store.options.log(HOSTD_LOG_WARNING, "the log could not be closed in order: \(error)", [])
        }
        complete()
    }
}
