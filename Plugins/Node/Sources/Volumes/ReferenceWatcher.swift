import Objects
import PluginKit
import Synchronization

/// Watches exactly those ConfigMaps and Secrets that pods of this node refer to, each by its own narrow watch.
final class ReferenceWatcher: Sendable {
    private let store: StoreClient
    private let log: NodeLog
    private let changed: @Sendable (_ key: String) -> Void
    private struct State {
        var watches: [String: Subscription] = [:]
        var isStopped = false
    }
    private let state = Mutex(State())

    init(store: StoreClient, log: NodeLog, changed: @escaping @Sendable (String) -> Void) {
        self.store = store
        self.log = log
        self.changed = changed
    }

    func update(added: Set<String>, removed: Set<String>) {
        for key in removed { state.withLock { $0.watches.removeValue(forKey: key) }?.cancel() }
        for key in added { watch(key) }
    }

    func stop() {
        let all = state.withLock { state in
            state.isStopped = true
            defer { state.watches.removeAll() }
            return Array(state.watches.values)
        }
        for subscription in all { subscription.cancel() }
    }

    private func watch(_ key: String) {
        if state.withLock({ $0.isStopped }) { return }
        let parts = key.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3 else { return }
        do {
            let subscription = try store.watch(
                prefix: "\(parts[0])/\(parts[1])/", selector: ".metadata.name=\(parts[2])"
            ) { [weak self] message in
                switch message {
                case .events: self?.changed(key)
                case .progress: break
                case .resync, .ended: self?.restart(key)
                }
            }
            let old = state.withLock { state -> Subscription? in
                if state.isStopped { return subscription }
                return state.watches.updateValue(subscription, forKey: key)
            }
            old?.cancel()
        } catch {
            log.error("an object cannot be watched", ["key": .string(key), "error": .string("\(error)")])
        }
    }

    /// The watch fell behind or its provider was replaced: what it would have shown is read again.
    private func restart(_ key: String) {
        let isWanted = state.withLock { !$0.isStopped && $0.watches[key] != nil }
        guard isWanted else { return }
        watch(key)
        changed(key)
    }
}
