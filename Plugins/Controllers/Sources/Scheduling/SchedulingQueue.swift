/// What happened in the cluster that may let a parked pod fit.
struct ClusterChanges: OptionSet, Sendable, Hashable {
    let rawValue: UInt8
    /// A node came or changed.
    static let node = ClusterChanges(rawValue: 1)
    /// A placed pod ended or went, or a binding failed: something is free.
    static let podGone = ClusterChanges(rawValue: 2)
    /// A pod was placed or its labels changed: affinity may be satisfied.
    static let podPlaced = ClusterChanges(rawValue: 4)
    /// A claim, volume or storage class changed.
    static let storage = ClusterChanges(rawValue: 8)
    static let any: ClusterChanges = [.node, .podGone, .podPlaced, .storage]

    /// What can remove a refusal, from the words in which the scheduler put it. Words that we do not know, as another
    /// scheduler's may be, mean that anything can.
    static func helping(_ reason: String) -> ClusterChanges {
        if reason.hasPrefix("Insufficient ") || reason == "Too many pods" || reason.contains("free ports") {
            return [.node, .podGone]
        }
        if reason.contains("affinity rules") || reason.contains("topology spread") {
            return [.node, .podGone, .podPlaced]
        }
        let nodeOnly = [
            "node(s) were unschedulable", "node(s) didn't match Pod's node affinity/selector",
            "node(s) didn't match the requested node name",
        ]
        if nodeOnly.contains(reason) || reason.hasPrefix("node(s) had untolerated taint") { return .node }
        return .any
    }
}

/// Pods that wait for a node: active ones by priority then age, parked ones until something changes that can help, and
/// those that were woken too soon after their last attempt.
///
/// A value without clocks. Complexity: O(log n) per pod taken, `wake` is O(waiting).
struct SchedulingQueue {
    struct Item: Equatable, Sendable {
        /// "NAMESPACE/NAME"
        var key: String
        var uid: String
        var priority: Int64
        var sequence: UInt64 = 0
        var attempts = 0
        /// Monotonic nanoseconds.
        var lastAttempt: UInt64 = 0
    }

    private enum Place { case active, backingOff(until: UInt64), parked(ClusterChanges), taken }
    private struct Entry {
        var item: Item
        var place: Place
    }

    /// Nanoseconds: a woken pod waits this long since its last attempt, doubling per attempt up to the limit.
    static let firstBackoff: UInt64 = 100_000_000
    static let backoffLimit: UInt64 = 10_000_000_000

    private var entries: [String: Entry] = [:]
    private var heap = PriorityHeap()
    private var sequence: UInt64 = 0
    /// What changed while a pod was being tried, so that no change is missed between decision and parking.
    private var changesDuringAttempt: [String: ClusterChanges] = [:]

    var count: Int { entries.count }
    /// All that wait, in no order.
    var items: [Item] { entries.values.map(\.item) }
    func contains(_ uid: String) -> Bool { entries[uid] != nil }

    /// Adds a pod, or makes a waiting one active again because it changed itself.
    mutating func add(key: String, uid: String, priority: Int64) {
        var item = Item(key: key, uid: uid, priority: priority)
        if let entry = entries[uid] {
            switch entry.place {
            case .active where entry.item.priority == priority: return
            case .taken:
                changesDuringAttempt[uid, default: []].formUnion(.any)
                return
            case .active, .backingOff, .parked: break
            }
            item = entry.item
            item.priority = priority
        }
        activate(item)
    }

    mutating func remove(uid: String) {
        entries[uid] = nil
        changesDuringAttempt[uid] = nil
    }

    private mutating func activate(_ item: Item) {
        var item = item
        sequence += 1
        item.sequence = sequence
        entries[item.uid] = Entry(item: item, place: .active)
        heap.push(.init(priority: item.priority, sequence: sequence, uid: item.uid))
    }

    /// The next pod to try; it stays known as taken until it is parked, retried or removed.
    mutating func take(now: UInt64) -> Item? {
        release(now)
        while let top = heap.pop() {
            guard var entry = entries[top.uid], entry.item.sequence == top.sequence, case .active = entry.place else {
                continue
            }
            entry.item.attempts += 1
            entry.item.lastAttempt = now
            entry.place = .taken
            entries[top.uid] = entry
            changesDuringAttempt[top.uid] = []
            return entry.item
        }
        return nil
    }

    /// Parks a pod that did not fit until one of `helping` happens.
    mutating func park(_ item: Item, helping: ClusterChanges) {
        guard entries[item.uid] != nil else { return }
        let missed = changesDuringAttempt.removeValue(forKey: item.uid) ?? []
        entries[item.uid] = Entry(item: item, place: .parked(helping))
        if !missed.isDisjoint(with: helping) { backOff(item) }
    }

    /// Tries a pod again at once, as if it had not been tried.
    mutating func putBack(_ item: Item) {
        guard entries[item.uid] != nil else { return }
        changesDuringAttempt[item.uid] = nil
        var item = item
        item.attempts -= 1
        activate(item)
    }

    /// Tries a pod again after its back-off, also one that was removed in the meantime.
    mutating func retry(_ item: Item) {
        changesDuringAttempt[item.uid] = nil
        backOff(item)
    }

    /// Moves the parked pods that a change can help to where they are tried again.
    mutating func wake(_ changes: ClusterChanges) {
        for (uid, entry) in entries {
            switch entry.place {
            case .parked(let helping): if !helping.isDisjoint(with: changes) { backOff(entry.item) }
            case .taken: changesDuringAttempt[uid, default: []].formUnion(changes)
            case .active, .backingOff: break
            }
        }
    }

    private mutating func backOff(_ item: Item) {
        let doublings = min(max(0, item.attempts - 1), 20)
        let delay = min(Self.backoffLimit, Self.firstBackoff << UInt64(doublings))
        entries[item.uid] = Entry(item: item, place: .backingOff(until: item.lastAttempt + delay))
    }

    private mutating func release(_ now: UInt64) {
        var due: [Item] = []
        for entry in entries.values {
            if case .backingOff(let until) = entry.place, until <= now { due.append(entry.item) }
        }
        for item in due.sorted(by: { $0.sequence < $1.sequence }) { activate(item) }
    }

    /// When the first pod that backs off is due; nil when none does.
    var nextDue: UInt64? {
        entries.values.compactMap { entry -> UInt64? in
            if case .backingOff(let until) = entry.place { return until }
            return nil
        }.min()
    }
}

/// A binary heap: the highest priority first, then the lowest sequence.
private struct PriorityHeap {
    struct Element {
        var priority: Int64
        var sequence: UInt64
        var uid: String

        func precedes(_ other: Element) -> Bool {
            priority == other.priority ? sequence < other.sequence : priority > other.priority
        }
    }
    private var elements: [Element] = []

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
