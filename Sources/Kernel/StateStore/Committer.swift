import CStateStore
import PluginAPI

/// The one thread that decides about writes. It takes up what waits as a round, checks each write against the state and the
/// rounds before (`Committer+Checking`), and has it brought to disk: by the `BatchWriter`, so that it can go on meanwhile, or by
/// itself when few writes wait. What is on disk it lets be seen: by reads, by watches, and by the writers
/// (`Committer+Publishing`). It also ends leases (`Committer+Leases`) and keeps house (`Committer+Housekeeping`).
final class Committer: @unchecked Sendable {  // The queue is behind `monitor`; the rest is used by the thread alone.
    let store: StateStore.Parts
    let log: SegmentLog
    let monitor = Monitor()
    private var queue = RingBuffer<Batch>()
    /// The last of the queue, which callers fill.
    private var openBatch: Batch?
    private var queuedBytes = 0
    /// The thread sleeps, until so many writes of the open batch wait.
    private var isWaiting = false
    private var wakingCount = 1
    private var isClosing = false
    /// Why no write is accepted any more.
    var failure: StoreError?
    /// The last log batch that is on disk, and the one that is not because it failed.
    private var finished: UInt64 = 0
    private var failed: (batch: LogBatch, failure: SegmentLog.Failure)?
    /// How the last snapshot ended: which revision it shows, nil when there is none.
    var snapshotEnd: SnapshotEnd?
    struct SnapshotEnd { var revision: UInt64? }
    /// Who waits for the files to be written anew, and who for those that are being written.
    var rewriteRequests: [@Sendable (StoreError?) -> Void] = []
    var rewriteWaiters: [@Sendable (StoreError?) -> Void] = []
    var isRewriteDone = false
    private var thread: KernelThread?

    // Of the thread. The compiler cannot see that nothing uses them while they are used, and need not check it for each.
    let disk = BatchWriter()
    /// What was taken up and cannot be seen yet, oldest first.
    @exclusivity(unchecked) var rounds: [Round] = []
    /// The one that is being checked, which comes after them.
    @exclusivity(unchecked) var round = Round()
    private var spareRounds: [Round] = []
    /// The log batches of the rounds.
    var logBatches = RingBuffer<LogBatch>()
    /// The newest of them, while it may be waiting for the disk.
    var lastBatch: LogBatch?
    /// What the keys of a transaction's changes hold.
    @exclusivity(unchecked) var found: [Held] = []
    /// The writer of the write before, which mostly is that of the next.
    var lastWriter: (text: String, number: UInt32) = ("", 0)
    var hasTooManyWriters = false
    /// When the round is taken up, milliseconds since 1970.
    var roundTime: UInt64 = 0
    /// The store's revision after the rounds so far.
    @exclusivity(unchecked) var nextRevision: UInt64 = 0
    /// Something is due that begins only when no round is under way.
    var needsRest = false
    /// How far the thread goes before others, and its nice value if it did not.
    var precedence = ThreadPriority.Precedence.first
    var niceness: Int32 = 0
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
        nextRevision = store.tree.revision
        planHousekeeping()
        try disk.start { [unowned self] in noteEnd(of: $0, $1) }
        do throws(StoreError) {
            thread = try KernelThread(name: "hostd-commit") { [unowned self] in
                // It mostly sleeps; and when it does not, all writers wait for it.
                niceness = ThreadPriority.niceness
                ThreadPriority.preferred {
                    ThreadPriority.takeShortTurns()
                    run()
                }
            }
        } catch {
            disk.end()
            throw error
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
        let wakes = isWaiting && (batch.writes.count >= wakingCount || queue.count > 1)
        if wakes { isWaiting = false }
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

    /// Whether the store is being closed. The lock is held.
    var isEnding: Bool { isClosing }

    /// Writes what waits, then the mark of an orderly end, and ends the threads.
    func close() {
        let thread: KernelThread? = monitor.locked {
            isClosing = true
            monitor.signal()
            defer { self.thread = nil }
            return self.thread
        }
        thread?.join()
    }

    /// [disk or committer] A log batch is on disk, or failed.
    private func noteEnd(of batch: LogBatch, _ failure: SegmentLog.Failure?) {
        monitor.lock()
        if let failure { failed = (batch, failure) } else { finished = batch.serial }
        let wakes = isWaiting && !(planted(.diskWakeUpLost) && !queue.isEmpty)
        if wakes { isWaiting = false }
        monitor.unlock()
        if wakes { monitor.signal() }
    }

    // MARK: The thread

    private enum Step {
        case takeUp(Batch)
        /// What waits for log batches up to this one.
        case publish(UInt64)
        case giveUp(LogBatch, SegmentLog.Failure)
        case keepHouse
        case end
    }

    private func run() {
        while true {
            switch nextStep() {
            case .takeUp(let batch): takeUp(batch)
            case .publish(let serial): publish(upTo: serial)
            case .giveUp(let batch, let failure): giveUp(batch, failure)
            case .keepHouse: break
            case .end: return end()
            }
            keepHouse()
        }
    }

    private func end() {
        disk.end()
        writeCloseMark()
        let left = monitor.locked {
            defer { rewriteRequests = [] }
            return rewriteRequests
        }
        for request in left {
            request(StoreError(HOSTD_ERROR_UNAVAILABLE, "the store is closing", retryable: true))
        }
    }

    /// Waits for something to do.
    private func nextStep() -> Step {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            if let step = stepOfRounds() ?? (rounds.isEmpty ? stepOfRest() : nil) { return step }
            // While rounds are under way the end of one wakes, so nothing else needs to.
            let deadline = rounds.isEmpty ? min(store.leases.nextDeadline, nextHousekeeping, progressDue) : .max
            if deadline <= monotonicNow() { return .takeUp(Batch()) }
            isWaiting = !planted(.committerWakeUpLost) || deadline == .max
            wakingCount = rounds.isEmpty ? 1 : store.options.writesPerRound
            if deadline == .max { monitor.wait() } else { monitor.wait(until: deadline) }
            isWaiting = false
        }
    }

    /// What is to be done for the writes, in the order in which the disk is best kept at work. The lock is held.
    private func stepOfRounds() -> Step? {
        let reached = planted(.publishedBeforeDurable) ? finished + 1 : finished
        if let failed, rounds.first.map({ $0.serial >= failed.batch.serial }) ?? true {
            return .giveUp(failed.batch, failed.failure)
        }
        let isFilled = !queue.isEmpty && (queue.count > 1 || queue[0].writes.count >= store.options.writesPerRound)
        let isTaken = isFilled && !needsRest && failed == nil
        // The disk has nothing to do: it comes before those whose writes it has done.
        if isTaken, log.serial == finished, logBatches.count <= 2 { return .takeUp(takeBatch()) }
        if let first = rounds.first, first.serial <= reached { return .publish(reached) }
        if isTaken, log.serial <= finished + 1 || lastBatch?.hasRoom == true { return .takeUp(takeBatch()) }
        return nil
    }

    /// What is to be done while no round is under way. The lock is held.
    private func stepOfRest() -> Step? {
        if !queue.isEmpty { return .takeUp(takeBatch()) }
        if snapshotEnd != nil || isRewriteDone || !rewriteRequests.isEmpty && !isSnapshotRunning { return .keepHouse }
        return isClosing ? .end : nil
    }

    /// The batch that has waited longest. The lock is held.
    private func takeBatch() -> Batch {
        let batch = queue.popFirst() ?? Batch()
        if batch === openBatch && !planted(.takenBatchFilled) { openBatch = nil }
        queuedBytes -= batch.size
        return batch
    }

    // MARK: A round

    private func takeUp(_ batch: Batch) {
        endLeases(in: batch)
        if batch.writes.isEmpty { return }
        let taken = monotonicNow()
        let isAlone = rounds.isEmpty && batch.writes.count < store.options.writesPerRound
        round = spareRounds.popLast() ?? Round()
        round.begin(batch, after: nextRevision)
        if let failure { return refuse(round, failure) }
        roundTime = store.options.wallClock()
        for position in batch.writes.indices {
            batch.prefetch(position + 2)
            evaluate(batch.writes[position])
        }
        do throws(StoreError) {
            let hasRoom = try log.makeRoom { disk.drain() }
            rounds.append(round)
            if hasRoom && log.hasFrames { bringToDisk(round, isAlone: isAlone, taken: taken) } else { log.discard() }
            round.serial = log.serial
        } catch {
            log.discard()
            nextRevision = round.revisionBefore
            refuse(round, error)
        }
    }

    /// Gives the round its place in the log and hands it to the disk. Alone it waits for the disk itself: that saves two changes of
    /// threads where nothing could be done meanwhile.
    private func bringToDisk(_ round: Round, isAlone: Bool, taken: UInt64) {
        let open = isAlone || lastBatch?.hasRoom != true ? nil : disk.takeBack()
        let batch = log.place(in: open, time: roundTime, taken: taken)
        batch.writes += round.batch.writes.count
        if open == nil { logBatches.append(batch) }
        if isAlone { return noteEnd(of: batch, batch.bringToDisk()) }
        lastBatch = batch
        disk.submit(batch)
    }

    /// A round is over: keeps it for another.
    func keep(_ round: Round) {
        round.end()
        if spareRounds.count < 8 { spareRounds.append(round) }
    }

    /// A log batch failed, and with it every round that was checked on top of it: nothing of them happened. Those before are
    /// published.
    private func giveUp(_ batch: LogBatch, _ failure: SegmentLog.Failure) {
        disk.abandon()
        lastBatch = nil
        while logBatches.popFirst() != nil {}
        let error: StoreError
        switch log.takeBack(batch, because: failure) {
        case .refused(let refusal): error = refusal
        case .fatal(let cause): error = stop(cause)
        }
        monitor.locked {
            failed = nil
            finished = log.serial
        }
        let isSpared = { [serial = batch.serial] (round: Round) in
            planted(.laterRoundsAcknowledged) && round.serial > serial
        }
        let given = rounds.filter { !isSpared($0) }
        rounds.removeAll { !isSpared($0) }
        if !planted(.refusedRevisionsKept) { nextRevision = given.first?.revisionBefore ?? nextRevision }
        for round in given { refuse(round, error) }
    }

    private func stop(_ cause: StoreError) -> StoreError {
        let stopped = StoreError(
            HOSTD_ERROR_UNAVAILABLE,
            "the store accepts no writes: \(cause.message); what was acknowledged is safe, restart hostd after the repair"
        )
        monitor.locked { failure = stopped }
        store.options.log(HOSTD_LOG_ERROR, stopped.message, [("directory", store.directory.path)])
        return stopped
    }

    private func writeCloseMark() {
        guard failure == nil else { return }
        round.begin(Batch.none, after: store.tree.revision)
        let write = Write(.transaction)
        guard let mark = mark(write, kind: Record.Kind.close, lease: 0, number: 0) else { return }
        log.add(mark, revision: store.tree.revision)
        defer { round.end() }
        do throws(StoreError) {
            guard try log.makeRoom({ true }) else { return }
            let time = store.options.wallClock()
            guard let failure = log.place(in: nil, time: time, taken: 0).bringToDisk() else { return }
            switch failure {
            case .refused(let error), .fatal(let error): throw error
            }
        } catch {
            log.discard()
            store.options.log(HOSTD_LOG_WARNING, "the log could not be closed in order: \(error.message)", [])
        }
    }
}
