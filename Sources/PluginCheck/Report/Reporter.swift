import Glibc
import Kernel
import Synchronization

/// The worker's end of the line to the supervisor: one JSON object a line. A check is announced before it is made, so that
/// the supervisor knows where the worker ended, if it does.
final class Reporter: Sendable {
    private struct State {
        var number = 0
        var current = Finding(rule: 0, check: "", what: "")
    }

    private let descriptor: Int32
    /// Checks up to this number were made by workers before this one.
    private let done: Int
    private let state = Mutex(State())

    init(descriptor: Int32, done: Int) {
        self.descriptor = descriptor
        self.done = done
    }

    /// Announces a check; false when an earlier worker made it, or died of it.
    func begin(_ check: Finding) -> Bool {
        let number = state.withLock { state in
            state.number += 1
            state.current = check
            return state.number
        }
        guard number > done else { return false }
        send(["number": .integer(Int64(number)), "begin": check.json])
        return true
    }

    /// A breach of the check that is being made; `rule` when it is another one than the check's own.
    func breach(_ what: String, rule: Int? = nil, interface: String? = nil, slot: String? = nil) {
        var finding = state.withLock { $0.current }
        finding.rule = rule ?? finding.rule
        finding.interface = interface ?? finding.interface
        finding.slot = slot ?? finding.slot
        finding.what = what
        send(["finding": finding.json])
    }

    func skip(_ check: String, _ reason: String) {
        send(["skip": ["check": .string(check), "reason": .string(reason)]])
    }

    func send(_ message: JSON) {
        let bytes = message.serialized() + [0x0A]
        state.withLock { _ in
            var start = 0
            while start < bytes.count {
                let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + start, bytes.count - start) }
                if count > 0 { start += count } else if errno != EINTR { return }  // The supervisor is gone.
            }
        }
    }
}
