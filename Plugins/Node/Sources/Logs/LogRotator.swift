import Objects
import PluginKit
import Synchronization

/// Keeps log files of running containers below their bound: looks at their sizes every ten seconds, and at nothing
/// while no container has written since the last look.
final class LogRotator: Sendable {
    static let period: UInt64 = 10_000_000_000

    private let runtime: any RuntimeProvider
    private let state: RuntimeState
    private let log: NodeLog

    init(runtime: any RuntimeProvider, state: RuntimeState, log: NodeLog) {
        self.runtime = runtime
        self.state = state
        self.log = log
    }

    /// One look at all running containers.
    func rotate() {
        for container in state.running where !container.logPath.isEmpty {
            do {
                guard try LogFiles.rotate(container.logPath, now: Timestamp.now()) else { continue }
                _ = try runtime.reopenLog(["id": .string(container.id)], deadline: WallClock.deadline(seconds: 10))
            } catch {
                log.warning(
                    "a log could not be rotated",
                    ["file": .string(container.logPath), "error": .string("\(error)")])
            }
        }
    }
}

extension RuntimeState {
    /// All containers that run.
    var running: [ObservedContainer] {
        podUIDs.flatMap { pod($0).containers.values.filter { $0.state == .running } }
    }
}
