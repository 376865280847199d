import PluginAPI

/// Delivers messages to watches in order, by one thread of its own that exists while there are watches to serve.
final class MessageWatchers: @unchecked Sendable {
    // SAFETY: all state is under `monitor`; sinks run outside of it on the delivering thread alone.
    private struct Watch {
        let sink: hostd_sink
        let context: UnsafeMutableRawPointer?
        var queue: [[UInt8]] = []
        var isRunning = false
    }

    private let threadName: String
    private let monitor = Monitor()
    private var watches: [UInt64: Watch] = [:]
    private var order: [UInt64] = []
    private var nextHandle: UInt64 = 1
    private var hasDeliverer = false
    /// Identity of the delivering thread while it is inside a sink.
    private var insideSink: UInt?

    init(threadName: String) { self.threadName = threadName }

    /// Adds a watch, which gets the messages of `first` and then everything that is published, none missed and none
    /// doubled. `first` runs with publishing held off.
    func add(
        _ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?, first: () -> [[UInt8]]
    ) throws(StoreError) -> UInt64 {
        monitor.lock()
        defer { monitor.unlock() }
        if !hasDeliverer {
            try KernelThread(name: threadName) { [self] in deliver() }.detach()
            hasDeliverer = true
        }
        let handle = nextHandle
        nextHandle += 1
        watches[handle] = Watch(sink: sink, context: context, queue: first())
        order.append(handle)
        monitor.broadcast()
        return handle
    }

    /// Ends a watch; when this returns its sink is not running, unless this is called from it.
    func remove(_ handle: UInt64) {
        monitor.lock()
        defer { monitor.unlock() }
        let isInside = insideSink == KernelThread.current
        while !isInside, watches[handle]?.isRunning == true { monitor.wait() }
        watches[handle] = nil
        order.removeAll { $0 == handle }
        monitor.broadcast()
    }

    /// Queues what `change` returns for every watch; new watches are held off while it runs.
    func publish(_ change: () -> [[UInt8]]) {
        monitor.lock()
        defer { monitor.unlock() }
        let messages = change()
        for handle in order { watches[handle]?.queue += messages }
        monitor.broadcast()
    }

    private func deliver() {
        monitor.lock()
        while true {
            guard let handle = order.first(where: { watches[$0]?.queue.isEmpty == false }),
                let watch = watches[handle], let message = watch.queue.first
            else {
                if watches.isEmpty { break }
                monitor.wait()
                continue
            }
            watches[handle]?.queue.removeFirst()
            watches[handle]?.isRunning = true
            insideSink = KernelThread.current
            monitor.unlock()
            message.withUnsafeBufferPointer {
                watch.sink(watch.context, UInt32(HOSTD_SINK_DATA), $0.baseAddress, UInt64($0.count))
            }
            monitor.lock()
            insideSink = nil
            watches[handle]?.isRunning = false
            monitor.broadcast()
        }
        hasDeliverer = false
        monitor.unlock()
    }
}
