import Objects
import PluginKit
import Synchronization

/// Container events to those who watch: in order, one at a time for each subscriber, on the thread that caused them.
package final class EventFanOut: Sendable {
    private final class Subscriber: Sendable {
        struct State {
            package var waiting: [JSON] = []
            package var isDelivering = false
            package var isCancelled = false
        }
        let state = Mutex(State())
        let handler: @Sendable (JSON) -> Void
        let idle = Mutex<Void>(())

        init(_ handler: @escaping @Sendable (JSON) -> Void) { self.handler = handler }

        /// Whoever finds nobody delivering delivers, until nothing waits.
        func send(_ event: JSON) {
            let mustDeliver = state.withLock { state in
                if state.isCancelled { return false }
                state.waiting.append(event)
                if state.isDelivering { return false }
                state.isDelivering = true
                return true
            }
            if !mustDeliver { return }
            idle.withLock { _ in
                while let next = take() { handler(next) }
            }
        }

        private func take() -> JSON? {
            state.withLock { state in
                if state.waiting.isEmpty || state.isCancelled {
                    state.isDelivering = false
                    return nil
                }
                return state.waiting.removeFirst()
            }
        }

        /// When it returns, the handler does not run and will not again.
        func cancel() {
            state.withLock { state in
                state.isCancelled = true
                state.waiting = []
            }
            idle.withLock { _ in }
        }
    }

    private let subscribers = Mutex<(table: [UInt64: Subscriber], next: UInt64)>(([:], 1))

    package func subscribe(_ handler: @escaping @Sendable (JSON) -> Void) -> UInt64 {
        subscribers.withLock { state in
            let handle = state.next
            state.next += 1
            state.table[handle] = Subscriber(handler)
            return handle
        }
    }

    package func cancel(_ handle: UInt64) {
        subscribers.withLock { $0.table.removeValue(forKey: handle) }?.cancel()
    }

    package func send(_ event: JSON) {
        for subscriber in subscribers.withLock({ Array($0.table.values) }) { subscriber.send(event) }
    }
}
