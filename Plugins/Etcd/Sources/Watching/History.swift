/// The latest changes, in order, bounded in bytes. Not for several threads at once.
struct History {
    private var changes: [Change] = []
    private var first = 0
    private var bytes = 0
    private let limit: Int
    /// Every change after this revision, up to `last`, is here.
    private(set) var floor: UInt64
    private(set) var last: UInt64

    init(limit: Int, at revision: UInt64) {
        self.limit = limit
        floor = revision
        last = revision
    }

    /// Adds the changes of one or more whole revisions, in order, the last of which is `revision`.
    mutating func add(_ added: [Change], upTo revision: UInt64) {
        for change in added { bytes += change.size }
        changes += added
        last = max(last, revision)
        while bytes > limit, first < changes.count {
            // Whole revisions go, so that nobody reads half of one.
            let dropped = changes[first].revision
            while first < changes.count, changes[first].revision == dropped {
                bytes -= changes[first].size
                first += 1
            }
            floor = dropped
        }
        if first > 1024, first * 2 > changes.count {
            changes.removeFirst(first)
            first = 0
        }
    }

    /// Changes after a revision, whole revisions, until they make `limit` bytes; and the revision that they reach.
    func changes(after revision: UInt64, limit: Int) -> (changes: [Change], upTo: UInt64) {
        var low = first
        var high = changes.count
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].revision <= revision { low = middle + 1 } else { high = middle }
        }
        var end = low
        var size = 0
        while end < changes.count, size < limit || changes[end].revision == changes[end - 1].revision {
            size += changes[end].size
            end += 1
        }
        return (Array(changes[low..<end]), end == changes.count ? max(last, revision) : changes[end - 1].revision)
    }
}
