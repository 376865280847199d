import CStateStore
import Glibc
import PluginAPI

/// Revisions that must stay readable while someone reads at them.
final class RevisionPins: @unchecked Sendable {  // All state is behind `lock`.
    private let lock = Monitor()
    private var pins: [UInt64: Int] = [:]

    /// Keeps a revision readable until `remove`. To be called under the store's read lock, after checking the revision.
    func add(_ revision: UInt64) { lock.locked { pins[revision, default: 0] += 1 } }

    func remove(_ revision: UInt64) {
        lock.locked {
            guard let count = pins[revision] else { return }
            pins[revision] = count == 1 ? nil : count - 1
        }
    }

    /// The lowest pinned revision, `.max` when there is none: history may be given up to here.
    var lowest: UInt64 { lock.locked { pins.keys.min() ?? .max } }
}

/// The store's slow work, off the committer: snapshots, and removing the log that they replace.
final class Maintenance: @unchecked Sendable {  // `committer` is set once, before any work; the rest is constant.
    private final class Job: PoolJob {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        func run() { body() }
    }

    private let background: WorkerPool
    private let preparer: SegmentPreparer
    unowned let parts: StateStore.Parts
    weak var committer: Committer?

    init(parts: StateStore.Parts, background: WorkerPool, preparer: SegmentPreparer) {
        self.parts = parts
        self.background = background
        self.preparer = preparer
    }

    func submit(_ body: @escaping @Sendable () -> Void) { background.submit(Job(body)) }

    /// Writes a snapshot of the state at `revision`, which the history still reaches, and tells the committer. [committer]
    func snapshot(at revision: UInt64) {
        parts.pins.add(revision)
        background.submit(
            Job { [self] in
                defer { parts.pins.remove(revision) }
                do throws(StoreError) {
                    let started = monotonicNow()
                    let bytes = try writeSnapshot(at: revision)
                    parts.options.log(
                        HOSTD_LOG_INFO, "store snapshot written",
                        [
                            ("revision", "\(revision)"), ("bytes", "\(bytes)"),
                            ("milliseconds", "\((monotonicNow() - started) / 1_000_000)"),
                        ])
                    committer?.snapshotEnded(at: revision)
                } catch {
                    parts.options.log(
                        HOSTD_LOG_ERROR, "store snapshot failed, the log is kept: \(error.message)",
                        [("revision", "\(revision)")])
                    // The committer tries again after the next batch; on a full disk the check of free space comes first.
                    committer?.snapshotEnded(at: nil)
                }
            })
    }

    private func writeSnapshot(at revision: UInt64) throws(StoreError) -> Int {
        let directory = parts.directory
        let name = LogFormat.snapshotName(revision)
        let temporary = name + ".tmp"
        do throws(StoreError) {
            let needed = parts.lock.reading { parts.tree.liveBytes } * 5 / 4 + parts.options.reservedSpace
            let free = try preparer.freeSpace(atLeast: needed)
            guard free >= needed else {
                throw fileError("snapshot", "\(directory.path) (\(free) bytes free, \(needed) needed)", ENOSPC)
            }
            let file = try directory.open(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC)
            let bytes = try parts.writeState(
                at: revision, to: file.descriptor, path: file.path, destination: .file(temporary))
            try parts.sealer.moving(temporary, to: name) { () throws(StoreError) in
                try directory.rename(temporary, to: name)
            }
            let older = try directory.names().filter { old in
                LogFormat.number(of: old, prefix: "snapshot-").map { $0 < revision } ?? false
            }
            for old in older { try directory.remove(old) }
            forget(older)
            return bytes
        } catch {
            parts.sealer.forget(temporary)
            try directory.remove(temporary)
            throw error
        }
    }

    /// Lets files that were removed need no key any more, once they cannot come back with the power.
    private func forget(_ files: [String]) {
        guard parts.options.encryption != nil, !files.isEmpty else { return }
        do throws(StoreError) {
            try parts.directory.synchronize()
            for file in files { parts.sealer.forget(file) }
        } catch {
            parts.options.log(
                HOSTD_LOG_WARNING, "keys of files that are gone stay needed until a restart: \(error.message)", [])
        }
    }

    /// Removes segments, oldest first and each for good before the next, so that a crash in between leaves no gap. [committer]
    func retire(_ segments: [SegmentLog.Segment]) {
        guard !segments.isEmpty else { return }
        background.submit(
            Job { [self] in
                // The log grows by as much before there is a snapshot again, so keeping them takes no space that it would not.
                let limit = max(parts.options.snapshotThreshold, parts.lock.reading { parts.tree.liveBytes })
                for segment in segments {
                    do throws(StoreError) {
                        try preparer.retire(number: segment.number, size: segment.size, limit: limit)
                        parts.sealer.forget(LogFormat.segmentName(segment.number))
                    } catch {
                        parts.options.log(HOSTD_LOG_WARNING, "an old log segment stays: \(error.message)", [])
                        return
                    }
                }
            })
    }
}

/// Runs completions of asynchronous writes, in commit order, on one thread of their own: a slow one delays other
/// completions, never a commit.
final class CompletionQueue: PoolJob, @unchecked Sendable {  // All state is behind `monitor`.
    private let pool: WorkerPool
    private let monitor = Monitor()
    private var waiting: [Write] = []
    private var isScheduled = false

    init(pool: WorkerPool) { self.pool = pool }

    func add(_ writes: [Write]) {
        let schedule = monitor.locked {
            waiting.append(contentsOf: writes)
            defer { isScheduled = true }
            return !isScheduled
        }
        if schedule { pool.submit(self) }
    }

    func run() {
        while true {
            let writes = monitor.locked {
                defer { waiting = [] }
                if waiting.isEmpty { isScheduled = false }
                return waiting
            }
            if writes.isEmpty { return }
            for write in writes {
                if case .call(let completion) = write.completion { completion(write.outcome) }
            }
        }
    }

    /// Waits until all completions have run.
    func drain() {
        run()
    }
}
