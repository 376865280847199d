import PluginAPI

/// The keyed work queues of all plugins: `hostd.reconcile/1`.
public final class Reconcile: @unchecked Sendable {  // All state is behind `lock`; queues have their own.
    let workers: WorkerPool
    let timers: Timers
    let metrics: Metrics
    private let lock = Monitor()
    private var queues: [UInt64: ReconcileQueue] = [:]
    private var nextHandle: UInt64 = 1
    private var isClosed = false
    private var table: InterfaceTable<hostd_reconcile_1>?

    public init(workers: WorkerPool, timers: Timers, metrics: Metrics) {
        self.workers = workers
        self.timers = timers
        self.metrics = metrics
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
            queues[handle] = ReconcileQueue(
                limit: limit, pool: workers, timers: timers, numbers: numbers, action: action)
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
        let queue = lock.locked { queues.removeValue(forKey: handle) }
        queue?.destroy()
    }

    /// Destroys all queues. Idempotent.
    public func close() {
        let all = lock.locked {
            isClosed = true
            defer { queues = [:] }
            return Array(queues.values)
        }
        for queue in all { queue.destroy() }
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
                    let callback = try present(callback)
                    let context = CallbackContext(pointer: context)
                    queue.pointee = try owner(this, as: Reconcile.self).create(
                        name: text(name, nameSize), workers: Int(workers)
                    ) { key, again in
                        key.withUnsafeBufferPointer { bytes in
                            withUnsafePointer(to: UInt8(0)) { empty in
                                callback(context.pointer, bytes.baseAddress ?? empty, UInt64(bytes.count), &again)
                            }
                        }
                    }
                }
            },
            add: { this, queue, key, keySize, delay, error in
                answering(error) { () throws(StoreError) in
                    guard keySize <= ReconcileQueue.maximumKeySize else {
                        throw .invalid(
                            "a key of \(keySize) bytes is too long; at most \(ReconcileQueue.maximumKeySize)")
                    }
                    try owner(this, as: Reconcile.self).queue(queue).add(Array(borrowed(key, keySize)), delay: delay)
                }
            },
            forget: { this, queue, key, keySize, error in
                answering(error) { () throws(StoreError) in
                    try owner(this, as: Reconcile.self).queue(queue).forget(Array(borrowed(key, keySize)))
                }
            },
            destroy: { this, queue, _ in
                owner(this, as: Reconcile.self).destroy(queue)
                return HOSTD_OK
            })
    }
}

/// The series of one queue, under the names that such queues have in other orchestrators.
struct QueueMetrics: Sendable {
    let depth, adds, retries, running, waited, worked: UInt64
    let metrics: Metrics

    init(metrics: Metrics, name: String) throws(StoreError) {
        let escaped = name.map { $0 == "\\" || $0 == "\"" || $0.isNewline ? "_" : String($0) }.joined()
        let labels = "name=\"\(escaped)\""
        self.metrics = metrics
        depth = try metrics.define(HOSTD_METRIC_GAUGE, "workqueue_depth", labels: labels)
        adds = try metrics.define(HOSTD_METRIC_COUNTER, "workqueue_adds_total", labels: labels)
        retries = try metrics.define(HOSTD_METRIC_COUNTER, "workqueue_retries_total", labels: labels)
        running = try metrics.define(HOSTD_METRIC_GAUGE, "workqueue_running", labels: labels)
        waited = try metrics.define(HOSTD_METRIC_HISTOGRAM, "workqueue_queue_duration_seconds", labels: labels)
        worked = try metrics.define(HOSTD_METRIC_HISTOGRAM, "workqueue_work_duration_seconds", labels: labels)
    }

    func record(_ metric: UInt64, _ value: Double) {
        do throws(StoreError) {
            try metrics.record(metric, value)
        } catch {
            // SAFETY: the handles were defined by `init` in the same registry, and series are never removed.
            preconditionFailure(error.message)
        }
    }
}
