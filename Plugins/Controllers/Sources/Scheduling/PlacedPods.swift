/// The pods that show their node, by uid, and of which priorities they are.
struct PlacedPods {
    private var priorities: [String: Int64] = [:]
    private var counts: [Int64: Int] = [:]

    func contains(_ uid: String) -> Bool { priorities[uid] != nil }

    mutating func insert(_ uid: String, priority: Int64) {
        remove(uid)
        priorities[uid] = priority
        counts[priority, default: 0] += 1
    }

    /// Whether it was there.
    @discardableResult
    mutating func remove(_ uid: String) -> Bool {
        guard let priority = priorities.removeValue(forKey: uid) else { return false }
        counts[priority, default: 0] -= 1
        if counts[priority] == 0 { counts[priority] = nil }
        return true
    }

    /// Whether there is one of a lower priority. Complexity: O(priorities in use).
    func hasAny(below priority: Int64) -> Bool { counts.keys.contains { $0 < priority } }
}
