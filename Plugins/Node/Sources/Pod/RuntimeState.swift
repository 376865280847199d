import Objects
import Synchronization

/// What the runtime holds, by pod, kept in memory: filled by a list at start and by events and own results later.
/// Reading it never calls the runtime. Safe from any thread.
final class RuntimeState: Sendable {
    /// Sandboxes and containers of one pod.
    struct PodRecord: Sendable {
        var sandboxes: [String: ObservedSandbox] = [:]
        var containers: [String: ObservedContainer] = [:]
    }

    private struct State {
        var pods: [String: PodRecord] = [:]
        var podOfSandbox: [String: String] = [:]
        /// Containers reported before their sandbox was known.
        var unplaced: [String: [ObservedContainer]] = [:]
    }

    private let state = Mutex(State())

    /// The record of a pod; empty when the runtime has nothing for it.
    func pod(_ uid: String) -> PodRecord { state.withLock { $0.pods[uid] ?? PodRecord() } }

    /// UIDs of all pods that the runtime has something for.
    var podUIDs: [String] { state.withLock { Array($0.pods.keys) } }

    var sandboxIDs: [String] { state.withLock { Array($0.podOfSandbox.keys) } }

    func container(_ id: String) -> ObservedContainer? {
        state.withLock { state in
            for record in state.pods.values { if let found = record.containers[id] { return found } }
            return nil
        }
    }

    func apply(_ sandbox: ObservedSandbox) {
        state.withLock { state in
            state.pods[sandbox.podUID, default: PodRecord()].sandboxes[sandbox.id] = sandbox
            state.podOfSandbox[sandbox.id] = sandbox.podUID
            for container in state.unplaced.removeValue(forKey: sandbox.id) ?? [] {
                state.pods[sandbox.podUID]?.containers[container.id] = container
            }
        }
    }

    /// Merges a report; answers the UID of the pod, nil when the sandbox is not known (yet).
    @discardableResult
    func apply(_ container: ObservedContainer) -> String? {
        state.withLock { state in
            guard let uid = state.podOfSandbox[container.sandboxID] else {
                state.unplaced[container.sandboxID, default: []].append(container)
                return nil
            }
            if state.pods[uid]?.containers[container.id] == nil {
                state.pods[uid]?.containers[container.id] = container
            } else {
                state.pods[uid]?.containers[container.id]?.merge(container)
            }
            return uid
        }
    }

    @discardableResult
    func removeContainer(_ id: String, sandboxID: String) -> String? {
        state.withLock { state in
            if var waiting = state.unplaced.removeValue(forKey: sandboxID) {
                waiting.removeAll { $0.id == id }
                if !waiting.isEmpty { state.unplaced[sandboxID] = waiting }
            }
            guard let uid = state.podOfSandbox[sandboxID] else { return nil }
            state.pods[uid]?.containers.removeValue(forKey: id)
            return uid
        }
    }

    /// Marks a sandbox as stopped: its namespaces are gone, its containers' records stay.
    func sandboxStopped(_ id: String) {
        state.withLock { state in
            guard let uid = state.podOfSandbox[id] else { return }
            state.pods[uid]?.sandboxes[id]?.isReady = false
        }
    }

    /// Forgets a sandbox and the containers in it.
    func removeSandbox(_ id: String) {
        state.withLock { state in
            state.unplaced.removeValue(forKey: id)
            guard let uid = state.podOfSandbox.removeValue(forKey: id), var record = state.pods[uid] else { return }
            record.sandboxes.removeValue(forKey: id)
            record.containers = record.containers.filter { $0.value.sandboxID != id }
            state.pods[uid] = record.sandboxes.isEmpty && record.containers.isEmpty ? nil : record
        }
    }
}
