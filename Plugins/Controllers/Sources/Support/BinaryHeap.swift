/// What can be ordered in a heap.
protocol HeapElement: Sendable {
    /// Whether this comes out before the other.
    func precedes(_ other: Self) -> Bool
}

/// A binary heap: what precedes all others comes out first.
///
/// Complexity: O(log n) for push and pop.
struct BinaryHeap<Element: HeapElement>: Sendable {
    private var elements: [Element] = []

    var first: Element? { elements.first }

    mutating func push(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0, elements[child].precedes(elements[(child - 1) / 2]) {
            elements.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> Element? {
        guard let top = elements.first else { return nil }
        let last = elements.removeLast()
        guard !elements.isEmpty else { return top }
        elements[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < elements.count else { return top }
            let right = left + 1
            let child = right < elements.count && elements[right].precedes(elements[left]) ? right : left
            guard elements[child].precedes(elements[parent]) else { return top }
            elements.swapAt(child, parent)
            parent = child
        }
    }
}
