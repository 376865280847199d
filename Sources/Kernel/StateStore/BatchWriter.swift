/// Brings batches to disk one after the other, on a thread of its own: so the committer checks the next writes, and lets those
/// before be seen, while the disk works; and the disk does not wait for the committer.
final class BatchWriter: @unchecked Sendable {  // All state is behind `monitor`.
    private let monitor = Monitor()
    private var waiting = RingBuffer<LogBatch>()
    private var isWriting = false
    /// A batch failed: what waits stays where it is until `abandon`.
    private var isStopped = false
    private var isAwaited = false
    private var isEnding = false
    private var thread: KernelThread?

    /// Starts the thread. `report` hears of each batch, in order; nothing is written between a failure and `abandon`.
    /// [disk thread]
    func start(_ report: @escaping @Sendable (LogBatch, SegmentLog.Failure?) -> Void) throws(StoreError) {
        thread = try KernelThread(name: "hostd-log") { [unowned self] in
            // It mostly sleeps, and all writers wait for it.
            ThreadPriority.raised { run(report) }
        }
    }

    /// Hands a batch over. [committer]
    func submit(_ batch: LogBatch) {
        monitor.locked { waiting.append(batch) }
        monitor.signal()
    }

    /// The batch that was handed over last, to be filled further and handed over again; nil when the disk has it. [committer]
    func takeBack() -> LogBatch? { monitor.locked { waiting.popLast() } }

    /// Waits until nothing is under way. False when a batch failed. [committer]
    func drain() -> Bool {
        monitor.lock()
        defer { monitor.unlock() }
        while !isStopped && (isWriting || !waiting.isEmpty) {
            isAwaited = true
            monitor.wait()
        }
        return !isStopped
    }

    /// After a failure: forgets what waits, none of which was begun, and is ready for others. [committer]
    func abandon() {
        monitor.locked {
            while waiting.popFirst() != nil {}
            isStopped = false
        }
    }

    /// Ends the thread, when nothing is under way. Idempotent. [committer]
    func end() {
        let thread = monitor.locked {
            isEnding = true
            defer { self.thread = nil }
            return self.thread
        }
        monitor.signal()
        thread?.join()
    }

    private func run(_ report: (LogBatch, SegmentLog.Failure?) -> Void) {
        while let batch = next() {
            let failure = batch.bringToDisk()
            let isAwaited = monitor.locked {
                isWriting = false
                if failure != nil && !planted(.diskGoesOnAfterFailure) { isStopped = true }
                defer { self.isAwaited = false }
                return self.isAwaited
            }
            if isAwaited { monitor.broadcast() }
            report(batch, failure)
        }
    }

    private func next() -> LogBatch? {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            if !isStopped, let batch = waiting.popFirst() {
                isWriting = true
                return batch
            }
            if isEnding { return nil }
            monitor.wait()
        }
    }
}
