import PluginAPI
import PluginKit

/// One change as a watch told of it.
struct ContractEvent: Equatable, Sendable {
    let record: ContractRecord
    let previous: ContractRecord?

    /// "name=value", "-name was value"; with the flags of a selector.
    var words: String {
        let name = record.key.split(separator: "/").last.map(String.init) ?? ""
        guard !record.isDelete else { return "-\(name) was \(previous?.text ?? "nothing")" }
        let left = record.hasLeft ? " left, was \(previous?.text ?? "nothing")" : ""
        return "\(name)=\(record.text)\(record.hasEntered ? " entered" : "")\(left)"
    }
}

/// What one watch told, and whether it kept the order of a stream. Kept for the life of the process, so that a call after
/// the end finds it.
final class WatchLog: @unchecked Sendable {
    // SAFETY: everything is behind `monitor`.
    private let monitor = Monitor()
    private var events: [ContractEvent] = []
    private var progress: UInt64?
    private var ending: UInt32?
    private var isCancelled = false
    private var isHeld = false
    private var isInside = false
    private var fault: String?

    /// What the sink is given; the log lives for ever.
    var context: UnsafeMutableRawPointer { Unmanaged.passRetained(self).toOpaque() }

    static let function: hostd_sink = { context, kind, data, size in
        // SAFETY: the context is a log that `context` retained for ever.
        guard let context else { return }
        let bytes = Array(UnsafeBufferPointer(start: data, count: data == nil ? 0 : Int(size)))
        Unmanaged<WatchLog>.fromOpaque(context).takeUnretainedValue().take(kind, bytes)
    }

    private func take(_ kind: UInt32, _ bytes: [UInt8]) {
        monitor.locked {
            if isInside { note("its sink was called while a call of it was running") }
            if isCancelled { note("its sink was called after the watch was cancelled") }
            if ending != nil { note("its sink was called after the stream was over") }
            isInside = true
            do throws(Violation) { try read(kind, bytes) } catch { note(error.what) }
            monitor.broadcast()
            while isHeld { monitor.wait() }
            isInside = false
        }
    }

    private func note(_ what: String) { fault = fault ?? what }

    private func read(_ kind: UInt32, _ bytes: [UInt8]) throws(Violation) {
        switch kind {
        case UInt32(HOSTD_SINK_DATA): try readBatch(try ContractRecord.sequence(bytes))
        case UInt32(HOSTD_SINK_PROGRESS):
            try require(bytes.count == 8, "progress of \(bytes.count) bytes")
            let revision = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }.littleEndian
            try require(revision >= reached, "progress to \(revision) after \(reached)")
            progress = revision
        case UInt32(HOSTD_SINK_END), UInt32(HOSTD_SINK_RESYNC): ending = kind
        default: throw Violation("a message of the unknown kind \(kind)")
        }
    }

    private func readBatch(_ records: [ContractRecord]) throws(Violation) {
        var rest = records[...]
        while let record = rest.popFirst() {
            let previous = record.hasPrevious ? rest.popFirst() : nil
            try require(!record.hasPrevious || previous != nil, "a record whose previous one is missing in the batch")
            try require(
                previous == nil || previous?.key == record.key,
                "\(record.key) with a previous record of \(previous?.key ?? "")")
            let last = events.last?.record.revision ?? 0
            try require(record.revision >= last, "revision \(record.revision) after \(last)")
            try require(
                record.revision > progress ?? 0, "revision \(record.revision) after progress to \(progress ?? 0)")
            events.append(ContractEvent(record: record, previous: previous))
        }
    }

    // MARK: What was told

    /// From now on nothing may come.
    func cancelled() { monitor.locked { isCancelled = true } }

    /// Keeps the sink inside its next call until `release`.
    func hold() { monitor.locked { isHeld = true } }

    func release() {
        monitor.locked {
            isHeld = false
            monitor.broadcast()
        }
    }

    /// Waits until `condition` holds of what was told; whether it does.
    private func wait(until deadline: UInt64, _ condition: () -> Bool) -> Bool {
        while !condition() {
            if !monitor.wait(until: deadline), monotonicNanoseconds() >= deadline { return condition() }
        }
        return true
    }

    /// The events, once there are `count`; a wrong order, or an end before, is a violation.
    func events(_ count: Int, _ patience: UInt64) throws(Violation) -> [ContractEvent] {
        let deadline = monotonicNanoseconds() + patience
        let (events, fault, ending) = monitor.locked {
            _ = wait(until: deadline) { self.events.count >= count || self.fault != nil || self.ending != nil }
            return (self.events, self.fault, self.ending)
        }
        try expectNoFault(fault)
        try require(
            events.count >= count,
            """
            a watch told \(events.count) of \(count) changes\(ending == nil ? "" : " and ended"): \
            \(events.suffix(5).map(\.words).joined(separator: ", "))
            """)
        return events
    }

    private func expectNoFault(_ fault: String?) throws(Violation) {
        if let fault { throw Violation("a watch is out of order: \(fault)") }
    }

    /// All that was told until its progress, or a change, reached a revision: a change tells its revision itself.
    func events(upTo revision: UInt64, _ patience: UInt64) throws(Violation) -> [ContractEvent] {
        let deadline = monotonicNanoseconds() + patience
        let (events, fault, reached, ending) = monitor.locked {
            _ = wait(until: deadline) { self.reached >= revision || self.fault != nil || self.ending != nil }
            return (self.events, self.fault, self.reached, self.ending)
        }
        try expectNoFault(fault)
        try require(
            reached >= revision,
            """
            a watch that begins told neither progress to revision \(revision) nor a change at it: it came to \(reached)\
            \(ending == nil ? "" : " and the stream is over")
            """)
        return events
    }

    /// The last revision that it was told of. The lock is held.
    private var reached: UInt64 { max(progress ?? 0, events.last?.record.revision ?? 0) }

    /// Waits until the last change is at a revision or the stream is over; what was told, and whether it is over.
    func eventsOrEnd(_ revision: UInt64, _ patience: UInt64) throws(Violation) -> (
        events: [ContractEvent], ending: UInt32?
    ) {
        let deadline = monotonicNanoseconds() + patience
        let (events, fault, ending, isThere) = monitor.locked {
            let isThere = wait(until: deadline) {
                self.events.last?.record.revision ?? 0 >= revision || self.fault != nil || self.ending != nil
            }
            return (self.events, self.fault, self.ending, isThere)
        }
        try expectNoFault(fault)
        try require(isThere, "a watch told neither the change at revision \(revision) nor of an end")
        return (events, ending)
    }

    /// Waits until the sink is inside a call.
    func waitUntilInside(_ patience: UInt64) throws(Violation) {
        let deadline = monotonicNanoseconds() + patience
        let isThere = monitor.locked { wait(until: deadline) { isInside } }
        try require(isThere, "a watch told of nothing")
    }

    /// Whether something came after all within a time, in nanoseconds.
    func grows(beyond count: Int, within time: UInt64) -> Bool {
        let deadline = monotonicNanoseconds() + time
        return monitor.locked { wait(until: deadline) { events.count > count } }
    }

    func expectOrder() throws(Violation) { try expectNoFault(monitor.locked { fault }) }
}
