/// A queue over one growing block of memory. Constant time at both ends, amortised.
struct RingBuffer<Element>: ~Copyable {
    private var storage: UnsafeMutablePointer<Element>
    private var capacity: Int
    private var head = 0
    private(set) var count = 0

    init() {
        capacity = 0
        storage = UnsafeMutablePointer<Element>.allocate(capacity: 0)
    }

    deinit {
        for position in 0..<count { (storage + slot(position)).deinitialize(count: 1) }
        storage.deallocate()
    }

    var isEmpty: Bool { count == 0 }

    private func slot(_ position: Int) -> Int {
        let index = head + position
        return index >= capacity ? index - capacity : index
    }

    /// The element `position` places after the oldest.
    subscript(position: Int) -> Element {
        precondition(position >= 0 && position < count)
        return storage[slot(position)]
    }

    mutating func append(_ element: Element) {
        if count == capacity { resize(to: max(8, capacity * 2)) }
        (storage + slot(count)).initialize(to: element)
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = (storage + head).move()
        head = slot(1)
        count -= 1
        if capacity > 1024 && count < capacity / 8 { resize(to: capacity / 4) }
        return element
    }

    mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        return (storage + slot(count)).move()
    }

    private mutating func resize(to newCapacity: Int) {
        let new = UnsafeMutablePointer<Element>.allocate(capacity: newCapacity)
        for position in 0..<count { (new + position).initialize(to: (storage + slot(position)).move()) }
        storage.deallocate()
        storage = new
        capacity = newCapacity
        head = 0
    }
}
