/// Writes that the committer took up together, and what they change: seen by the checks of later writes at once, by anybody else
/// when it is on disk.
final class Round {
    private(set) var batch = Batch()
    /// The log batch that must be on disk before this can be seen.
    var serial: UInt64 = 0
    /// The store's revision before it.
    var revisionBefore: UInt64 = 0
    // The compiler cannot see that nothing uses these while they are used, and need not check it for each.
    @exclusivity(unchecked) var changedKeys = ChangedKeys()
    /// In order; the place is where the key stood or belonged in the tree.
    @exclusivity(unchecked) var changed: [(record: Record, place: StateTree.Place?)] = []
    /// Leases that it revokes.
    var endedLeases: Set<UInt64> = []
    /// Records without a key that it adds to the log.
    var marks: [Record] = []
    /// Writers that it defines.
    var newWriters: [UInt32] = []

    /// Empties it for another use, which keeps its memory.
    func begin(_ batch: Batch, after revision: UInt64) {
        self.batch = batch
        revisionBefore = revision
    }

    /// Gives up what it holds. The writes are their callers' now.
    func end() {
        changedKeys.removeAll()
        changed.removeAll(keepingCapacity: changed.count < 4096)
        if !endedLeases.isEmpty { endedLeases.removeAll() }
        for mark in marks { mark.release() }
        marks.removeAll(keepingCapacity: true)
        newWriters.removeAll(keepingCapacity: true)
        batch = Batch.none
    }
}
