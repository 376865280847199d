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
    /// What a new watch is told first: the providers that were announced as active, in that order.
    private var present: [Change] = []
    /// Identity of the delivering thread while it is inside a sink.
    private var insideSink: UInt?

    struct Change {
        let role: String
        let plugin: String
        let isActive: Bool
        let generation: Int64
        /// The provider knows what callers told the generation before it.
        var hasState = false

        /// A watch that begins later has told the generation before nothing.
        var forNewWatch: Change {
            var change = self
            change.hasState = false
            return change
        }

        var bytes: [UInt8] {
            var json: JSON = [
                "role": .string(role), "plugin": .string(plugin), "state": .string(isActive ? "active" : "inactive"),
                "generation": .integer(generation),
            ]
            if hasState { json["hasState"] = true }
            return json.serialized()
        }
    }

    /// Adds a watch, which gets the providers of now and then every change, none missed and none doubled.
    func add(_ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?) throws(StoreError) -> UInt64 {
        monitor.lock()
        defer { monitor.unlock() }
        if !hasDeliverer {
            try KernelThread(name: "roles") { [self] in deliver() }.detach()
            hasDeliverer = true
        }
        let handle = nextHandle
        nextHandle += 1
        watches[handle] = Watch(sink: sink, context: context, queue: present.map(\.bytes))
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

    /// Tells every watch, in order. A provider that is announced as active once more has been replaced.
    func announce(_ changes: [Change]) {
        monitor.lock()
        defer { monitor.unlock() }
        for change in changes {
            let place = present.firstIndex { $0.role == change.role && $0.plugin == change.plugin }
            switch (place, change.isActive) {
            case (let place?, true): present[place] = change.forNewWatch
            case (let place?, false): present.remove(at: place)
            case (nil, true): present.append(change.forNewWatch)
            case (nil, false): continue  // Nobody was told that it was there.
            }
            for handle in order { watches[handle]?.queue.append(change.bytes) }
        }
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
