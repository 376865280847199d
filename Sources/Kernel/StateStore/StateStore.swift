import CStateStore
import Glibc
import PluginAPI

/// A revisioned map from keys to bytes, durable and watchable: the embedded engine of `hostd.store/1`. See README.md.
public final class StateStore: @unchecked Sendable {
    // SAFETY: `state` and `table` are behind `life`; the parts guard themselves.

    /// What the store's parts share.
    final class Parts: @unchecked Sendable {
        // SAFETY: the late ones are set by `StateStore.init`, before any other thread starts.
        let options: StateStoreOptions
        let directory: StoreDirectory
        let tree = StateTree()
        /// Guards the tree.
        let lock = ReadWriteLock()
        let leases = LeaseTable()
        let pins = RevisionPins()
        let writers = WriterTable()
        let sealer: RecordSealer
        let hub: WatchHub
        let completions: CompletionQueue
        let numbers: StoreMetrics?
        private(set) var maintenance: Maintenance!

        init(
            directory: StoreDirectory, options: StateStoreOptions, dispatchers: WorkerPool, background: WorkerPool,
            completions: WorkerPool, preparer: SegmentPreparer
        ) throws(StoreError) {
            if let metrics = options.metrics { numbers = try StoreMetrics(metrics) } else { numbers = nil }
            sealer = try RecordSealer(options.encryption)
            self.directory = directory
            self.options = options
            hub = WatchHub(tree: tree, lock: lock, dispatchers: dispatchers, queueLimit: options.watchQueueSize)
            self.completions = CompletionQueue(pool: completions)
            maintenance = Maintenance(parts: self, background: background, preparer: preparer)
        }
    }

    let parts: Parts
    let committer: Committer
    private let dispatchers: WorkerPool
    private let background = WorkerPool(name: "hostd-store", maximum: 2)
    private let completionPool = WorkerPool(name: "hostd-complete", maximum: 1, isPrompt: true, stuckJobs: nil)
    private let life = Monitor()
    private var isClosed = false
    private var table: InterfaceTable<hostd_store_1>?

    /// Opens the store in `directory`, which is made when it is missing and locked until `close`. Reads all of it into
    /// memory. Throws when another process uses it (`WRONG_STATE`), when acknowledged data is damaged (`DATA_LOSS`), when a
    /// newer hostd wrote it (`VERSION`), and on failed system calls. [blocking]
    public init(directory path: String, options: StateStoreOptions = StateStoreOptions()) throws(StoreError) {
        var options = options
        options.segmentSize = (max(options.segmentSize, 64 << 10) + 4095) & ~4095
        options.firstSegmentSize = (max(options.firstSegmentSize, 64 << 10) + 4095) & ~4095
        let directory = try StoreDirectory(path, files: options.files)
        let log = options.log
        dispatchers = WorkerPool(
            name: "hostd-watch", maximum: 8, isPrompt: true,
            stuckJobs: .init(patience: options.sinkPatience) { subject in
                log(
                    HOSTD_LOG_WARNING, "a sink does not return; another thread delivers to the others in its place",
                    [("sink", subject)])
            })
        let preparer = SegmentPreparer(directory: directory, options: options, background: background)
        parts = try Parts(
            directory: directory, options: options, dispatchers: dispatchers, background: background,
            completions: completionPool, preparer: preparer)
        do throws(StoreError) {
            let tail = try Recovery(
                directory: directory, options: options, tree: parts.tree, leases: parts.leases, writers: parts.writers,
                sealer: parts.sealer, preparer: preparer
            ).run()
            parts.hub.begin(at: parts.tree.revision)
            committer = Committer(
                store: parts, log: SegmentLog(tail: tail, options: options, preparer: preparer, sealer: parts.sealer))
            parts.maintenance.committer = committer
            try committer.start()
            if parts.sealer.hasStaleFiles { committer.requestRewrite { _ in } }
            options.metrics?.onCollect { [weak parts] in if let parts { parts.numbers?.collect(parts) } }
        } catch {
            background.close()
            throw error
        }
    }

    /// Writes what waits, ends watches and threads, and unlocks the directory. Idempotent. Not to be called from a sink or
    /// a completion. [blocking]
    public func close() {
        let isFirst = life.locked {
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        committer.close()
        parts.completions.run()
        completionPool.close()
        background.close()
        parts.hub.close()
        dispatchers.close()
        parts.directory.unlock()
    }

    deinit { close() }

    /// The table `hostd.store/1`: same address at each call, valid as long as this object.
    public func makeInterface() -> UnsafePointer<hostd_interface> {
        life.locked {
            if let table { return table.interface }
            let new = InterfaceTable(id: HOSTD_STORE_1, slots: HOSTD_STORE_1_SLOTS, owner: self) { Self.makeTable($0) }
            table = new
            return new.interface
        }
    }

    // MARK: Writing

    /// Hands a write to the committer and sleeps until it is on disk or refused. [blocking]
    func perform(_ write: Write) throws(StoreError) -> Outcome {
        write.completion = .wake
        try committer.enqueue(write).end.wait()
        if let error = write.outcome.error { throw error }
        return write.outcome
    }

    /// One durable step. Returns its revision. [blocking]
    func perform(
        _ kind: Int32, key: UnsafeRawBufferPointer, index: UnsafeRawBufferPointer = .init(start: nil, count: 0),
        value: UnsafeRawBufferPointer = .init(start: nil, count: 0), lease: UInt64 = 0, expected: UInt64 = 0,
        by writer: Writer? = nil
    ) throws(StoreError) -> UInt64 {
        let step = try Write.make(
            kind: kind, key: key, index: index, value: value, lease: lease, expected: expected,
            limits: parts.options.writeLimits)
        let write = Write(.transaction, steps: [step])
        write.writer = writer?.text
        return try perform(write).revision
    }

    /// A transaction whose completion runs when it is on disk or refused: on the committer when its operations promise that it
    /// returns promptly, else on the completion thread. [any-thread]
    func transaction(
        _ operations: UnsafeRawBufferPointer, by writer: Writer? = nil,
        completion: @escaping @Sendable (Outcome) -> Void
    ) throws(StoreError) {
        let write = try Write(operations: operations, limits: parts.options.writeLimits)
        write.writer = writer?.text
        write.completion = write.isPrompt ? .callPromptly(completion) : .call(completion)
        try committer.enqueue(write)
    }

    // MARK: Leases and history

    func grantLease(timeToLive: UInt64) throws(StoreError) -> UInt64 {
        let longest = LeaseTable.longest
        guard timeToLive >= 1, timeToLive <= longest else {
            throw .invalid("a lease of \(timeToLive) ms is not possible; allowed are 1 to \(longest)")
        }
        let lease = parts.leases.nextNumber()
        _ = try perform(Write(.grant(lease: lease, timeToLive: timeToLive)))
        return lease
    }

    func keepAlive(lease: UInt64) throws(StoreError) {
        guard parts.leases.keepAlive(lease, now: monotonicNow()) else {
            throw StoreError(HOSTD_ERROR_NOT_FOUND, "lease \(lease) does not exist or is over")
        }
    }

    /// `writer`: who removes the keys under it.
    func revokeLease(_ lease: UInt64, by writer: Writer? = nil) throws(StoreError) {
        let write = Write(.revoke(lease: lease))
        write.writer = writer?.text
        _ = try perform(write)
    }

    func compact(to revision: UInt64) throws(StoreError) { _ = try perform(Write(.compact(revision))) }

    // MARK: Status

    /// The JSON of `hostd_store_1.status`.
    package func status() -> String {
        let failure = committer.refusesWritesBecause
        let numbers = parts.lock.reading {
            (parts.tree.revision, parts.tree.compactedRevision, parts.tree.liveCount, parts.tree.liveBytes)
        }
        let (since, history) = parts.lock.reading { (parts.tree.compactedTime, parts.tree.historyBytes) }
        return
            "{\"revision\":\(numbers.0),\"compactedRevision\":\(numbers.1),\"keys\":\(numbers.2),\"bytes\":\(numbers.3),"
            + "\"engine\":\"embedded\",\"healthy\":\(failure == nil),\"reason\":\(quoted(failure?.message ?? "")),"
            + "\"historySince\":\(quoted(RecordText.time(since))),\"historyBytes\":\(history)\(encryptionStatus)}"
    }

    /// The keys that encrypt and that are needed to read what is on disk.
    private var encryptionStatus: String {
        guard let active = parts.sealer.activeKey else { return "" }
        func list(_ words: [String]) -> String { "[" + words.sorted().map(quoted).joined(separator: ",") + "]" }
        let (keys, plain) = parts.sealer.needed
        return
            ",\"encryptingKey\":\(quoted(active)),\"neededKeys\":\(list(Array(keys))),\"filesWithPlainValues\":\(list(plain))"
    }

    private func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\u{0}"..."\u{1F}": result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
