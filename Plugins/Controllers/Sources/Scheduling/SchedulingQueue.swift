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
    /// A resource claim, a class of devices or a slice changed.
    static let devices = ClusterChanges(rawValue: 16)
    static let any: ClusterChanges = [.node, .podGone, .podPlaced, .storage, .devices]

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
/// A value without clocks. Complexity: O(log n) per pod added, taken or released; `wake` is O(parked).
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

    /// How pods come to where they wait, in the words of Kubernetes' scheduler.
    struct Arrival: Hashable, Sendable {
        enum Event: String, Sendable {
            case added = "PodAdd"
            case refused = "ScheduleAttemptFailure"
            case backOffEnded = "BackoffComplete"
            case clusterChanged = "ClusterChange"
        }
        enum Queue: String, Sendable {
            case active, backoff, unschedulable
        }
        var event: Event
        var queue: Queue
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
    private var parked: Set<String> = []
    private var active = BinaryHeap<Turn>()
    private var backingOff = BinaryHeap<Due>()
    private var sequence: UInt64 = 0
    private var backingOffCount = 0
    /// Since they were asked for last.
    private var arrivals: [Arrival: Int] = [:]
    /// Of the pods that are being tried, what changed meanwhile: no change is missed between decision and parking.
    private var changesDuringAttempt: [String: ClusterChanges] = [:]

    var count: Int { entries.count }
    /// Where they wait; one that is being tried counts as active.
    var counts: (active: Int, backingOff: Int, parked: Int) {
        (entries.count - backingOffCount - parked.count, backingOffCount, parked.count)
    }

    /// How many pods came where, and why, since this was asked last.
    mutating func takeArrivals() -> [Arrival: Int] {
        defer { arrivals.removeAll() }
        return arrivals
    }

    private mutating func note(_ event: Arrival.Event, _ queue: Arrival.Queue) {
        arrivals[Arrival(event: event, queue: queue), default: 0] += 1
    }

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
        note(.added, .active)
        activate(item)
    }

    mutating func remove(uid: String) {
        if let old = entries.removeValue(forKey: uid), case .backingOff = old.place { backingOffCount -= 1 }
        parked.remove(uid)
        changesDuringAttempt[uid] = nil
    }

    private mutating func put(_ item: Item, _ place: Place) {
        let old = entries.updateValue(Entry(item: item, place: place), forKey: item.uid)
        if let old, case .backingOff = old.place { backingOffCount -= 1 }
        if case .backingOff = place { backingOffCount += 1 }
        if case .parked = place { parked.insert(item.uid) } else { parked.remove(item.uid) }
    }

    private mutating func activate(_ item: Item) {
        var item = item
        sequence += 1
        item.sequence = sequence
        put(item, .active)
        active.push(Turn(priority: item.priority, sequence: sequence, uid: item.uid))
    }

    /// The next pod to try; it stays known as taken until it is parked, retried, put back or removed.
    mutating func take(now: UInt64) -> Item? {
        release(now)
        while let top = active.pop() {
            guard var item = entries[top.uid]?.item, item.sequence == top.sequence,
                case .active? = entries[top.uid]?.place
            else { continue }
            item.attempts += 1
            item.lastAttempt = now
            put(item, .taken)
            changesDuringAttempt[top.uid] = []
            return item
        }
        return nil
    }

    /// Parks a pod that did not fit until one of `helping` happens.
    mutating func park(_ item: Item, helping: ClusterChanges) {
        guard entries[item.uid] != nil else { return }
        let missed = changesDuringAttempt.removeValue(forKey: item.uid) ?? []
        put(item, .parked(helping))
        guard !missed.isDisjoint(with: helping) else { return note(.refused, .unschedulable) }
        backOff(item)
        note(.refused, .backoff)
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
        note(.refused, .backoff)
    }

    /// Moves the parked pods that a change can help to where they are tried again.
    mutating func wake(_ changes: ClusterChanges) {
        for uid in changesDuringAttempt.keys { changesDuringAttempt[uid]?.formUnion(changes) }
        for uid in parked {
            guard let entry = entries[uid], case .parked(let helping) = entry.place else { continue }
            guard !helping.isDisjoint(with: changes) else { continue }
            backOff(entry.item)
            note(.clusterChanged, .backoff)
        }
    }

    private mutating func backOff(_ item: Item) {
        let doublings = min(max(0, item.attempts - 1), 20)
        let due = item.lastAttempt + min(Self.backoffLimit, Self.firstBackoff << UInt64(doublings))
        put(item, .backingOff(until: due))
        backingOff.push(Due(time: due, sequence: item.sequence, uid: item.uid))
    }

    private mutating func release(_ now: UInt64) {
        while let due = nextDue, due <= now, let top = backingOff.pop(), let item = entries[top.uid]?.item {
            note(.backOffEnded, .active)
            activate(item)
        }
    }

    /// When the first pod that backs off is due; nil when none does.
    var nextDue: UInt64? {
        mutating get {
            while let top = backingOff.first {
                if case .backingOff(top.time)? = entries[top.uid]?.place { return top.time }
                _ = backingOff.pop()
            }
            return nil
        }
    }
}

/// An active pod's turn: the highest priority first, then the lowest sequence.
private struct Turn: HeapElement {
    var priority: Int64
    var sequence: UInt64
    var uid: String

    func precedes(_ other: Turn) -> Bool {
        priority == other.priority ? sequence < other.sequence : priority > other.priority
    }
}

/// The end of a back-off.
private struct Due: HeapElement {
    var time: UInt64
    var sequence: UInt64
    var uid: String

    func precedes(_ other: Due) -> Bool { time == other.time ? sequence < other.sequence : time < other.time }
}
