import Objects
import PluginKit

/// How much of the node's disk a pod may write to, and why it must go when it has written more. Sentences are the kubelet's.
struct PodStorage {
    /// Bytes on disk.
    struct Usage: Equatable {
        /// The layers and logs of containers that run, by name.
        var containers: [String: Int64] = [:]
        /// emptyDir volumes and those of ConfigMaps, by name.
        var volumes: [String: Int64] = [:]
    }

    let pod: Pod

    /// Whether there is any bound to what it writes.
    var isBounded: Bool { pod.containers.contains { Self.limit($0) != nil } || !volumeLimits.isEmpty }

    /// Nil as long as it keeps within its bounds.
    func excess(_ usage: Usage) -> String? {
        for (name, limit) in volumeLimits where usage.volumes[name] ?? 0 > limit.bytes {
            return "Usage of EmptyDir volume \"\(name)\" exceeds the limit \"\(limit.text)\". "
        }
        let limits = pod.containers.compactMap { container in Self.limit(container).map { (container, $0) } }
        let lasting = limits.filter { $0.0.kind != .initialization && $0.0.kind != .ephemeral }
        let initial = limits.filter { $0.0.kind == .initialization }.map(\.1.bytes).max() ?? 0
        let total = max(lasting.reduce(0) { $0 + $1.1.bytes }, initial)
        let used = (usage.containers.values.map { $0 } + usage.volumes.values.map { $0 }).reduce(0, +)
        if total > 0, used > total {
            let text = Quantity(total, format: .binary).description
            return "Pod ephemeral local storage usage exceeds the total limit of containers \(text). "
        }
        for (container, limit) in limits where usage.containers[container.name] ?? 0 > limit.bytes {
            return "Container \(container.name) exceeded its local ephemeral storage limit \"\(limit.text)\". "
        }
        return nil
    }

    private struct Limit {
        let bytes: Int64
        /// As it stands in the pod.
        let text: String

        init?(_ quantity: JSON) {
            guard let bytes = ResourceQuantity.value(quantity) else { return nil }
            self.bytes = bytes
            text = quantity.stringValue ?? "\(bytes)"
        }
    }

    private static func limit(_ container: PodContainer) -> Limit? {
        Limit(container.object["resources"]["limits"]["ephemeral-storage"])
    }

    /// Of emptyDir volumes on disk; those in memory are bounded by their mount.
    private var volumeLimits: [(String, Limit)] {
        diskVolumes.compactMap { name, source in
            Limit(source["sizeLimit"]).flatMap { $0.bytes > 0 ? (name, $0) : nil }
        }
    }

    private var diskVolumes: [(String, JSON)] {
        pod.specification["volumes"].arrayValue.compactMap { volume in
            guard let name = volume["name"].stringValue, volume["emptyDir"].exists,
                volume["emptyDir"]["medium"].stringValue != "Memory"
            else { return nil }
            return (name, volume["emptyDir"])
        }
    }

    /// Counts what the pod has written.
    /// - Parameter layers: Bytes of the containers' own layers, by container ID.
    func measure(_ containers: [ObservedContainer], layers: [String: Int64], _ paths: NodePaths) -> Usage {
        var usage = Usage()
        for container in containers where container.state == .running {
            usage.containers[container.name] =
                (layers[container.id] ?? 0) + Self.bytes("\(paths.logDirectory(pod))/\(container.name)")
        }
        for (name, _) in diskVolumes {
            usage.volumes[name] = Self.bytes(paths.volume(pod.uid, kind: "kubernetes.io~empty-dir", name: name))
        }
        // What is made of other objects is in memory, or too small to count.
        for volume in pod.specification["volumes"].arrayValue where volume["configMap"].exists {
            guard let name = volume["name"].stringValue else { continue }
            usage.volumes[name] = Self.bytes(paths.volume(pod.uid, kind: "kubernetes.io~configmap", name: name))
        }
        return usage
    }

    private static func bytes(_ directory: String) -> Int64 {
        var sum: Int64 = 0
        // What goes away while it is counted takes nothing any more.
        try? FileTree.walk(directory) { sum += Int64($0.status.st_blocks) * 512 }
        return sum
    }
}

extension PodWorker {
    /// Ends pods that have written more to the node's disk than they may.
    func enforceStorage() throws {
        for pod in allPods where PodStorage(pod: pod).isBounded {
            guard let entry = entry(pod.uid), pod.deletionTimestamp == nil, !pod.isTerminal,
                entry.read({ $0.failure == nil && !$0.isOrphan })
            else { continue }
            let containers = Array(runtimeState.pod(pod.uid).containers.values)
            var layers: [String: Int64] = [:]
            for container in containers where container.state == .running {
                let stats = try services.runtime.containerStats(
                    ["id": .string(container.id)], deadline: WallClock.deadline(seconds: 10))["stats"]
                layers[container.id] = stats[0]["writableLayerBytes"].integerValue
            }
            let storage = PodStorage(pod: pod)
            guard let excess = storage.excess(storage.measure(containers, layers: layers, paths)) else { continue }
            entry.update { $0.failure = WaitingReason(reason: PodMemory.eviction, message: excess) }
            services.events.warning(pod, PodMemory.eviction, excess)
            enqueue(pod.uid, 0)
        }
    }
}
