import Objects
import Synchronization

/// Which pods of this node refer to which ConfigMaps and Secrets, by store key. Other objects are of no interest, and
/// `changed` tells a watcher when the set grew or shrank.
final class VolumeReferences: Sendable {
    private struct State {
        var pods: [String: Set<String>] = [:]
        var keys: [String: Set<String>] = [:]
        var onChange: (@Sendable (_ added: Set<String>, _ removed: Set<String>) -> Void)?
    }
    private let state = Mutex(State())

    /// Calls `handler` with keys that got their first, or lost their last, reference.
    func onChange(_ handler: @escaping @Sendable (_ added: Set<String>, _ removed: Set<String>) -> Void) {
        state.withLock { $0.onChange = handler }
    }

    /// UIDs of the pods that refer to a key.
    func pods(_ key: String) -> Set<String> { state.withLock { $0.pods[key] ?? [] } }

    func set(_ pod: Pod) { replace(pod.uid, with: Self.keys(of: pod)) }
    func forget(_ uid: String) { replace(uid, with: []) }

    private func replace(_ uid: String, with keys: Set<String>) {
        let (handler, added, removed) = state.withLock { state in
            let old = state.keys[uid] ?? []
            state.keys[uid] = keys.isEmpty ? nil : keys
            var added: Set<String> = []
            var removed: Set<String> = []
            for key in keys.subtracting(old) {
                if state.pods[key, default: []].isEmpty { added.insert(key) }
                state.pods[key, default: []].insert(uid)
            }
            for key in old.subtracting(keys) {
                state.pods[key]?.remove(uid)
                if state.pods[key]?.isEmpty == true {
                    state.pods[key] = nil
                    removed.insert(key)
                }
            }
            return (state.onChange, added, removed)
        }
        if !added.isEmpty || !removed.isEmpty { handler?(added, removed) }
    }

    /// Store keys of all ConfigMaps and Secrets in volumes and environment.
    static func keys(of pod: Pod) -> Set<String> {
        var keys: Set<String> = []
        func add(_ resource: String, _ name: JSON) {
            if let name = name.stringValue, !name.isEmpty { keys.insert("\(resource)/\(pod.namespace)/\(name)") }
        }
        func addSource(_ source: JSON) {
            add("configmaps", source["configMap"]["name"])
            add("secrets", source["secret"]["secretName"])
            add("secrets", source["secret"]["name"])
        }
        for volume in pod.specification["volumes"].arrayValue {
            addSource(volume)
            for source in volume["projected"]["sources"].arrayValue { addSource(source) }
        }
        for container in pod.containers {
            for source in container.object["envFrom"].arrayValue {
                add("configmaps", source["configMapRef"]["name"])
                add("secrets", source["secretRef"]["name"])
            }
            for entry in container.object["env"].arrayValue {
                add("configmaps", entry["valueFrom"]["configMapKeyRef"]["name"])
                add("secrets", entry["valueFrom"]["secretKeyRef"]["name"])
            }
        }
        return keys
    }
}
