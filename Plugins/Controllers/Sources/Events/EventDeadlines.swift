/// When each Event ends. All live for the same time, so they end in the order in which they were last written, and one line
/// says who is next; a key in it that was written again or has gone is passed over.
///
/// A value without a clock: times are monotonic nanoseconds. Complexity: O(1) for each call, on average; the line is at most
/// a little more than twice as long as there are Events.
struct EventDeadlines {
    private struct Place {
        var key: String
        var end: UInt64
    }

    private let lifetime: UInt64
    private var ends: [String: UInt64] = [:]
    private var line: [Place] = []
    /// Of the line, those before this place are passed over.
    private var head = 0
    /// Whether somebody waits for the first to end.
    private var isAwaited = false
    /// Places that are passed over are kept until there are so many more than Events.
    private static let slack = 1024

    init(lifetime: UInt64) { self.lifetime = lifetime }

    var count: Int { ends.count }
    /// Of all Events that are there.
    var keys: [String] { Array(ends.keys) }
    /// For the bound on memory.
    var lineLength: Int { line.count }

    /// An Event was written: it lives its full time from now.
    /// - Returns: whether it is the first, so that its end is to be waited for.
    mutating func renew(_ key: String, now: UInt64) -> Bool {
        let end = now + lifetime
        ends[key] = end
        if line.count > 2 * ends.count + Self.slack { closeRanks() }
        line.append(Place(key: key, end: end))
        defer { isAwaited = true }
        return !isAwaited
    }

    /// An Event is gone.
    mutating func forget(_ key: String) { ends[key] = nil }

    /// Keys of Events whose time is over, the oldest first; they stay until they are forgotten.
    mutating func due(now: UInt64, limit: Int) -> [String] {
        passOver()
        var keys: [String] = []
        for place in line[head...] {
            if place.end > now || keys.count == limit { break }
            if ends[place.key] == place.end { keys.append(place.key) }
        }
        return keys
    }

    /// When the next one ends; nil when there is none, and then the next to be written is the first.
    mutating func first() -> UInt64? {
        passOver()
        isAwaited = head < line.count
        return isAwaited ? line[head].end : nil
    }

    private mutating func passOver() {
        while head < line.count, ends[line[head].key] != line[head].end { head += 1 }
        if head > Self.slack && head * 2 > line.count { closeRanks() }
    }

    /// Gives up the places that are passed over.
    private mutating func closeRanks() {
        line = line[head...].filter { ends[$0.key] == $0.end }
        head = 0
    }
}
