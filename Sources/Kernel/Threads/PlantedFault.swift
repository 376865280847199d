/// Bugs that the simulation plants in the kernel to prove that it would find them. Only a simulation build has them.
package enum PlantedFault: String, CaseIterable, Sendable {
    /// The block in which the log goes on loses what it had.
    case blockBeginsWithZeros = "block-begins-with-zeros"
    /// Writes are acknowledged when they are in the page cache.
    case acknowledgesBeforeSync = "acknowledges-before-sync"
    /// Recovery stops one batch before the end of the log.
    case dropsLastBatch = "drops-last-batch"
    /// A watch from a revision begins one later.
    case watchStartsLate = "watch-starts-late"
    /// New names are used before the directory is durable.
    case directoryNotSynchronized = "directory-not-synchronized"
    /// A snapshot says a revision that it does not show.
    case snapshotAtWrongRevision = "snapshot-at-wrong-revision"
    /// Segments go before the snapshot that replaces them is durable.
    case logTruncatedEarly = "log-truncated-early"
    /// A snapshot is given its name before its bytes are on disk.
    case snapshotNotSynchronized = "snapshot-not-synchronized"
    /// Frames with a wrong checksum are taken for good.
    case checksumIgnored = "checksum-ignored"
    /// A failed fdatasync is tried again and believed.
    case failedSyncRetried = "failed-sync-retried"
    /// A precondition is checked against what was committed, not against the batch too.
    case batchIgnoredInPrecondition = "batch-ignored-in-precondition"
    /// History is given up past a revision that a list still reads.
    case compactsPastPin = "compacts-past-pin"
    /// Watches get deletes without what was deleted.
    case deleteWithoutPrevious = "delete-without-previous"
    /// A lease ends in half its time.
    case leaseEndsEarly = "lease-ends-early"
    /// A keep-alive does not move the deadline.
    case keepAliveForgotten = "keep-alive-forgotten"
    /// A watch that gets its event while it delivers is not scheduled again.
    case watchWakeUpLost = "watch-wake-up-lost"
    /// A committer that sleeps is not always woken.
    case committerWakeUpLost = "committer-wake-up-lost"
    /// Callers go on filling a batch that the committer has taken up.
    case takenBatchFilled = "taken-batch-filled"
    /// A round is shown when it was handed to the disk.
    case publishedBeforeDurable = "published-before-durable"
    /// Checks do not see the rounds that are on their way to the disk.
    case roundBeforeIgnored = "round-before-ignored"
    /// … nor the leases that they end.
    case endedLeaseUnseen = "ended-lease-unseen"
    /// … nor the keys that they put under a lease.
    case leasedKeysUnseen = "leased-keys-unseen"
    /// A failed batch takes down its own round, not those that were checked on top of it.
    case laterRoundsAcknowledged = "later-rounds-acknowledged"
    /// Revisions of what was refused are not given again.
    case refusedRevisionsKept = "refused-revisions-kept"
    /// The log goes on behind the place of what was refused.
    case abandonedTailKept = "abandoned-tail-kept"
    /// What waits behind a batch that failed is written.
    case diskGoesOnAfterFailure = "disk-goes-on-after-failure"
    /// The committer is not told that the disk is done while writes wait.
    case diskWakeUpLost = "disk-wake-up-lost"
    /// Files are written anew, and snapshots begun, while rounds are on their way to the disk.
    case roundsUnderWay = "rounds-under-way"
    /// A key is put where it belonged before the batch.
    case placeNotChecked = "place-not-checked"
    /// Of those who sleep on one word, only the one that is woken goes on.
    case wakeUpNotPassedOn = "wake-up-not-passed-on"
    /// A slow watch goes on after what it missed.
    case overflowSkipped = "overflow-skipped"
    /// What a refused batch wrote stays in the log.
    case refusedBatchStays = "refused-batch-stays"
    /// What recovery read from the page cache is taken to be on disk.
    case recoveredTailNotWritten = "recovered-tail-not-written"
    /// A key under a lease stays when the lease ends.
    case leaseKeysStay = "lease-keys-stay"
    /// A reconcile key that was asked for while it ran does not run again.
    case reconcileAddLost = "reconcile-add-lost"
    /// Keys that nobody waits for run before those that somebody waits for.
    case priorityIgnored = "priority-ignored"
    /// A drained queue drops what was ready.
    case drainDropsReady = "drain-drops-ready"
    /// Some values of chosen resources lie on disk as they are.
    case valueNotSealed = "value-not-sealed"
    /// What was sealed under the key of before is noted under the one of now.
    case batchNotedUnderNewKey = "batch-noted-under-new-key"
    /// A file that was written anew takes the old one's place before its bytes are on disk.
    case rewrittenFileNotSynchronized = "rewritten-file-not-synchronized"
    /// Old segments are removed, and may come back with the power, each by itself.
    case removalNotSynchronized = "removal-not-synchronized"
    /// A segment that takes an older one's file takes its salt too: frames of the older use are valid again.
    case saltReused = "salt-reused"
    /// A backup shows what is written while it is made.
    case backupReadsLatest = "backup-reads-latest"
    /// The history of a key lacks versions.
    case historySkipsVersion = "history-skips-version"
    /// A leader believes in its term longer than its lease lives.
    case leaderStaysOn = "leader-stays-on"
    /// Who resigns leaves the key to its lease.
    case resignedKeyStays = "resigned-key-stays"
}

#if SIMULATION
    /// The fault of this process, set before the first use of the kernel.
    package nonisolated(unsafe) var plantedFault: PlantedFault?
#endif

/// Whether the fault is planted: never in production, where this is a constant and what it guards is not compiled.
@inline(__always)
func planted(_ fault: PlantedFault) -> Bool {
    #if SIMULATION
        plantedFault == fault
    #else
        false
    #endif
}
