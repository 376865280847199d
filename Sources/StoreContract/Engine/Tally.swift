import PluginKit

/// A number that threads count up, and its lock.
final class Tally: @unchecked Sendable {
    // SAFETY: `number` is behind `monitor`.
    private let monitor = Monitor()
    private var number = 0

    var count: Int { monitor.locked { number } }

    func add() {
        monitor.locked {
            number += 1
            monitor.broadcast()
        }
    }

    /// Waits until it has come to `count`, for so many nanoseconds at most; whether it has.
    func wait(for count: Int, _ patience: UInt64) -> Bool {
        let deadline = monotonicNanoseconds() + patience
        return monitor.locked {
            while number < count, monitor.wait(until: deadline) {}
            return number >= count
        }
    }

    func locked<Value>(_ body: () -> Value) -> Value { monitor.locked(body) }
}
