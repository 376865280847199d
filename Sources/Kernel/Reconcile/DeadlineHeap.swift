/// A binary heap of deadlines. Entries are not removed when they become void: the reader skips them.
struct DeadlineHeap<Payload> {
    private var entries: [(deadline: UInt64, payload: Payload)] = []

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    var earliest: UInt64? { entries.first?.deadline }

    mutating func insert(_ payload: Payload, at deadline: UInt64) {
        entries.append((deadline, payload))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if entries[parent].deadline <= entries[child].deadline { break }
            entries.swapAt(parent, child)
            child = parent
        }
    }

    /// The earliest entry, if its deadline is not after `now`.
    mutating func popDue(_ now: UInt64) -> (deadline: UInt64, payload: Payload)? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        let last = entries.removeLast()
        if !entries.isEmpty {
            entries[0] = last
            sink()
        }
        return first
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < entries.count && entries[child].deadline < entries[least].deadline { least = child }
            if least == parent { return }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}
