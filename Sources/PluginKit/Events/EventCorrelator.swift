import Objects

/// Turns what components report into as few Event objects as tell the same: a repeated event counts up, many similar
/// ones are combined, and one object's flood is cut. The rules and figures are those of Kubernetes' clients.
///
/// A value without clock or input and output. Complexity: O(1) per event, bounded memory.
struct EventCorrelator {
    /// What to write for one report.
    enum Outcome: Equatable {
        case create(JSON)
        /// Patch the event object of this name.
        case patch(name: String, patch: JSON)
        /// The object reports too much: nothing is written.
        case drop
    }

    /// More than this many messages that differ in text alone, within the window, are combined into one event.
    static let similarLimit = 10
    static let similarWindow: Int64 = 600
    /// Events that one object may report at once, and seconds until one more is allowed.
    static let burst = 25.0
    static let refillSeconds = 300.0
    static let capacity = 1024

    struct Group: Hashable {
        var source: String
        var object: JSON
        var type: String
        var reason: String
    }
    private struct Similar {
        var messages: Set<String> = []
        var last: Int64
    }
    private struct Identity: Hashable {
        var group: Group
        var message: String
    }
    private struct Written {
        var name: String
        var count: Int64
        var last: Int64
    }
    private struct Bucket {
        var tokens = EventCorrelator.burst
        var at: Int64
    }

    /// What is remembered, for the bound on memory.
    var tracked: Int { written.count + similar.count + buckets.count }

    private var similar: [Group: Similar] = [:]
    private var written: [Identity: Written] = [:]
    private var buckets: [String: Bucket] = [:]

    /// - Parameters:
    ///   - event: a complete Event object with count 1.
    ///   - key: names source and object, for the flood limit.
    mutating func correlate(_ event: JSON, key: String, now: Timestamp) -> Outcome {
        guard takeToken(key, now.seconds) else { return .drop }
        var group = Group(
            source: key, object: event["involvedObject"], type: event["type"].stringValue ?? "",
            reason: event["reason"].stringValue ?? "")
        group.object.removeValue(forKey: "resourceVersion")
        let message = event["message"].stringValue ?? ""
        let isCombined = combine(group, message, now.seconds)
        // The combined event is one, whatever its latest message.
        let identity = Identity(group: group, message: isCombined ? "" : message)
        let text = isCombined ? "(combined from similar events): \(message)" : message
        if var known = written[identity] {
            known.count += 1
            known.last = now.seconds
            written[identity] = known
            return .patch(
                name: known.name,
                patch: [
                    "count": .integer(known.count), "message": .string(text), "lastTimestamp": event["lastTimestamp"],
                ])
        }
        prune(now.seconds)
        written[identity] = Written(name: event.name, count: 1, last: now.seconds)
        var created = event
        created["message"] = .string(text)
        return .create(created)
    }

    /// Whether the message joins the group's combined event.
    private mutating func combine(_ group: Group, _ message: String, _ now: Int64) -> Bool {
        var entry = similar[group] ?? Similar(last: now)
        if now - entry.last > Self.similarWindow { entry = Similar(last: now) }
        entry.last = now
        if entry.messages.count < Self.similarLimit { entry.messages.insert(message) }
        similar[group] = entry
        return entry.messages.count >= Self.similarLimit
    }

    private mutating func takeToken(_ key: String, _ now: Int64) -> Bool {
        var bucket = buckets[key] ?? Bucket(at: now)
        bucket.tokens = min(Self.burst, bucket.tokens + Double(max(0, now - bucket.at)) / Self.refillSeconds)
        bucket.at = now
        let isAllowed = bucket.tokens >= 1
        if isAllowed { bucket.tokens -= 1 }
        buckets[key] = bucket
        return isAllowed
    }

    /// Forgets what is old, and everything when that is not enough: events then merely start new objects.
    private mutating func prune(_ now: Int64) {
        if written.count >= Self.capacity {
            written = written.filter { now - $0.value.last <= Self.similarWindow }
            if written.count >= Self.capacity { written.removeAll() }
        }
        if similar.count >= Self.capacity {
            similar = similar.filter { now - $0.value.last <= Self.similarWindow }
            if similar.count >= Self.capacity { similar.removeAll() }
        }
        if buckets.count >= Self.capacity * 2 {
            // An object that reported once is as good as one that never did.
            buckets = buckets.filter { $0.value.tokens < Self.burst - 1 }
            if buckets.count >= Self.capacity { buckets.removeAll() }
        }
    }
}
