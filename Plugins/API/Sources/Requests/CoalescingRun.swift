import Synchronization

/// Work of the server's own of which one run is under way at a time: what is asked for meanwhile makes that run go on, and
/// is not lost. For keepers that look at all there is to do, however many changes told them to.
final class CoalescingRun: Sendable {
    private enum Phase {
        case idle
        case running(mustRepeat: Bool)
        case stopped
    }

    private let phase = Mutex(Phase.idle)

    /// Sees to it that the work is done from its beginning after this call.
    /// - Parameter work: The same each time. It runs on a thread of `pool`, where it may wait. [any thread, does not wait]
    func request(on pool: WorkerPool, _ work: @escaping @Sendable () -> Void) {
        let mustStart = phase.withLock { phase in
            switch phase {
            case .idle:
                phase = .running(mustRepeat: false)
                return true
            case .running:
                phase = .running(mustRepeat: true)
                return false
            case .stopped: return false
            }
        }
        guard mustStart else { return }
        let isTaken = pool.run(isOwn: true) { [self] in
            repeat { work() } while mustRepeat()
        }
        // The server has stopped; the next start looks at everything.
        if !isTaken { phase.withLock { if case .running = $0 { $0 = .idle } } }
    }

    /// No run begins any more; one that is under way comes to its end.
    func stop() { phase.withLock { $0 = .stopped } }

    private func mustRepeat() -> Bool {
        phase.withLock { phase in
            switch phase {
            case .running(mustRepeat: true):
                phase = .running(mustRepeat: false)
                return true
            case .running(mustRepeat: false), .idle:
                phase = .idle
                return false
            case .stopped: return false
            }
        }
    }
}
