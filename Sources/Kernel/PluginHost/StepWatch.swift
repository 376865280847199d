import Objects

/// Tells the log of a life-cycle step that takes long, while it does: a plugin that hangs cannot be ended, but it can be
/// named.
final class StepWatch: @unchecked Sendable {
    // SAFETY: all state is under `monitor`.
    /// A step is long after this time, and is told of again each time it passes. Nanoseconds.
    private static let patience: UInt64 = 10_000_000_000

    private let log: Log
    private let monitor = Monitor()
    private var current: (plugin: String, step: String, start: UInt64)?
    private var hasThread = false

    init(log: Log) { self.log = log }

    /// Runs a step of a plugin. One at a time.
    func during<Result, Failure: Error>(
        _ step: PluginFailure.Step, of plugin: String, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        begin(plugin, step.rawValue)
        defer { monitor.locked { current = nil } }
        return try body()
    }

    private func begin(_ plugin: String, _ step: String) {
        let needsThread = monitor.locked {
            current = (plugin, step, monotonicNow())
            defer { hasThread = true }
            return !hasThread
        }
        guard needsThread else { return }
        do throws(StoreError) { try KernelThread(name: "steps") { [self] in watch() }.detach() } catch {
            log.warning("slow plugins will not be named", ["reason": .string(error.message)])
        }
    }

    /// Runs until no step has begun for a while.
    private func watch() {
        monitor.lock()
        var told: UInt64 = 0
        while let step = current {
            let due = max(step.start, told) + Self.patience
            if monotonicNow() >= due {
                told = monotonicNow()
                log.warning(
                    "plugin \(step.plugin) is taking long to \(step.step)",
                    ["plugin": .string(step.plugin), "seconds": JSON((told - step.start) / 1_000_000_000)])
            }
            monitor.wait(until: max(step.start, told) + Self.patience)
        }
        hasThread = false
        monitor.unlock()
    }
}
