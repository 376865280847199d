/// Shares out how much of requests' bodies a client may send beyond each stream's first window, so that one connection
/// cannot fill the memory. A grant is for all that is left of a body: every body that has one can end, and then others get
/// theirs, in the order in which they asked. Pure.
struct HTTP2BodyBudget {
    private let limit: Int
    private var granted: [Int32: Int] = [:]
    private var waiting: [(stream: Int32, bytes: Int)] = []
    private(set) var used = 0

    /// - Parameter limit: Bytes of all grants together.
    init(limit: Int = HTTP2Limits.bodies) { self.limit = limit }

    /// Asks for a stream's grant, at most once for each stream; false when it has to wait.
    mutating func ask(_ stream: Int32, _ bytes: Int) -> Bool {
        waiting.append((stream, bytes))
        return grantNext().contains(stream)
    }

    /// The stream has its body, or is gone: its grant is free again.
    /// - Returns: the streams that have got theirs thereby.
    mutating func release(_ stream: Int32) -> [Int32] {
        if let bytes = granted.removeValue(forKey: stream) {
            used -= bytes
        } else if let index = waiting.firstIndex(where: { $0.stream == stream }) {
            waiting.remove(at: index)
        } else {
            return []
        }
        return grantNext()
    }

    private mutating func grantNext() -> [Int32] {
        var streams: [Int32] = []
        while let next = waiting.first, used == 0 || used + next.bytes <= limit {
            waiting.removeFirst()
            used += next.bytes
            granted[next.stream] = next.bytes
            streams.append(next.stream)
        }
        return streams
    }
}
