/// What a queue knows of its keys, and what each call makes of it: pure, behind the queue's lock. A key rests, is ready, or
/// runs; beside that it may wait for its time. Time is handed in, monotonic nanoseconds.
///
/// Complexity: constant but for keys with a time, which cost a step in a heap; nothing is allocated in a steady state.
struct KeyedWork: ~Copyable {
    typealias Priority = FairQueue.Priority

    private enum Place { case resting, ready, running }

    private struct Item {
        var place = Place.resting
        /// Asked for again while it ran.
        var isDirty = false
        /// Of the next run; the more urgent of those that it was added with.
        var priority = Priority.background
        var failures: Int32 = 0
        var group = KeyTable.none
        /// Where it stands in `running`.
        var slot: UInt32 = 0
        var readySince: UInt64 = 0
    }

    private var keys = KeyTable()
    private var items: [Item] = []
    private var groups = KeyTable()
    /// Keys of each group.
    private var members: [UInt32] = []
    private var ready = FairQueue()
    private var delayed = DelayedKeys()
    /// Keys that run, and since when.
    private(set) var running: [(key: UInt32, since: UInt64)] = []
    var statistics = QueueStatistics()

    init() {}

    var readyCount: Int { ready.count }
    func readyCount(_ priority: Priority) -> Int { ready.count(priority) }
    /// When the first of the keys that wait for their time is due.
    var nextDeadline: UInt64? { delayed.earliest }
    /// Keys that something is known of.
    var count: Int { keys.count }

    /// The bytes of a key, which stay in place while it runs.
    func bytes(of key: UInt32) -> UnsafeBufferPointer<UInt8> { keys[key] }

    // MARK: Adding

    mutating func add(
        _ key: UnsafeBufferPointer<UInt8>, group: UnsafeBufferPointer<UInt8>?, priority: Priority, delay: UInt64,
        now: UInt64
    ) {
        statistics.adds += 1
        let number = intern(key, group)
        if delay == 0 {
            ask(number, priority, now)
        } else {
            postpone(number, priority, until: time(now, plus: delay))
        }
    }

    private mutating func intern(_ key: UnsafeBufferPointer<UInt8>, _ group: UnsafeBufferPointer<UInt8>?) -> UInt32 {
        let (number, isNew) = keys.intern(key)
        guard isNew else { return number }
        let (owner, _) = groups.intern(group ?? Self.group(of: key))
        while members.count <= Int(owner) { members.append(0) }
        members[Int(owner)] += 1
        while items.count <= Int(number) { items.append(Item()) }
        items[Int(number)] = Item(group: owner)
        return number
    }

    /// "NAMESPACE/" of "NAMESPACE/NAME"; empty without a slash.
    private static func group(of key: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        var end = key.count
        while end > 0, key[end - 1] != UInt8(ascii: "/") { end -= 1 }
        return UnsafeBufferPointer(rebasing: key[..<end])
    }

    /// Makes a key ready now, or marks a running one.
    private mutating func ask(_ number: UInt32, _ priority: Priority, _ now: UInt64) {
        delayed.remove(number)
        raise(number, to: priority)
        let item = items[Int(number)]
        switch item.place {
        case .ready: break
        case .running: items[Int(number)].isDirty = !planted(.reconcileAddLost)
        case .resting:
            items[Int(number)].place = .ready
            items[Int(number)].readySince = now
            ready.append(number, group: item.group, priority: item.priority)
        }
    }

    /// Makes the next run of a key as urgent as whoever asks for it now.
    private mutating func raise(_ number: UInt32, to priority: Priority) {
        let item = items[Int(number)]
        guard priority == .interactive, item.priority != priority else { return }
        items[Int(number)].priority = priority
        guard item.place == .ready else { return }
        ready.remove(number)
        ready.append(number, group: item.group, priority: priority)
    }

    /// Plans a run at `due` unless an earlier one is planned, which is then as urgent as this one.
    private mutating func postpone(_ number: UInt32, _ priority: Priority, until due: UInt64) {
        raise(number, to: priority)
        let item = items[Int(number)]
        if item.place == .ready || item.isDirty { return }
        if let planned = delayed.deadline(of: number), planned <= due { return }
        delayed.set(number, at: due)
    }

    /// Makes ready one key that is due; false when there is none.
    mutating func releaseDue(now: UInt64) -> Bool {
        guard let number = delayed.popDue(now) else { return false }
        ask(number, items[Int(number)].priority, now)
        return true
    }

    // MARK: Working

    /// Takes the key whose turn it is.
    mutating func begin(now: UInt64) -> UInt32? {
        guard let number = ready.popFirst() else { return nil }
        statistics.waited.record(nanoseconds: now - min(items[Int(number)].readySince, now))
        items[Int(number)].place = .running
        items[Int(number)].priority = .background
        items[Int(number)].slot = UInt32(running.count)
        running.append((number, now))
        return number
    }

    /// Decides what becomes of a key after its run: `again` nanoseconds from now, 0 = not.
    mutating func finish(_ number: UInt32, failed: Bool, again: UInt64, now: UInt64) {
        leaveRunning(number, now)
        let place = Int(number)
        items[place].place = .resting
        items[place].failures = failed ? items[place].failures &+ 1 : 0
        if items[place].isDirty {
            items[place].isDirty = false
            return ask(number, items[place].priority, now)
        }
        if failed {
            statistics.retries += 1
            postpone(number, .background, until: time(now, plus: Backoff.delay(failures: Int(items[place].failures))))
        } else if again > 0 {
            postpone(number, .background, until: time(now, plus: again))
        } else {
            dropIfIdle(number)
        }
    }

    private mutating func leaveRunning(_ number: UInt32, _ now: UInt64) {
        let slot = Int(items[Int(number)].slot)
        statistics.worked.record(nanoseconds: now - running[slot].since)
        let last = running.removeLast()
        guard slot < running.count else { return }
        running[slot] = last
        items[Int(last.key)].slot = UInt32(slot)
    }

    /// Gives up what is known of a key that nothing is planned for.
    private mutating func dropIfIdle(_ number: UInt32) {
        let item = items[Int(number)]
        guard item.place == .resting, item.failures == 0, delayed.deadline(of: number) == nil else { return }
        keys.remove(number)
        members[Int(item.group)] -= 1
        if members[Int(item.group)] == 0 { groups.remove(item.group) }
    }

    /// Forgets the failures of a key.
    mutating func forget(_ key: UnsafeBufferPointer<UInt8>) {
        guard let number = keys.find(key) else { return }
        items[Int(number)].failures = 0
        dropIfIdle(number)
    }

    /// Gives up all keys that do not run, and all further runs.
    mutating func abandon() -> DrainedQueue {
        var left = DrainedQueue(running: running.count)
        while let number = ready.popFirst() { left.add(keys[number]) }
        while let number = delayed.first {
            delayed.remove(number)
            left.add(keys[number])
        }
        for one in running where items[Int(one.key)].isDirty {
            items[Int(one.key)].isDirty = false
            left.add(keys[one.key])
        }
        statistics.dropped += left.dropped
        return left
    }

    /// Notes the end of a run after `abandon`.
    mutating func finishAbandoned(_ number: UInt32, now: UInt64) {
        leaveRunning(number, now)
        items[Int(number)].place = .resting
    }
}
