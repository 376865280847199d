import PluginAPI

/// What the committer does between batches: giving up history, snapshots and the removal of the log that they replace,
/// writing files anew, and telling watches how far they are.
extension Committer {
    /// Called by the snapshot's thread: the log up to this revision is no longer needed; nil after a failure.
    func snapshotEnded(at revision: UInt64?) {
        monitor.locked {
            snapshotDone = revision ?? 0
            monitor.signal()
        }
    }

    /// Asks for stale files to be written anew; `completion` hears how that ended. [any-thread]
    func requestRewrite(_ completion: @escaping @Sendable (StoreError?) -> Void) {
        let isRefused = monitor.locked {
            if isClosing { return true }
            rewriteRequests.append(completion)
            monitor.signal()
            return false
        }
        if isRefused { completion(StoreError(HOSTD_ERROR_UNAVAILABLE, "the store is closing", retryable: true)) }
    }

    /// Called by the thread that wrote files anew.
    func rewriteEnded(_ error: StoreError?) {
        let waiters = monitor.locked {
            isRewriteDone = true
            monitor.signal()
            defer { rewriteWaiters = [] }
            return rewriteWaiters
        }
        for waiter in waiters { waiter(error) }
    }

    // MARK: The committer's thread

    func keepHouse() {
        let now = monotonicNow()
        if progressDue <= now {
            progressDue = store.hub.tellProgress() ? now + WatchHub.progressNanoseconds : .max
        }
        if nextHousekeeping <= now {
            store.lock.writing { compact(now: UInt32(truncatingIfNeeded: now / 1_000_000_000)) }
            planHousekeeping()
        }
        if let done = monitor.locked({ () -> UInt64? in
            defer { snapshotDone = nil }; return snapshotDone
        }) {
            isSnapshotRunning = false
            if done == 0 { nextSnapshot = now + 10_000_000_000 }
            store.maintenance.retire(log.removeSegments(upTo: done, before: firstSegmentAfterSnapshot))
        }
        rewriteFiles()
        let floor = store.tree.compactedRevision
        if !isSnapshotRunning, now >= nextSnapshot,
            log.removableBytes(upTo: floor) >= max(store.options.snapshotThreshold, store.tree.liveBytes)
        {
            isSnapshotRunning = true
            firstSegmentAfterSnapshot = log.activeNumber
            if planted(.logTruncatedEarly) {
                store.maintenance.retire(log.removeSegments(upTo: floor, before: log.activeNumber))
            }
            store.maintenance.snapshot(at: floor)
        }
    }

    /// When the oldest history will be too old; not sooner than in ten seconds.
    func planHousekeeping() {
        guard store.options.historySeconds > 0, let oldest = store.tree.oldestEvent else {
            nextHousekeeping = .max
            return
        }
        let now = monotonicNow()
        let age = UInt32(truncatingIfNeeded: now / 1_000_000_000) &- oldest
        let left = age > store.options.historySeconds ? 0 : UInt64(store.options.historySeconds - age) + 1
        nextHousekeeping = now + max(left, 10) * 1_000_000_000
    }

    /// Gives up history beyond the bounds, a little with each batch. The write lock is held.
    func compact(now: UInt32) {
        guard
            let target = store.tree.compactionTarget(
                bytes: store.options.historySize, count: store.options.historyCount,
                seconds: store.options.historySeconds, now: now)
        else { return }
        store.tree.compact(to: unpinned(target), limit: 4096)
    }

    /// How far of `target` nobody reads at any more.
    func unpinned(_ target: UInt64) -> UInt64 {
        planted(.compactsPastPin) ? target : min(target, store.pins.lowest)
    }

    /// Begins to write files anew when that is asked for and nothing else works on them.
    func rewriteFiles() {
        let isWanted = monitor.locked { () -> Bool in
            if isRewriteDone {
                isRewriteDone = false
                isSnapshotRunning = false
            }
            guard !isSnapshotRunning, !rewriteRequests.isEmpty else { return false }
            rewriteWaiters = rewriteRequests
            rewriteRequests = []
            return true
        }
        guard isWanted else { return }
        isSnapshotRunning = true
        do throws(StoreError) { store.maintenance.rewrite(try log.seal()) } catch { rewriteEnded(error) }
    }
}
