import Objects
import Synchronization

/// Which plugin made which sandbox and which container: filled from lists, events and results. Any thread.
final class RuntimeOwners: Sendable {
    private struct State {
        var sandboxes: [String: String] = [:]
        /// The sandbox of a container.
        var containers: [String: String] = [:]
    }
    private let state = Mutex(State())

    func note(sandbox: JSON, of plugin: String) {
        guard let id = sandbox["id"].stringValue else { return }
        state.withLock { $0.sandboxes[id] = plugin }
    }

    func note(container id: String?, sandbox: String?, of plugin: String) {
        guard let id, let sandbox else { return }
        state.withLock { state in
            state.containers[id] = sandbox
            state.sandboxes[sandbox] = plugin
        }
    }

    func forget(container id: String) { state.withLock { $0.containers[id] = nil } }

    func forget(sandbox id: String) {
        state.withLock { state in
            state.sandboxes[id] = nil
            state.containers = state.containers.filter { $0.value != id }
        }
    }

    func plugin(ofSandbox id: String) -> String? { state.withLock { $0.sandboxes[id] } }

    func plugin(ofContainer id: String) -> String? {
        state.withLock { state in state.containers[id].flatMap { state.sandboxes[$0] } }
    }
}
