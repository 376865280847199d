/// Which keys are ready, in the order in which they are to run: interactive ones before background ones, but every eighth
/// turn is the background's; within a priority group by group in turn, so that a group with many keys delays another one
/// by no more than one key a turn; within a group in the order of arrival.
///
/// Keys and groups are small numbers, as `KeyTable` gives them out. Complexity: constant for all operations.
struct FairQueue: ~Copyable {
    enum Priority: UInt8, CaseIterable {
        case interactive = 0
        case background = 1
    }

    /// One turn in so many is the background's when both wait.
    static let backgroundTurn = 8
    private static let none = KeyTable.none

    private struct Link {
        var previous = FairQueue.none
        var next = FairQueue.none
        var group = FairQueue.none
        var priority = Priority.interactive
    }
    /// The ready keys of a group in one priority, and its place in the ring of groups that have some.
    private struct Lane {
        var first = FairQueue.none
        var last = FairQueue.none
        var previous = FairQueue.none
        var next = FairQueue.none
    }

    private var links: [Link] = []
    /// Of each group two, one for each priority.
    private var lanes: [Lane] = []
    /// The lane whose turn is next, for each priority.
    private var turns = (FairQueue.none, FairQueue.none)
    private var counts = (0, 0)
    private var interactiveInARow = 0

    init() {}

    var count: Int { counts.0 + counts.1 }
    func count(_ priority: Priority) -> Int { priority == .interactive ? counts.0 : counts.1 }

    /// Puts a key behind the others of its group and priority. It must not be in the queue.
    mutating func append(_ key: UInt32, group: UInt32, priority: Priority) {
        while links.count <= Int(key) { links.append(Link()) }
        while lanes.count <= Int(group) * 2 + 1 { lanes.append(Lane()) }
        let lane = Int(group) * 2 + Int(priority.rawValue)
        let last = lanes[lane].last
        links[Int(key)] = Link(previous: last, next: Self.none, group: group, priority: priority)
        lanes[lane].last = key
        if last == Self.none {
            lanes[lane].first = key
            enterRing(UInt32(lane), priority)
        } else {
            links[Int(last)].next = key
        }
        change(priority, by: 1)
    }

    /// Takes a key out, wherever it stands. It must be in the queue.
    mutating func remove(_ key: UInt32) {
        let link = links[Int(key)]
        let lane = Int(link.group) * 2 + Int(link.priority.rawValue)
        if link.previous == Self.none {
            lanes[lane].first = link.next
        } else {
            links[Int(link.previous)].next = link.next
        }
        if link.next == Self.none {
            lanes[lane].last = link.previous
        } else {
            links[Int(link.next)].previous = link.previous
        }
        if lanes[lane].first == Self.none { leaveRing(UInt32(lane), link.priority) }
        change(link.priority, by: -1)
    }

    /// The key whose turn it is.
    mutating func popFirst() -> UInt32? {
        let priority: Priority
        if counts.0 == 0 {
            guard counts.1 > 0 else { return nil }
            priority = .background
        } else if counts.1 > 0 && interactiveInARow >= Self.backgroundTurn - 1 {
            priority = .background
        } else {
            priority = planted(.priorityIgnored) && counts.1 > 0 ? .background : .interactive
        }
        interactiveInARow = priority == .interactive && counts.1 > 0 ? interactiveInARow + 1 : 0
        let lane = Int(turn(priority))
        setTurn(priority, lanes[lane].next)
        let key = lanes[lane].first
        remove(key)
        return key
    }

    /// The priority of a key in the queue.
    func priority(of key: UInt32) -> Priority { links[Int(key)].priority }

    private mutating func change(_ priority: Priority, by amount: Int) {
        if priority == .interactive { counts.0 += amount } else { counts.1 += amount }
    }

    private func turn(_ priority: Priority) -> UInt32 { priority == .interactive ? turns.0 : turns.1 }

    private mutating func setTurn(_ priority: Priority, _ lane: UInt32) {
        if priority == .interactive { turns.0 = lane } else { turns.1 = lane }
    }

    /// Puts a lane at the end of the ring: before the one whose turn is next.
    private mutating func enterRing(_ lane: UInt32, _ priority: Priority) {
        let next = turn(priority)
        guard next != Self.none else {
            lanes[Int(lane)].previous = lane
            lanes[Int(lane)].next = lane
            return setTurn(priority, lane)
        }
        let previous = lanes[Int(next)].previous
        lanes[Int(lane)].previous = previous
        lanes[Int(lane)].next = next
        lanes[Int(previous)].next = lane
        lanes[Int(next)].previous = lane
    }

    private mutating func leaveRing(_ lane: UInt32, _ priority: Priority) {
        let (previous, next) = (lanes[Int(lane)].previous, lanes[Int(lane)].next)
        if next == lane { return setTurn(priority, Self.none) }
        lanes[Int(previous)].next = next
        lanes[Int(next)].previous = previous
        if turn(priority) == lane { setTurn(priority, next) }
    }
}
