import CInterposer
import Objects
import Synchronization

/// Tells the log of role calls that outrun their cost: the first of each plugin and slot at once, also while it is still
/// inside, and the others once a minute as a number. There is one for the process, as there is one interposer.
final class CallWatchdog: @unchecked Sendable {
    // SAFETY: all state is under `monitor`; the log is written once.
    private struct Key: Hashable {
        let plugin: String
        let role: String
        let slot: String
    }

    private struct Tally {
        /// Since the last line of the log.
        var calls = 0
        var longest: UInt64 = 0
        /// When the next line is due, monotonic nanoseconds.
        var due: UInt64 = 0
    }

    private static let current = Mutex<CallWatchdog?>(nil)
    private static let period: UInt64 = 60_000_000_000
    private static let look: UInt64 = 1_000_000_000

    private let log: Log
    private let monitor = Monitor()
    private var tallies: [Key: Tally] = [:]
    private var isEnded = false
    private var thread: KernelThread?

    init(log: Log) { self.log = log }

    /// Looks at the calls inside once a second, and takes the interposer's reports from now on.
    func start() throws(StoreError) {
        Self.current.withLock { $0 = self }
        interposer_set_slow_reporter { owner, role, slot, nanoseconds, isInside in
            CallWatchdog.current.withLock { $0 }?.report(
                Key(plugin: String(cString: owner), role: String(cString: role), slot: String(cString: slot)),
                nanoseconds, isInside: isInside == 1)
        }
        thread = try KernelThread(name: "watchdog") { [self] in watch() }
    }

    /// When this returns, nothing looks any more.
    func stop() {
        monitor.locked {
            isEnded = true
            monitor.broadcast()
        }
        thread?.join()
        thread = nil
        Self.current.withLock { if $0 === self { $0 = nil } }
    }

    private func watch() {
        monitor.lock()
        while !isEnded {
            monitor.wait(until: monotonicNow() + Self.look)
            monitor.unlock()
            interposer_report_slow_inside()
            tellTallies()
            monitor.lock()
        }
        monitor.unlock()
    }

    private func report(_ key: Key, _ nanoseconds: UInt64, isInside: Bool) {
        let now = monotonicNow()
        let isDue = monitor.locked {
            var tally = tallies[key] ?? Tally()
            defer { tallies[key] = tally }
            guard now >= tally.due, tally.calls == 0 else {
                // One that is still inside is counted when it returns.
                if !isInside { tally.calls += 1 }
                tally.longest = max(tally.longest, nanoseconds)
                return false
            }
            tally = Tally(due: now + Self.period)
            return true
        }
        guard isDue else { return }
        log.warning(
            isInside ? "a call is inside a plugin longer than it should take" : "a call took longer than it should",
            fields(key, nanoseconds))
    }

    private func tellTallies() {
        let now = monotonicNow()
        let due = monitor.locked { () -> [(Key, Tally)] in
            let due = tallies.filter { now >= $0.value.due }
            for (key, tally) in due { tallies[key] = tally.calls == 0 ? nil : Tally(due: now + Self.period) }
            return due.filter { $0.value.calls > 0 }
        }
        for (key, tally) in due {
            var fields = fields(key, tally.longest)
            fields["calls"] = JSON(tally.calls)
            log.warning("calls took longer than they should, within a minute", fields)
        }
    }

    private func fields(_ key: Key, _ nanoseconds: UInt64) -> JSONObject {
        [
            "plugin": .string(key.plugin), "role": .string(key.role), "slot": .string(key.slot),
            "microseconds": JSON(nanoseconds / 1000),
        ]
    }
}
