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

    /// What events have in common that differ in their message alone: source, object, type and reason, in one text, because it is
    /// looked up with every event.
    struct Group: Hashable {
        private let text: String

        init(_ event: JSON, source: String) {
            let object = event["involvedObject"]
            var text = source
            for member in ["apiVersion", "kind", "namespace", "name", "uid", "fieldPath"] {
                text += "\0"
                if let value = object[member].stringValue { text += value }
            }
            for member in ["type", "reason"] {
                text += "\0"
                if let value = event[member].stringValue { text += value }
            }
            self.text = text
        }
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
        let group = Group(event, source: key)
        let message = event["message"].stringValue ?? ""
        let isCombined = combine(group, message, now.seconds)
        // The combined event is one, whatever its latest message.
        let identity = Identity(group: group, message: isCombined ? "" : message)
        let text = isCombined ? "(combined from similar events): \(message)" : message
        if written[identity] == nil { prune(now.seconds) }
        let new = Written(name: event.name, count: 0, last: now.seconds)
        let known = Self.count(&written[identity, default: new], now.seconds)
        if known.count > 1 {
            return .patch(
                name: known.name,
                patch: [
                    "count": .integer(known.count), "message": .string(text), "lastTimestamp": event["lastTimestamp"],
                ])
        }
        guard isCombined else { return .create(event) }
        var created = event
        created["message"] = .string(text)
        return .create(created)
    }

    private static func count(_ written: inout Written, _ now: Int64) -> Written {
        written.count += 1
        written.last = now
        return written
    }

    /// Whether the message joins the group's combined event.
    private mutating func combine(_ group: Group, _ message: String, _ now: Int64) -> Bool {
        Self.combine(&similar[group, default: Similar(last: now)], message, now)
    }

    private static func combine(_ entry: inout Similar, _ message: String, _ now: Int64) -> Bool {
        if now - entry.last > similarWindow { entry = Similar(last: now) }
        entry.last = now
        if entry.messages.count < similarLimit { entry.messages.insert(message) }
        return entry.messages.count >= similarLimit
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
