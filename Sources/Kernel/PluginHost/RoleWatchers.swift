import Objects
import PluginAPI
import Synchronization

/// Delivers changes of roles to the watches of hostd.roles/1: in order, by one thread of its own that exists while there
/// are watches to serve.
final class RoleWatchers: @unchecked Sendable {
    // SAFETY: all state is under `monitor`; sinks run outside of it on the delivering thread alone.
    private struct Watch {
        let sink: hostd_sink
        let context: UnsafeMutableRawPointer?
        var queue: [[UInt8]] = []
        var isRunning = false
    }

    private let monitor = Monitor()
    private var watches: [UInt64: Watch] = [:]
    private var order: [UInt64] = []
    private var nextHandle: UInt64 = 1
    private var hasDeliverer = false
    /// Identity of the delivering thread while it is inside a sink.
    private var insideSink: UInt?

    struct Change {
        let role: String
        let plugin: String
        let isActive: Bool
        let generation: Int64

        var bytes: [UInt8] {
            let json: JSON = [
                "role": .string(role), "plugin": .string(plugin), "state": .string(isActive ? "active" : "inactive"),
                "generation": .integer(generation),
            ]
            return json.serialized()
        }
    }

    /// Adds a watch; `present` reads the providers of now, with changes held off, so that none is missed or doubled.
    func add(
        _ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?, present: () -> [Change]
    ) throws(StoreError) -> UInt64 {
        monitor.lock()
        defer { monitor.unlock() }
        if !hasDeliverer {
            try KernelThread(name: "roles") { [self] in deliver() }.detach()
            hasDeliverer = true
        }
        let handle = nextHandle
        nextHandle += 1
        watches[handle] = Watch(sink: sink, context: context, queue: present().map(\.bytes))
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

    /// Makes a change and queues it for every watch; new watches are held off meanwhile.
    func announce(_ changes: [Change], while apply: () -> Void = {}) {
        monitor.lock()
        defer { monitor.unlock() }
        apply()
        for handle in order { watches[handle]?.queue += changes.map(\.bytes) }
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
