/// Keys that wait for their time: a binary heap that knows where each key stands, so that a changed or withdrawn time
/// leaves nothing behind. Keys are small numbers, as `KeyTable` gives them out. Complexity: logarithmic; `earliest` constant.
struct DelayedKeys: ~Copyable {
    private var heap: [(deadline: UInt64, key: UInt32)] = []
    /// Of each key: its place in the heap plus one, 0 = it does not wait.
    private var places: [UInt32] = []

    init() {}

    var count: Int { heap.count }
    var earliest: UInt64? { heap.first?.deadline }

    /// When a key is due; nil when it does not wait.
    func deadline(of key: UInt32) -> UInt64? {
        guard Int(key) < places.count, places[Int(key)] > 0 else { return nil }
        return heap[Int(places[Int(key)]) - 1].deadline
    }

    /// Sets or changes the time of a key.
    mutating func set(_ key: UInt32, at deadline: UInt64) {
        while places.count <= Int(key) { places.append(0) }
        if places[Int(key)] > 0 {
            let place = Int(places[Int(key)]) - 1
            heap[place].deadline = deadline
            settle(place)
        } else {
            heap.append((deadline, key))
            places[Int(key)] = UInt32(heap.count)
            rise(heap.count - 1)
        }
    }

    /// Withdraws the time of a key, if it has one.
    mutating func remove(_ key: UInt32) {
        guard Int(key) < places.count, places[Int(key)] > 0 else { return }
        let place = Int(places[Int(key)]) - 1
        places[Int(key)] = 0
        let last = heap.removeLast()
        guard place < heap.count else { return }
        heap[place] = last
        places[Int(last.key)] = UInt32(place + 1)
        settle(place)
    }

    /// Takes out the earliest key, if its time is not after `now`.
    mutating func popDue(_ now: UInt64) -> UInt32? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        remove(first.key)
        return first.key
    }

    /// Any key that waits.
    var first: UInt32? { heap.first?.key }

    private mutating func settle(_ place: Int) {
        if place > 0 && heap[(place - 1) / 2].deadline > heap[place].deadline { rise(place) } else { sink(place) }
    }

    private mutating func rise(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].deadline <= heap[child].deadline { return }
            exchange(parent, child)
            child = parent
        }
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            if 2 * parent + 1 < heap.count, heap[2 * parent + 1].deadline < heap[least].deadline {
                least = 2 * parent + 1
            }
            if 2 * parent + 2 < heap.count, heap[2 * parent + 2].deadline < heap[least].deadline {
                least = 2 * parent + 2
            }
            if least == parent { return }
            exchange(parent, least)
            parent = least
        }
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        places[Int(heap[left].key)] = UInt32(left + 1)
        places[Int(heap[right].key)] = UInt32(right + 1)
    }
}
