import Objects
import PluginKit

/// Deletes pods whose devices are to be used no more.
final class DeviceTaintController: Controller {
    private static let component = "device-taint-eviction-controller"
    private let cluster: Cluster
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<DeviceTaintController>()
        queue = try cluster.queue("device-taints", workers: 1) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.resourceClaims.onEvent { [queue] event in
            switch event {
            case .added(let claim): if !claim["status"]["reservedFor"].isEmpty { queue.add(objectKey(claim)) }
            case .updated(let old, let new):
                if old["status"] != new["status"], !new["status"]["reservedFor"].isEmpty { queue.add(objectKey(new)) }
            case .deleted, .synchronized: break
            }
        }
        cluster.resourceSlices.onEvent { [unowned self] event in
            switch event {
            case .added(let slice), .updated(_, let slice): sliceChanged(slice)
            case .deleted, .synchronized: break
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    /// Slices that have nothing against any device concern nobody who uses one.
    private func sliceChanged(_ slice: JSON) {
        let isTainted = slice["spec"]["devices"].arrayValue.contains { device in
            device["taints"].arrayValue.contains { $0["effect"] == "NoExecute" }
        }
        guard isTainted else { return }
        for claim in cluster.resourceClaims.list() where !claim["status"]["reservedFor"].isEmpty {
            let results = claim["status"]["allocation"]["devices"]["results"].arrayValue
            if results.contains(where: { $0["driver"] == slice["spec"]["driver"] }) { queue.add(objectKey(claim)) }
        }
    }

    private func sync(_ key: String) throws -> Requeue {
        guard let claim = cluster.resourceClaims.get(key: key), !claim["status"]["reservedFor"].isEmpty else {
            return .done
        }
        let now = Timestamp.now()
        let taints = DeviceTaints(DeviceInventory(cluster.resourceSlices.list()))
        guard let end = taints.end(of: claim, now: now) else { return .done }
        guard end.seconds <= now.seconds else { return .afterSeconds(end.seconds - now.seconds) }
        for consumer in claim["status"]["reservedFor"].arrayValue where consumer["resource"] == "pods" {
            guard let pod = cluster.pods.get(claim.namespace, consumer["name"].stringValue ?? ""),
                pod.uid == consumer["uid"].stringValue, PodState(pod).isActive, !PodState(pod).nodeName.isEmpty
            else { continue }
            try evict(pod, now)
        }
        return .done
    }

    private func evict(_ pod: JSON, _ now: Timestamp) throws {
        cluster.recorder.record(
            pod.typed(.pods), .normal, reason: "DeviceTaintManagerEviction", message: "Marking for deletion",
            component: Self.component)
        try cluster.writer.markDisruption(
            of: pod, reason: "DeletionByDeviceTaintManager",
            message: "Device Taint manager: deleting due to NoExecute taint", now: now)
        try cluster.writer.delete(.pods, pod)
    }
}
