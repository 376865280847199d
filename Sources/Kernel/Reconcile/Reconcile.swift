import PluginAPI
import Synchronization

/// The keyed work queues of all plugins: `hostd.reconcile/1`.
public final class Reconcile: @unchecked Sendable {  // All state is behind `lock`; queues have their own.
    let workers: WorkerPool
    let timers: Timers
    let metrics: Metrics
    private let lock = Monitor()
    private var queues: [UInt64: ReconcileQueue] = [:]
    /// Of all names that queues ever had.
    private var series: [String: QueueMetrics] = [:]
    private var nextHandle: UInt64 = 1
    private var isClosed = false
    private var table: InterfaceTable<hostd_reconcile_1>?

    public init(workers: WorkerPool, timers: Timers, metrics: Metrics) {
        self.workers = workers
        self.timers = timers
        self.metrics = metrics
        metrics.onCollect { [weak self] in self?.collect() }
    }

    /// Creates a queue; see the header. `action` gets the key and may ask for another run after so many nanoseconds.
    func create(name: String, workers limit: Int, action: @escaping ReconcileQueue.Action) throws(StoreError) -> UInt64
    {
        guard !name.isEmpty, name.utf8.count <= 128 else {
            throw .invalid("a queue needs a name of 1 to 128 bytes")
        }
        guard limit >= 1, limit <= 1024 else {
            throw .invalid("queue \(name): workers is \(limit), allowed are 1 to 1,024")
        }
        let numbers = try QueueMetrics(metrics: metrics, name: name)
        return try lock.locked { () throws(StoreError) in
            guard !isClosed else {
                throw StoreError(HOSTD_ERROR_WRONG_STATE, "the host is stopping: no queue can be created")
            }
            let handle = nextHandle
            nextHandle += 1
            series[name] = numbers
            queues[handle] = ReconcileQueue(name: name, limit: limit, pool: workers, timers: timers, action: action)
            return handle
        }
    }

    func queue(_ handle: UInt64) throws(StoreError) -> ReconcileQueue {
        guard let queue = lock.locked({ queues[handle] }) else {
            throw StoreError(HOSTD_ERROR_NOT_FOUND, "queue \(handle) does not exist or was destroyed")
        }
        return queue
    }

    /// Drops what waits, waits for what runs (unless called from it). Idempotent.
    func destroy(_ handle: UInt64) {
        guard let queue = lock.locked({ queues[handle] }) else { return }
        queue.destroy()
        collect()  // What it counted last.
        _ = lock.locked { queues.removeValue(forKey: handle) }
    }

    /// Destroys all queues. Idempotent.
    public func close() {
        let all = lock.locked {
            isClosed = true
            return Array(queues.keys)
        }
        for queue in all { destroy(queue) }
    }

    private func collect() {
        let (series, queues) = lock.locked { (self.series, Dictionary(grouping: self.queues.values, by: \.name)) }
        for (name, numbers) in series { numbers.collect(queues[name] ?? []) }
    }

    /// The table `hostd.reconcile/1`: same address at each call, valid as long as this object.
    public func makeInterface() -> UnsafePointer<hostd_interface> {
        lock.locked {
            if let table { return table.interface }
            let new = InterfaceTable(id: HOSTD_RECONCILE_1, slots: HOSTD_RECONCILE_1_SLOTS, owner: self) {
                Self.makeTable($0)
            }
            table = new
            return new.interface
        }
    }

    private static func makeTable(_ head: hostd_interface) -> hostd_reconcile_1 {
        hostd_reconcile_1(
            interface: head,
            create: { this, name, nameSize, workers, callback, context, queue, error in
                answering(error) { () throws(StoreError) in
                    queue.pointee = try owner(this, as: Reconcile.self).create(
                        name: text(name, nameSize), workers: Int(workers), action: action(callback, context))
                }
            },
            add: { this, queue, key, keySize, delay, error in
                answering(error) { () throws(StoreError) in
                    try owner(this, as: Reconcile.self).queue(queue).add(bounded(key, keySize), delay: delay)
                }
            },
            forget: { this, queue, key, keySize, error in
                answering(error) { () throws(StoreError) in
                    try owner(this, as: Reconcile.self).queue(queue).forget(borrowed(key, keySize))
                }
            },
            destroy: { this, queue, _ in
                owner(this, as: Reconcile.self).destroy(queue)
                return HOSTD_OK
            },
            enqueue: { this, queue, key, keySize, group, groupSize, priority, delay, error in
                answering(error) { () throws(StoreError) in
                    try owner(this, as: Reconcile.self).queue(queue).add(
                        bounded(key, keySize), group: groupSize == 0 ? nil : bounded(group, groupSize),
                        priority: priorityOf(priority), delay: delay)
                }
            },
            drain: { this, queue, deadline, output, error in
                answering(error) { () throws(StoreError) in
                    let queue = try owner(this, as: Reconcile.self).queue(queue)
                    output.pointee = ownedBuffer(queue.drain(until: deadline == 0 ? .max : deadline).json.utf8)
                }
            })
    }
}

private func action(
    _ callback: hostd_callback, _ context: UnsafeMutableRawPointer?
) throws(StoreError) -> ReconcileQueue.Action {
    let callback = try present(callback)
    let context = CallbackContext(pointer: context)
    return { key, again in
        withUnsafePointer(to: UInt8(0)) { empty in
            callback(context.pointer, key.baseAddress ?? empty, UInt64(key.count), &again)
        }
    }
}

private func priorityOf(_ number: UInt32) throws(StoreError) -> ReconcileQueue.Priority {
    guard let priority = ReconcileQueue.Priority(rawValue: UInt8(clamping: number)) else {
        throw .invalid("priority \(number) is neither 0 (interactive) nor 1 (background)")
    }
    return priority
}

private func bounded(
    _ bytes: UnsafePointer<UInt8>?, _ size: UInt64
) throws(StoreError) -> UnsafeBufferPointer<UInt8> {
    guard size <= ReconcileQueue.maximumKeySize else {
        throw .invalid("a key or group of \(size) bytes is too long; at most \(ReconcileQueue.maximumKeySize)")
    }
    return borrowed(bytes, size)
}
