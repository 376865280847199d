import PluginAPI

/// What the committer does between batches: giving up history, snapshots and the removal of the log that they replace,
/// writing files anew, and telling watches how far they are.
extension Committer {
    /// Called by the snapshot's thread: the log up to this revision is no longer needed; nil after a failure.
    func snapshotEnded(at revision: UInt64?) {
        monitor.locked {
            snapshotEnd = SnapshotEnd(revision: revision)
            monitor.signal()
        }
    }

    /// Asks for stale files to be written anew; `completion` hears how that ended. [any-thread]
    func requestRewrite(_ completion: @escaping @Sendable (StoreError?) -> Void) {
        let isRefused = monitor.locked {
            if isEnding { return true }
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
        let ended = monitor.locked { () -> SnapshotEnd? in
            defer { snapshotEnd = nil }
            return snapshotEnd
        }
        if let ended {
            isSnapshotRunning = false
            if let revision = ended.revision {
                store.maintenance.retire(log.removeSegments(upTo: revision, before: firstSegmentAfterSnapshot))
            } else {
                nextSnapshot = now + 10_000_000_000
            }
        }
        beginWhatNeedsRest(now)
    }

    /// Begins to write files anew, or a snapshot, when that is due and nothing else works on them. Both go by segments that are
    /// complete, and by leases as they are after these; so they wait until no round is under way, and no other is taken up
    /// before.
    private func beginWhatNeedsRest(_ now: UInt64) {
        let isRewriteWanted = monitor.locked { () -> Bool in
            if isRewriteDone {
                isRewriteDone = false
                isSnapshotRunning = false
            }
            return !isSnapshotRunning && !rewriteRequests.isEmpty
        }
        let floor = store.tree.compactedRevision
        let isSnapshotWanted =
            !isSnapshotRunning && now >= nextSnapshot
            && log.removableBytes(upTo: floor) >= max(store.options.snapshotThreshold, store.tree.liveBytes)
        needsRest = isRewriteWanted || isSnapshotWanted
        guard needsRest, rounds.isEmpty || planted(.roundsUnderWay) else { return }
        needsRest = false
        if isRewriteWanted { rewriteFiles() } else { beginSnapshot(at: floor) }
    }

    private func beginSnapshot(at revision: UInt64) {
        isSnapshotRunning = true
        firstSegmentAfterSnapshot = log.activeNumber
        if planted(.logTruncatedEarly) {
            store.maintenance.retire(log.removeSegments(upTo: revision, before: log.activeNumber))
        }
        store.maintenance.snapshot(at: revision)
    }

    private func rewriteFiles() {
        monitor.locked {
            rewriteWaiters = rewriteRequests
            rewriteRequests = []
        }
        isSnapshotRunning = true
        do throws(StoreError) { store.maintenance.rewrite(try log.seal()) } catch { rewriteEnded(error) }
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
}
