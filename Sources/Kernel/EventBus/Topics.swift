import PluginAPI

/// Named topics between plugins, with retained messages: `hostd.events/1`. Sinks run on the dispatchers, serial per
/// subscription and in the order of publication; a publisher never waits for a subscriber.
public final class Topics: @unchecked Sendable {  // All state is behind `lock`; subscriptions have their own.
    static let maximumTopicSize = 256
    static let maximumMessageSize = 1 << 20

    private final class Topic {
        var retained: SharedBytes?
        var subscribers: [TopicSubscription] = []
    }

    private let dispatchers: WorkerPool
    private let lock = Monitor()
    private var topics: [String: Topic] = [:]
    private var byHandle: [UInt64: TopicSubscription] = [:]
    private var nextHandle: UInt64 = 1
    private var isClosed = false
    private var table: InterfaceTable<hostd_events_1>?

    public init(dispatchers: WorkerPool) {
        self.dispatchers = dispatchers
    }

    /// Hands a message to every subscriber of the topic. An empty retained message forgets the one before. [any-thread]
    public func publish(_ name: String, _ message: [UInt8], retain: Bool) throws(StoreError) {
        try Self.check(name)
        guard message.count <= Self.maximumMessageSize else {
            throw .invalid(
                "topic \(name): a message of \(message.count) bytes is too long; at most \(Self.maximumMessageSize)")
        }
        let shared = SharedBytes(message)
        lock.locked {
            guard !isClosed, let topic = topic(name, create: retain) else { return }
            if retain { topic.retained = message.isEmpty ? nil : shared }
            for subscriber in topic.subscribers { subscriber.enqueue(shared) }
            topic.subscribers.removeAll { $0.isOver }
            dropIfUnused(name, topic)
        }
    }

    /// Subscribes; a retained message comes first. The sink gets `HOSTD_SINK_*` kinds. [any-thread]
    public func subscribe(
        _ name: String, sink: @escaping @Sendable (_ kind: Int32, _ data: UnsafeBufferPointer<UInt8>) -> Void
    ) throws(StoreError) -> UInt64 {
        try Self.check(name)
        return try lock.locked { () throws(StoreError) in
            guard !isClosed else {
                throw StoreError(HOSTD_ERROR_WRONG_STATE, "the host is stopping: no subscription is possible")
            }
            let subscription = TopicSubscription(topic: name, dispatchers: dispatchers, sink: sink)
            let handle = nextHandle
            nextHandle += 1
            byHandle[handle] = subscription
            if let topic = topic(name, create: true) {
                topic.subscribers.append(subscription)
                if let retained = topic.retained { subscription.enqueue(retained) }
            }
            return handle
        }
    }

    private static func check(_ name: String) throws(StoreError) {
        guard !name.isEmpty, name.utf8.count <= maximumTopicSize else {
            throw .invalid("a topic needs a name of 1 to \(maximumTopicSize) bytes")
        }
    }

    private func topic(_ name: String, create: Bool) -> Topic? {
        if let topic = topics[name] { return topic }
        guard create else { return nil }
        let topic = Topic()
        topics[name] = topic
        return topic
    }

    private func dropIfUnused(_ name: String, _ topic: Topic) {
        if topic.retained == nil && topic.subscribers.isEmpty { topics[name] = nil }
    }

    /// When it returns the sink is not running, unless this is called from it. Idempotent.
    public func unsubscribe(_ handle: UInt64) {
        let subscription: TopicSubscription? = lock.locked {
            guard let subscription = byHandle.removeValue(forKey: handle) else { return nil }
            if let topic = topics[subscription.topic] {
                topic.subscribers.removeAll { $0 === subscription }
                dropIfUnused(subscription.topic, topic)
            }
            return subscription
        }
        subscription?.cancel()
    }

    /// Ends all subscriptions, without a last message. Idempotent.
    public func close() {
        let all = lock.locked {
            isClosed = true
            topics = [:]
            defer { byHandle = [:] }
            return Array(byHandle.values)
        }
        for subscription in all { subscription.cancel() }
    }

    /// The table `hostd.events/1`: same address at each call, valid as long as this object.
    public func makeInterface() -> UnsafePointer<hostd_interface> {
        lock.locked {
            if let table { return table.interface }
            let new = InterfaceTable(id: HOSTD_EVENTS_1, slots: HOSTD_EVENTS_1_SLOTS, owner: self) {
                Self.makeTable($0)
            }
            table = new
            return new.interface
        }
    }

    private static func makeTable(_ head: hostd_interface) -> hostd_events_1 {
        hostd_events_1(
            interface: head,
            publish: { this, topic, topicSize, message, messageSize, retain, error in
                answering(error) { () throws(StoreError) in
                    try owner(this, as: Topics.self).publish(
                        text(topic, topicSize), Array(borrowed(message, messageSize)), retain: retain != 0)
                }
            },
            subscribe: { this, topic, topicSize, sink, context, subscription, error in
                answering(error) { () throws(StoreError) in
                    let sink = try present(sink)
                    let context = CallbackContext(pointer: context)
                    subscription.pointee = try owner(this, as: Topics.self).subscribe(text(topic, topicSize)) {
                        kind, data in
                        sink(context.pointer, UInt32(kind), data.baseAddress, UInt64(data.count))
                    }
                }
            },
            unsubscribe: { this, subscription, _ in
                owner(this, as: Topics.self).unsubscribe(subscription)
                return HOSTD_OK
            })
    }
}

/// Bytes that several queues hold at once.
final class SharedBytes: Sendable {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// One subscription of a topic: a bounded queue, emptied by one dispatcher at a time.
final class TopicSubscription: PoolJob, @unchecked Sendable {  // All state is behind `monitor`.
    static let maximumQueued = 1 << 20

    let topic: String
    private let dispatchers: WorkerPool
    private let sink: @Sendable (Int32, UnsafeBufferPointer<UInt8>) -> Void
    private let monitor = Monitor()
    private var queue = RingBuffer<SharedBytes>()
    private var queuedBytes = 0
    private var isScheduled = false
    private var runner: UInt?
    private var isCancelled = false
    private var overflowed = false

    init(
        topic: String, dispatchers: WorkerPool, sink: @escaping @Sendable (Int32, UnsafeBufferPointer<UInt8>) -> Void
    ) {
        self.topic = topic
        self.dispatchers = dispatchers
        self.sink = sink
    }

    var subject: String { topic.isEmpty ? "election" : "topic \(topic)" }

    /// Whether nothing more can be delivered.
    var isOver: Bool { monitor.locked { isCancelled || overflowed } }

    func enqueue(_ message: SharedBytes) {
        let schedule = monitor.locked {
            if isCancelled || overflowed { return false }
            if queuedBytes > 0 && queuedBytes + message.bytes.count > Self.maximumQueued {
                overflowed = true
                while queue.popFirst() != nil {}
            } else {
                queue.append(message)
                queuedBytes += message.bytes.count
            }
            defer { isScheduled = true }
            return !isScheduled
        }
        if schedule { dispatchers.submit(self) }
    }

    func run() {
        monitor.lock()
        runner = KernelThread.current
        while !isCancelled {
            if let message = queue.popFirst() {
                queuedBytes -= message.bytes.count
                monitor.unlock()
                message.bytes.withUnsafeBufferPointer { sink(HOSTD_SINK_DATA, $0) }
                monitor.lock()
            } else if overflowed {
                isCancelled = true
                monitor.unlock()
                sink(HOSTD_SINK_RESYNC, UnsafeBufferPointer(start: nil, count: 0))
                monitor.lock()
            } else {
                break
            }
        }
        runner = nil
        isScheduled = false
        monitor.broadcast()
        monitor.unlock()
    }

    func cancel() {
        monitor.lock()
        isCancelled = true
        while let runner, runner != KernelThread.current { monitor.wait() }
        monitor.unlock()
    }
}
