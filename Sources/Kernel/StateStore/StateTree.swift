import CStateStore
import PluginAPI

/// One change for watches: the record, and what the key held before while the history knows it.
struct Event: Sendable {
    let record: Record
    let previous: Record?

    func retain() {
        record.retain()
        previous?.retain()
    }
    func release() {
        record.release()
        previous?.release()
    }
}

/// Some events of the history, in order.
struct HistoryPiece {
    var events: [Event]
    /// There is no other event up to this revision.
    var upTo: UInt64
    /// Whether nothing came after it yet.
    var isEnd: Bool
}

/// All keys of one resource, and the history of their changes.
final class Partition {
    /// "RESOURCE/".
    let prefix: [UInt8]
    let number: UInt32
    var index = OrderedIndex()
    /// The part of the tree's history that belongs here; its references are the tree's.
    var events = RingBuffer<Record>()

    init(prefix: [UInt8], number: UInt32) {
        self.prefix = prefix
        self.number = number
    }
}

/// The state in memory: for each resource an ordered index of newest records, each with its older versions behind it, and
/// the history of changes since the compacted revision. The caller holds the store's lock: for reading in functions that
/// are not `mutating` by name, for writing in `apply`, `load` and `compact`.
final class StateTree: @unchecked Sendable {  // Behind the store's read-write lock.
    private(set) var partitions: [Partition] = []
    /// Positions in `partitions`, ordered by prefix.
    private var order: [Int] = []
    private var history = RingBuffer<Record>()

    /// The newest revision that can be seen.
    private(set) var revision: UInt64 = 0
    /// History after this revision is complete; lists and watches go back to it and not further.
    private(set) var compactedRevision: UInt64 = 0
    /// When that revision was written, milliseconds since 1970; 0 = not known.
    private(set) var compactedTime: UInt64 = 0
    /// Bytes of the records that exist now.
    private(set) var liveBytes = 0
    private(set) var historyBytes = 0
    var historyCount: Int { history.count }
    var liveCount: Int { partitions.reduce(0) { $0 + $1.index.liveCount } }

    deinit {
        while let record = history.popFirst() { record.release() }
    }

    // MARK: Partitions

    private func search(_ prefix: UnsafeRawBufferPointer) -> (place: Int, found: Bool) {
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            let comparison = partitions[order[middle]].prefix.withUnsafeBytes { compareKeys($0, prefix) }
            if comparison == 0 { return (middle, true) }
            if comparison < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }

    /// The partition of a key or of a prefix that is not empty.
    func partition(of key: UnsafeRawBufferPointer) -> Partition? {
        let found = search(UnsafeRawBufferPointer(rebasing: key[..<StoreKey.resourceSize(key)]))
        return found.found ? partitions[order[found.place]] : nil
    }

    private func makePartition(of key: UnsafeRawBufferPointer) -> Partition {
        let prefix = UnsafeRawBufferPointer(rebasing: key[..<StoreKey.resourceSize(key)])
        let found = search(prefix)
        if found.found { return partitions[order[found.place]] }
        let new = Partition(prefix: Array(prefix), number: UInt32(partitions.count))
        partitions.append(new)
        order.insert(partitions.count - 1, at: found.place)
        return new
    }

    /// The partitions that a prefix reaches, in key order, from the one of key `after` on.
    func partitions(under prefix: UnsafeRawBufferPointer, after: UnsafeRawBufferPointer) -> [Partition] {
        if !prefix.isEmpty { return partition(of: prefix).map { [$0] } ?? [] }
        if after.isEmpty { return order.map { partitions[$0] } }
        let first = search(UnsafeRawBufferPointer(rebasing: after[..<StoreKey.resourceSize(after)])).place
        return order[first...].map { partitions[$0] }
    }

    // MARK: Reading

    /// The newest record of a key, which may be a deletion.
    func newest(_ key: UnsafeRawBufferPointer) -> Record? { find(key).newest }

    /// What a key holds, and where it stands or belongs; no place when nothing of its resource was ever written.
    func find(_ key: UnsafeRawBufferPointer) -> (newest: Record?, place: Place?) {
        guard let partition = partition(of: key) else { return (nil, nil) }
        let (position, found) = partition.index.lowerBound(key)
        var standing = position
        return (
            found ? partition.index.record(at: &standing) : nil, Place(partition: partition.number, position: position)
        )
    }

    /// Where a key stood or belonged; it may have moved since.
    struct Place {
        fileprivate let partition: UInt32
        fileprivate let position: OrderedIndex.Position
    }

    /// What a key held at a revision; nil when it did not exist.
    @inline(__always)
    static func resolve(_ newest: Record, at revision: UInt64) -> Record? {
        var record: Record? = newest
        while let one = record, one.revision > revision { record = one.previous }
        guard let record, record.isPut else { return nil }
        return record
    }

    /// Throws when a revision is not readable. 0 means the latest; the result is never 0 unless nothing was ever written.
    func readable(_ wanted: UInt64) throws(StoreError) -> UInt64 {
        if wanted == 0 || wanted == revision { return revision }
        guard wanted < revision else {
            throw .invalid("revision \(wanted) is not reached yet; the store is at \(revision)")
        }
        guard wanted >= compactedRevision else {
            throw StoreError(
                HOSTD_ERROR_COMPACTED,
                "revision \(wanted) is no longer kept; the history begins at \(compactedRevision): list again")
        }
        return wanted
    }

    /// The newest revision that was written at or before a time (milliseconds since 1970); nil when the history does not
    /// reach so far back. Complexity: linear in the history after it.
    func revision(at time: UInt64) -> UInt64? {
        for position in stride(from: history.count - 1, through: 0, by: -1) {
            let record = history[position]
            if record.time != 0 && record.time <= time { return record.revision }
        }
        return compactedTime != 0 && compactedTime <= time ? compactedRevision : nil
    }

    /// When a readable revision was written, milliseconds since 1970; 0 = not known. Complexity: logarithmic.
    func time(of revision: UInt64) -> UInt64 {
        if revision <= compactedRevision { return revision == compactedRevision ? compactedTime : 0 }
        var low = 0
        var high = history.count
        while low < high {
            let middle = (low + high) / 2
            if history[middle].revision < revision { low = middle + 1 } else { high = middle }
        }
        return low < history.count && history[low].revision == revision ? history[low].time : 0
    }

    /// The events after `revision` in a partition (nil = all), as many whole revisions as fit `limit` bytes, at least one.
    /// The last revision looked at comes with them, and whether it is the last there is. References are retained.
    func events(
        in partition: Partition?, after revision: UInt64, limit: Int, wants: (Event) -> Bool
    ) -> HistoryPiece {
        let count = partition?.events.count ?? history.count
        func record(_ position: Int) -> Record { partition?.events[position] ?? history[position] }
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if record(middle).revision <= revision { low = middle + 1 } else { high = middle }
        }
        var found: [Event] = []
        var bytes = 0
        var visited = 0
        var last = revision
        while low < count {
            let one = record(low)
            if one.revision != last && (bytes >= limit || visited >= 4096) {
                return HistoryPiece(events: found, upTo: last, isEnd: false)
            }
            last = one.revision
            visited += 1
            let event = Event(record: one, previous: one.previous)
            if wants(event) {
                event.retain()
                found.append(event)
                bytes += one.size
            }
            low += 1
        }
        return HistoryPiece(events: found, upTo: max(self.revision, revision), isEnd: true)
    }

    // MARK: Changing

    /// Where a key stands or belongs now; without a search when it still is where it was.
    private func locate(
        _ key: UnsafeRawBufferPointer, _ place: Place?
    ) -> (partition: Partition, position: OrderedIndex.Position, found: Bool) {
        if let place {
            let partition = partitions[Int(place.partition)]
            if let found = partition.index.finds(key, at: place.position) { return (partition, place.position, found) }
            let (position, found) = partition.index.lowerBound(key)
            return (partition, position, found)
        }
        let partition = makePartition(of: key)
        let (position, found) = partition.index.lowerBound(key)
        return (partition, position, found)
    }

    /// Makes a committed record the newest of its key. Takes over the caller's reference. `place`: what `find` said of its
    /// key before, which saves a search.
    func apply(_ record: Record, now: UInt32, at place: Place? = nil) -> Event {
        let (partition, position, found) = locate(record.key, place)
        record.block.pointee.partition = partition.number
        record.block.pointee.committed_at = now
        revision = record.revision
        var standing = position
        if found, let before = partition.index.record(at: &standing) {
            partition.index.replace(at: position, with: record)
            record.previous = before
            if before.isPut { liveBytes -= before.size }
        } else {
            partition.index.insert(record, at: position)
        }
        if record.isPut { liveBytes += record.size }
        record.retain()
        history.append(record)
        partition.events.append(record)
        historyBytes += record.size
        return Event(record: record, previous: record.previous)
    }

    /// Puts a record of a snapshot in place: it has no history. Keys come in order. Takes over the caller's reference.
    func load(_ record: Record) {
        let partition = makePartition(of: record.key)
        record.block.pointee.partition = partition.number
        partition.index.insertLast(record)
        liveBytes += record.size
    }

    /// After a snapshot: the revision that it shows, before which there is no history.
    func finishLoading(at revision: UInt64, time: UInt64) {
        self.revision = revision
        compactedRevision = revision
        compactedTime = time
    }

    /// Gives up history up to and including `target`, but no more than `limit` records, whole revisions. Returns whether
    /// all of it is gone.
    @discardableResult
    func compact(to target: UInt64, limit: Int = .max) -> Bool {
        var dropped = 0
        while !history.isEmpty, history[0].revision <= target {
            if dropped >= limit && history[0].revision != compactedRevision { return false }
            guard let record = history.popFirst() else { break }
            dropped += 1
            compactedRevision = record.revision
            if record.time != 0 { compactedTime = record.time }
            forget(record)
        }
        compactedRevision = max(compactedRevision, min(target, revision))
        return true
    }

    private func forget(_ record: Record) {
        let partition = partitions[Int(record.block.pointee.partition)]
        _ = partition.events.popFirst()
        historyBytes -= record.size
        if let previous = record.previous {
            record.previous = nil
            previous.release()
        }
        if !record.isPut {
            var (position, found) = partition.index.lowerBound(record.key)
            if found, partition.index.record(at: &position)?.block == record.block {
                partition.index.remove(at: position).release()
            }
        }
        record.release()
    }

    /// The revision up to which the history is to be given up so that it keeps its bounds, or nil.
    func compactionTarget(bytes: Int, count: Int, seconds: UInt32, now: UInt32) -> UInt64? {
        var target: UInt64?
        var excess = historyBytes - bytes
        var position = 0
        while position < history.count && position < 4096 {
            let record = history[position]
            let isOld = seconds > 0 && now &- record.block.pointee.committed_at >= seconds
            guard isOld || excess > 0 || history.count - position > count else { break }
            target = record.revision
            excess -= record.size
            position += 1
        }
        return target
    }

    /// When the oldest event was committed, in seconds of the monotonic clock; nil when there is no history.
    var oldestEvent: UInt32? { history.isEmpty ? nil : history[0].block.pointee.committed_at }
}
