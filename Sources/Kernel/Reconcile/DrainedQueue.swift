import Objects

/// What a queue left undone at its end.
struct DrainedQueue: Sendable {
    private static let namedKeys = 100

    /// Keys that still ran.
    var running = 0
    /// Keys that were ready or waited for their time.
    var dropped = 0
    /// The first of them.
    var keys: [String] = []

    /// As hostd.reconcile/1 `drain` tells it.
    var json: String {
        let json: JSON = [
            "running": .integer(Int64(running)), "dropped": .integer(Int64(dropped)),
            "keys": .array(keys.map(JSON.string)),
        ]
        return json.serializedString()
    }

    mutating func add(_ key: UnsafeBufferPointer<UInt8>) {
        dropped += 1
        if keys.count < Self.namedKeys { keys.append(String(decoding: key, as: UTF8.self)) }
    }
}
