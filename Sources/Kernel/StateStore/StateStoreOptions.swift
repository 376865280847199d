import PluginAPI

/// Receives the kernel's log events: a level (`HOSTD_LOG_*`), one sentence, and fields. [any-thread]
public typealias KernelLog = @Sendable (_ level: Int32, _ message: String, _ fields: [(String, String)]) -> Void

/// Bounds and choices of a `StateStore`. Every size is in bytes.
public struct StateStoreOptions: Sendable {
    /// What each write is held against.
    struct WriteLimits: Sendable {
        var valueSize = 1_572_864
        var transactionSize = 8 << 20
    }

    /// Apart from the rest, because each write reads them.
    var writeLimits = WriteLimits()
    /// The largest value that a write may carry. Default 1.5 MiB, as etcd's request limit.
    public var maximumValueSize: Int {
        get { writeLimits.valueSize }
        set { writeLimits.valueSize = newValue }
    }
    /// The largest transaction, all steps together. Default 8 MiB.
    public var maximumTransactionSize: Int {
        get { writeLimits.transactionSize }
        set { writeLimits.transactionSize = newValue }
    }
    /// Bytes of writes that may wait for the committer before `RESOURCE_EXHAUSTED` is answered. Default 64 MiB.
    public var maximumQueuedSize = 64 << 20
    /// Size of a log segment. Segments are written with zeros in advance. Default 16 MiB, at least 64 KiB.
    public var segmentSize = 16 << 20
    /// Size of the very first segment, small so that a fresh start is quick. Default 1 MiB.
    public var firstSegmentSize = 1 << 20
    /// History kept in memory for watches and lists at a past revision: at most so many bytes of records. Default 32 MiB.
    public var historySize = 32 << 20
    /// … and at most so many records. Default 100,000.
    public var historyCount = 100_000
    /// … and not older than so many seconds, 0 = no bound. Default 480.
    public var historySeconds: UInt32 = 480
    /// Bytes of log below the compacted revision that make a snapshot worth while; more when the state itself is larger, so
    /// that snapshots write no more than the log does. Default 32 MiB.
    public var snapshotThreshold = 32 << 20
    /// Bytes that one watch may have queued before it is sent back to reading the history. Default 1 MiB.
    public var watchQueueSize = 1 << 20
    /// Space that stays free on the file system when a new segment is prepared. Default 4 MiB.
    public var reservedSpace = 4 << 20
    /// What lies encrypted on disk; nil = nothing.
    public var encryption: EncryptionSettings?
    /// The wall clock, milliseconds since 1970 (UTC): it dates revisions.
    package var wallClock: @Sendable () -> UInt64 = { wallClockMilliseconds() }
    /// Where the store counts and times its work; nil = nowhere.
    public var metrics: Metrics?
    /// Where log events go.
    public var log: KernelLog = { _, _, _ in }
    /// Records that a list takes, of four times as many keys, in one hold of the read lock; snapshots take a quarter.
    package var recordsPerStep = 1024
    /// So many writes are worth a change of threads: fewer that wait together are written by the committer itself, and it does not
    /// take up fewer while the disk works.
    package var writesPerRound = 16
    /// Nanoseconds that a watch's sink may take while others wait for a thread, before they get another one.
    package var sinkPatience: UInt64 = 2_000_000_000
    /// The system calls under the store; tests inject faults here.
    package var files = FileOperations.system

    public init() {}
}
