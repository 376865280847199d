import CEpoll
import Glibc
import Synchronization

/// A descriptor that becomes readable when one container has ended.
final class ExitSignal: Sendable {
    let descriptor: Int32
    private let ended = Mutex(false)

    init() throws {
        descriptor = try SystemError.check("eventfd", "") {
            eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        }
    }

    deinit { close(descriptor) }

    var hasEnded: Bool { ended.withLock { $0 } }

    func signal() {
        ended.withLock { $0 = true }
        var one: UInt64 = 1
        // The counter cannot overflow by single steps.
        _ = write(descriptor, &one, 8)
    }
}

/// Who waits for the end of which container.
final class ExitSignals: Sendable {
    private struct Weak { weak var signal: ExitSignal? }
    private let waiting = Mutex<[String: [Weak]]>([:])

    /// A signal for a container; `state` is asked after registering, so that no end is missed.
    func signal(for id: String, state: RuntimeState) throws -> ExitSignal {
        let signal = try ExitSignal()
        waiting.withLock { $0[id, default: []].append(Weak(signal: signal)) }
        if state.container(id).map({ $0.state == .exited }) ?? true { signal.signal() }
        return signal
    }

    func containerEnded(_ id: String) {
        let signals = waiting.withLock { $0.removeValue(forKey: id) } ?? []
        for entry in signals { entry.signal?.signal() }
    }
}
