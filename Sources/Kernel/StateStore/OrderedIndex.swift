/// An ordered map from key to newest record: a two-level tree of sorted leaves with 256 pointers each. The keys stand in
/// the records. Search is O(log n), insertion moves at most one leaf; counting a range adds up leaves.
struct OrderedIndex: ~Copyable {
    static let capacity = 256

    private struct Leaf {
        var items: UnsafeMutablePointer<Record>
        var count: Int
        /// How many of them are puts, not deletions kept for the history.
        var live: Int
    }

    /// A place in the map; after any change it is void.
    struct Position: Equatable {
        var leaf: Int
        var item: Int
    }

    private var leaves: [Leaf] = []
    /// Keys that exist now.
    private(set) var liveCount = 0

    init() {}

    deinit {
        for leaf in leaves {
            for item in 0..<leaf.count { leaf.items[item].release() }
            leaf.items.deallocate()
        }
    }

    /// The first place whose key is not below `key`, and whether it is that key.
    func lowerBound(_ key: UnsafeRawBufferPointer) -> (position: Position, found: Bool) {
        var low = 0
        var high = leaves.count
        while low < high {  // The last leaf whose first key is not above `key`.
            let middle = (low + high) / 2
            if compareKeys(leaves[middle].items[0].key, key) <= 0 { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return (Position(leaf: 0, item: 0), false) }
        let leaf = leaves[low - 1]
        var first = 0
        var end = leaf.count
        while first < end {
            let middle = (first + end) / 2
            let order = compareKeys(leaf.items[middle].key, key)
            if order == 0 { return (Position(leaf: low - 1, item: middle), true) }
            if order < 0 { first = middle + 1 } else { end = middle }
        }
        return (Position(leaf: low - 1, item: first), false)
    }

    /// Whether `position` still is what `lowerBound` gives for a key: whether the key stands there, nil when it is not.
    /// Any position may be asked for, of whatever state of the map.
    func finds(_ key: UnsafeRawBufferPointer, at position: Position) -> Bool? {
        guard position.leaf < leaves.count, position.item <= leaves[position.leaf].count else { return nil }
        let leaf = leaves[position.leaf]
        if planted(.placeNotChecked) {
            return position.item < leaf.count && compareKeys(leaf.items[position.item].key, key) == 0
        }
        if position.item > 0 {
            guard compareKeys(leaf.items[position.item - 1].key, key) < 0 else { return nil }
        } else if position.leaf > 0 {
            return nil
        }
        if position.item < leaf.count {
            let order = compareKeys(leaf.items[position.item].key, key)
            return order < 0 ? nil : order == 0
        }
        let isLast = position.leaf + 1 == leaves.count
        return isLast || compareKeys(leaves[position.leaf + 1].items[0].key, key) > 0 ? false : nil
    }

    /// The record at a place, or at the next one when it stands behind a leaf's end; nil at the end of the map.
    func record(at position: inout Position) -> Record? {
        while position.leaf < leaves.count {
            if position.item < leaves[position.leaf].count { return leaves[position.leaf].items[position.item] }
            position = Position(leaf: position.leaf + 1, item: 0)
        }
        return nil
    }

    /// Inserts before `position`, which `lowerBound` gave for its key. Takes over the caller's reference.
    mutating func insert(_ record: Record, at position: Position) {
        var position = position
        if leaves.isEmpty {
            leaves.append(Leaf(items: .allocate(capacity: Self.capacity), count: 0, live: 0))
        } else if leaves[position.leaf].count == Self.capacity {
            position = split(position)
        }
        let count = leaves[position.leaf].count
        let items = leaves[position.leaf].items
        (items + position.item + 1).update(from: items + position.item, count: count - position.item)
        items[position.item] = record
        leaves[position.leaf].count = count + 1
        countLive(position.leaf, record.isPut ? 1 : 0)
    }

    /// Inserts a record that most probably comes behind all others, as those of a snapshot do: then without a search. Takes
    /// over the caller's reference.
    mutating func insertLast(_ record: Record) {
        if let last = leaves.last, compareKeys(last.items[last.count - 1].key, record.key) < 0 {
            insert(record, at: Position(leaf: leaves.count - 1, item: last.count))
        } else {
            insert(record, at: lowerBound(record.key).position)
        }
    }

    /// Puts another record of the same key in place; the caller gets the reference to the one before.
    mutating func replace(at position: Position, with record: Record) {
        let before = leaves[position.leaf].items[position.item]
        leaves[position.leaf].items[position.item] = record
        countLive(position.leaf, (record.isPut ? 1 : 0) - (before.isPut ? 1 : 0))
    }

    /// Takes a record out; the caller gets its reference.
    mutating func remove(at position: Position) -> Record {
        let items = leaves[position.leaf].items
        let record = items[position.item]
        let count = leaves[position.leaf].count - 1
        (items + position.item).update(from: items + position.item + 1, count: count - position.item)
        leaves[position.leaf].count = count
        countLive(position.leaf, record.isPut ? -1 : 0)
        if count == 0 {
            items.deallocate()
            leaves.remove(at: position.leaf)
        } else if count < Self.capacity / 4 {
            mergeAfter(position.leaf)
        }
        return record
    }

    /// How many live keys lie at or after `start` and before `end` (nil = the end of the map).
    func countLive(from start: Position, to end: Position?) -> Int {
        let end = end ?? Position(leaf: leaves.count, item: 0)
        var total = 0
        var leaf = start.leaf
        while leaf < leaves.count && leaf <= end.leaf {
            let first = leaf == start.leaf ? start.item : 0
            let last = leaf == end.leaf ? end.item : leaves[leaf].count
            if first == 0 && last == leaves[leaf].count {
                total += leaves[leaf].live
            } else if first < last {
                for item in first..<last where leaves[leaf].items[item].isPut { total += 1 }
            }
            leaf += 1
        }
        return total
    }

    private mutating func countLive(_ leaf: Int, _ change: Int) {
        leaves[leaf].live += change
        liveCount += change
    }

    private mutating func split(_ position: Position) -> Position {
        // Appending in order is the common case: then the old leaf stays full.
        let keep =
            position.item == Self.capacity && position.leaf == leaves.count - 1 ? Self.capacity - 1 : Self.capacity / 2
        let old = leaves[position.leaf]
        let moved = Self.capacity - keep
        let items = UnsafeMutablePointer<Record>.allocate(capacity: Self.capacity)
        items.update(from: old.items + keep, count: moved)
        let live = (0..<moved).count { items[$0].isPut }
        leaves[position.leaf].count = keep
        leaves[position.leaf].live -= live
        leaves.insert(Leaf(items: items, count: moved, live: live), at: position.leaf + 1)
        guard position.item > keep else { return position }
        return Position(leaf: position.leaf + 1, item: position.item - keep)
    }

    private mutating func mergeAfter(_ leaf: Int) {
        guard leaf + 1 < leaves.count, leaves[leaf].count + leaves[leaf + 1].count <= Self.capacity / 2 else { return }
        let next = leaves.remove(at: leaf + 1)
        (leaves[leaf].items + leaves[leaf].count).update(from: next.items, count: next.count)
        leaves[leaf].count += next.count
        leaves[leaf].live += next.live
        next.items.deallocate()
    }
}
