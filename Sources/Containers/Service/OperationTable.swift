import Objects
import PluginKit
import Synchronization

/// Running execs and attaches: each completes exactly once.
package final class OperationTable: Sendable {
    /// One of them.
    package final class Operation: Sendable {
        /// Takes resize and kill; for an attach, its end detaches.
        package let control: Descriptor
        package let isAttach: Bool
        private let completion: Mutex<Completion?>

        package init(control: Descriptor, isAttach: Bool, completion: @escaping Completion) {
            self.control = control
            self.isAttach = isAttach
            self.completion = Mutex(completion)
        }

        package func complete(_ result: Result<JSON, PluginError>) {
            let taken = completion.withLock { completion in
                defer { completion = nil }
                return completion
            }
            taken?(result)
        }
    }

    private let state = Mutex<(table: [UInt64: Operation], next: UInt64)>(([:], 1))

    package func add(_ operation: Operation) -> UInt64 {
        state.withLock { state in
            let handle = state.next
            state.next += 1
            state.table[handle] = operation
            return handle
        }
    }

    package subscript(_ handle: UInt64) -> Operation? { state.withLock { $0.table[handle] } }

    package func remove(_ handle: UInt64) { state.withLock { $0.table[handle] = nil } }

    /// Closing the control sockets ends the processes.
    package func cancelAll() {
        let all = state.withLock { state in
            defer { state.table = [:] }
            return Array(state.table.values)
        }
        for operation in all { operation.complete(.failure(.cancelled("the runtime is stopping"))) }
    }
}
