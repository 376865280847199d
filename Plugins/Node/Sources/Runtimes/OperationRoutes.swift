import PluginKit
import Synchronization

/// Handles of execs, attaches and pulls: providers count each for themselves, so the node gives out its own.
final class OperationRoutes: Sendable {
    struct Route: Sendable {
        let provider: any RuntimeProvider
        let handle: UInt64
    }

    private struct State {
        var routes: [UInt64: Route] = [:]
        /// Begun, and not answered yet by the provider.
        var pending: Set<UInt64> = []
        var next: UInt64 = 1
    }
    private let state = Mutex(State())

    /// Begins an operation of `provider` and returns the node's handle of it. It is forgotten when it completes, which may
    /// be before `start` returns.
    func begin(
        _ provider: any RuntimeProvider, _ completion: @escaping Completion,
        start: (@escaping Completion) throws -> UInt64
    ) throws -> UInt64 {
        let handle = state.withLock { state in
            defer { state.next += 1 }
            state.pending.insert(state.next)
            return state.next
        }
        do {
            let given = try start { [self] result in
                forget(handle)
                completion(result)
            }
            state.withLock { state in
                if state.pending.remove(handle) != nil {
                    state.routes[handle] = Route(provider: provider, handle: given)
                }
            }
        } catch {
            forget(handle)
            throw error
        }
        return handle
    }

    private func forget(_ handle: UInt64) {
        state.withLock { state in
            state.pending.remove(handle)
            state.routes[handle] = nil
        }
    }

    /// Nil for one that has completed.
    subscript(_ handle: UInt64) -> Route? { state.withLock { $0.routes[handle] } }
}
