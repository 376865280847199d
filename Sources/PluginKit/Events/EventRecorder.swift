import Objects
import Synchronization

/// Reports what happens to objects as core/v1 Events, in the background: reporting costs microseconds, repeated events
/// count up, and a component that reports too much is cut (see EventCorrelator). Any thread.
public final class EventRecorder: Sendable {
    public enum Kind: String, Sendable { case normal = "Normal", warning = "Warning" }

    fileprivate struct State {
        var correlator = EventCorrelator()
        /// Writes that wait, by event name, in order.
        var pending: [String: EventWrite] = [:]
        var order: [String] = []
        var dropped = 0
    }

    /// Writes that may wait for the API at most.
    static let pendingLimit = 1024
    /// Nanoseconds that an event waits for others: what comes meanwhile shares one write to the disk, and nobody who reads
    /// events, whose times are whole seconds, sees the difference.
    static let gathering: UInt64 = 20_000_000
    /// Events that are written at once; with more, the writes of those who wait for theirs would come late.
    static let batchLimit = 32

    private let component: String
    private let hostName: String
    private let state = Mutex(State())
    private let api: APIClient
    private let log: Log
    private let queue = Mutex<WorkQueue?>(nil)

    /// - Parameters:
    ///   - component: reported as the source: "deployment-controller", "kubelet".
    ///   - hostName: the node that the component works for; empty for none.
    public init(_ host: Host, component: String, hostName: String = "") throws(PluginError) {
        self.component = component
        self.hostName = hostName
        api = try host.api()
        log = host.log
        let queue = try WorkQueue(host, name: "events-\(component)", workers: 1) { [weak self] _ in
            try self?.writePending() ?? .done
        }
        self.queue.withLock { $0 = queue }
    }

    /// Ends the recorder: no event is taken any more, and nothing is being written when it returns. Idempotent.
    /// - Parameter writesPending: whether what waits is written first, as long as the API takes it; else it is dropped.
    public func stop(writesPending: Bool = false) {
        let queue = queue.withLock { queue -> WorkQueue? in
            defer { queue = nil }
            return queue
        }
        guard let queue else { return }
        queue.stop()
        guard writesPending else { return }
        do { _ = try writePending() } catch { log.info("the last events could not be written: \(error)") }
    }

    /// Reports an event about an object.
    /// - Parameters:
    ///   - object: the object with apiVersion, kind and metadata.
    ///   - fieldPath: a part of it: "spec.containers{web}".
    ///   - component: another source than the recorder's own.
    public func record(
        _ object: JSON, _ kind: Kind, reason: String, message: String, fieldPath: String = "", component: String? = nil
    ) {
        let now = Timestamp.now()
        let source = component ?? self.component
        let event = EventRecorder.event(
            about: object, kind, reason: reason, message: message, fieldPath: fieldPath, component: source,
            hostName: hostName, now: now)
        let key = "\(source)/\(object.kind)/\(object.namespace)/\(object.name)/\(object.uid)"
        let dropped = state.withLock { state -> Int? in
            let outcome = state.correlator.correlate(event, key: key, now: now)
            return state.enqueue(outcome, event) ? nil : state.dropped
        }
        if let dropped {
            // Powers of two: a flood of events must not become a flood of log lines.
            if dropped & (dropped - 1) == 0 {
                log.warning("events were dropped: too many wait", ["dropped": .integer(Int64(dropped))])
            }
            return
        }
        queue.withLock { $0 }?.add("pending", delay: Self.gathering)
    }

    static func event(
        about object: JSON, _ kind: Kind, reason: String, message: String, fieldPath: String, component: String,
        hostName: String, now: Timestamp
    ) -> JSON {
        var involved: JSON = [
            "kind": .string(object.kind), "name": .string(object.name), "uid": .string(object.uid),
            "apiVersion": .string(object.apiVersion),
        ]
        if !object.namespace.isEmpty { involved["namespace"] = .string(object.namespace) }
        if !object.resourceVersion.isEmpty { involved["resourceVersion"] = .string(object.resourceVersion) }
        if !fieldPath.isEmpty { involved["fieldPath"] = .string(fieldPath) }
        let time = JSON.string(now.formatted(fraction: .none))
        let nanoseconds = UInt64(bitPattern: now.seconds &* 1_000_000_000 &+ Int64(now.nanoseconds))
        var source: JSON = ["component": .string(component)]
        if !hostName.isEmpty { source["host"] = .string(hostName) }
        return [
            "apiVersion": "v1", "kind": "Event",
            "metadata": [
                "name": .string("\(object.name).\(String(nanoseconds, radix: 16))"),
                "namespace": .string(object.namespace.isEmpty ? "default" : object.namespace),
            ],
            "involvedObject": involved, "reason": .string(reason), "message": .string(String(message.prefix(1024))),
            "source": source, "firstTimestamp": time, "lastTimestamp": time, "count": 1, "type": .string(kind.rawValue),
            "reportingComponent": .string(component), "reportingInstance": .string(hostName),
        ]
    }

    private func writePending() throws -> Requeue {
        while true {
            let writes = state.withLock { $0.next(Self.batchLimit) }
            if writes.isEmpty { return .done }
            var again: PluginError?
            for (write, failure) in zip(writes, api.failures(writes.map(\.request))) {
                do {
                    if let failure { try recover(write, failure) }
                    state.withLock { $0.finish(write) }
                } catch let failure {
                    let error = PluginError(failure)
                    // It stays in line, and is tried again after the queue's back-off.
                    if error.isRetryable {
                        again = error
                        continue
                    }
                    log.debug("an event was refused: \(error)", ["event": .string(write.name)])
                    state.withLock { $0.finish(write) }
                }
            }
            state.withLock { $0.closeRanks() }
            if let again { throw again }
        }
    }

    /// An event that was to count up and has expired starts again with what it counts now.
    private func recover(_ write: EventWrite, _ failure: any Error) throws {
        guard write.isCreated, (failure as? APIError)?.isNotFound == true else { throw failure }
        try api.create("events", write.event)
    }
}

/// One event as it should be in the API.
private struct EventWrite: Equatable {
    var event: JSON
    /// Whether the API has an object of this name already.
    var isCreated: Bool

    var name: String { event.name }

    var request: APIClient.Request {
        guard isCreated else {
            return ("POST", APIPath.collection("v1", "events", namespace: event.namespace), event)
        }
        let patch: JSON = [
            "count": event["count"], "message": event["message"], "lastTimestamp": event["lastTimestamp"],
        ]
        return (
            "PATCH \(APIClient.PatchType.merge.rawValue)", APIPath.object("v1", "events", event.namespace, name), patch
        )
    }
}

extension EventRecorder.State {
    /// Queues an outcome; later ones for the same event object replace what waits. False when the queue is full.
    fileprivate mutating func enqueue(_ outcome: EventCorrelator.Outcome, _ event: JSON) -> Bool {
        switch outcome {
        case .drop: return true
        case .create(let event): return put(event.name, EventWrite(event: event, isCreated: false))
        case .patch(let name, let patch):
            var write = pending[name] ?? EventWrite(event: event, isCreated: true)
            write.event["metadata"]["name"] = .string(name)
            for member in ["count", "message", "lastTimestamp"] { write.event[member] = patch[member] }
            return put(name, write)
        }
    }

    private mutating func put(_ name: String, _ write: EventWrite) -> Bool {
        if pending[name] == nil {
            guard order.count < EventRecorder.pendingLimit else {
                dropped += 1
                return false
            }
            order.append(name)
        }
        pending[name] = write
        return true
    }

    /// What is to be written next, in order, each event once.
    fileprivate func next(_ limit: Int) -> [EventWrite] { order.prefix(limit).compactMap { pending[$0] } }

    /// Takes a written event off, unless it changed while it was being written: then it is patched.
    fileprivate mutating func finish(_ write: EventWrite) {
        if pending[write.name] == write {
            pending[write.name] = nil
        } else {
            pending[write.name]?.isCreated = true
        }
    }

    /// Takes those that were written out of the line.
    fileprivate mutating func closeRanks() { order.removeAll { pending[$0] == nil } }
}
