import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Binds claims to volumes, has volumes made for claims that ask for it, and reclaims volumes whose claim is gone.
final class VolumeController: Controller {
    static let localDriver = "local.hostd.dev"
    static let localClass = "local"

    let cluster: Cluster
    let drivers: VolumeDrivers
    private let queue: ControllerQueue
    private let roles = Mutex<Subscription?>(nil)

    init(_ cluster: Cluster, _ drivers: VolumeDrivers) throws {
        self.cluster = cluster
        self.drivers = drivers
        let box = Unowned<VolumeController>()
        queue = try cluster.queue("volumes", workers: 2) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.volumeClaims.onObject { [queue, cluster] claim in
            queue.add("claim/\(objectKey(claim))")
            for volume in cluster.volumes.list() where VolumeMatch.isBound(volume, to: claim) {
                queue.add("volume/\(volume.name)")
            }
        }
        cluster.volumes.onObject { [unowned self] in volumeChanged($0) }
        cluster.storageClasses.onObject { [unowned self] _ in addUnboundClaims() }
        cluster.nodes.onEvent { [unowned self] event in
            if case .added = event { addUnboundClaims() }
        }
        cluster.pods.onEvent { [unowned self] in podEvent($0) }
    }

    func start() throws {
        queue.add("classes")
        queue.open()
        let subscription = try cluster.host.roles().watch { [weak self] change in
            guard change.role == HOSTD_VOLUME_1, change.isActive, let self else { return }
            queue.add("classes")
            addUnboundClaims()
            // Volumes that no one could delete may be deleted now.
            for volume in cluster.volumes.list() { queue.add("volume/\(volume.name)", priority: .background) }
        }
        roles.withLock { $0 = subscription }
    }

    func stop() {
        roles.withLock { $0 }?.cancel()
        queue.stop()
    }

    // MARK: Events

    private func addUnboundClaims() {
        for claim in cluster.volumeClaims.list() where claim["status"]["phase"].stringValue != "Bound" {
            queue.add("claim/\(objectKey(claim))")
        }
    }

    private func volumeChanged(_ volume: JSON) {
        queue.add("volume/\(volume.name)")
        let reference = volume["spec"]["claimRef"]
        if let name = reference["name"].stringValue {
            queue.add("claim/\(reference["namespace"].stringValue ?? "")/\(name)")
        } else {
            addUnboundClaims()
        }
    }

    /// The end of a pod may free a claim that waits to be deleted.
    private func podEvent(_ event: InformerEvent) {
        let pod: JSON
        switch event {
        case .deleted(let gone): pod = gone
        case .updated(_, let new) where PodState(new).isFinished: pod = new
        case .updated, .added, .synchronized: return
        }
        for name in PodVolumes.claimNames(pod)
        where cluster.volumeClaims.get(pod.namespace, name)?.deletionTimestamp != nil {
            queue.add("claim/\(pod.namespace)/\(name)")
        }
    }

    private func sync(_ key: String) throws -> Requeue {
        if key == "classes" {
            try ensureLocalClass()
        } else if key.hasPrefix("claim/") {
            if let claim = cluster.volumeClaims.get(key: String(key.dropFirst(6))) { return try syncClaim(claim) }
        } else if let volume = cluster.volumes.get("", String(key.dropFirst(7))) {
            try syncVolume(volume)
        }
        return .done
    }

    /// Makes the default class for local volumes, once: one that was deleted or changed by hand stays so.
    private func ensureLocalClass() throws {
        try drivers.refresh()
        guard try drivers.provider(Self.localDriver) != nil, cluster.storageClasses.list().isEmpty else { return }
        do {
            try cluster.writer.create(
                .storageClasses,
                [
                    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                    "metadata": [
                        "name": .string(Self.localClass),
                        "annotations": ["storageclass.kubernetes.io/is-default-class": "true"],
                    ],
                    "provisioner": .string(Self.localDriver), "reclaimPolicy": "Delete",
                    "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
                ])
        } catch let error as APIError where error.isAlreadyExists {
            // The cache has not seen it yet.
        }
    }

    func record(_ type: ResourceType, _ object: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(
            object.typed(type), kind, reason: reason, message: message, component: "persistentvolume-controller")
    }
}
