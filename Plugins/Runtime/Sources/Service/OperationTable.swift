import Objects
import PluginKit
import Synchronization

/// Running execs and attaches: each completes exactly once.
final class OperationTable: Sendable {
    /// One of them.
    final class Operation: Sendable {
        /// Takes resize and kill; for an attach, its end detaches.
        let control: Descriptor
        let isAttach: Bool
        private let completion: Mutex<Completion?>

        init(control: Descriptor, isAttach: Bool, completion: @escaping Completion) {
            self.control = control
            self.isAttach = isAttach
            self.completion = Mutex(completion)
        }

        func complete(_ result: Result<JSON, PluginError>) {
            let taken = completion.withLock { completion in
                defer { completion = nil }
                return completion
            }
            taken?(result)
        }
    }

    private let state = Mutex<(table: [UInt64: Operation], next: UInt64)>(([:], 1))

    func add(_ operation: Operation) -> UInt64 {
        state.withLock { state in
            let handle = state.next
            state.next += 1
            state.table[handle] = operation
            return handle
        }
    }

    subscript(_ handle: UInt64) -> Operation? { state.withLock { $0.table[handle] } }

    func remove(_ handle: UInt64) { state.withLock { $0.table[handle] = nil } }

    /// Closing the control sockets ends the processes.
    func cancelAll() {
        let all = state.withLock { state in
            defer { state.table = [:] }
            return Array(state.table.values)
        }
        for operation in all { operation.complete(.failure(.cancelled("the runtime is stopping"))) }
    }
}
