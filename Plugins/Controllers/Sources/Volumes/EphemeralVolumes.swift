import Objects
import PluginKit

/// Makes the claims of pods' generic ephemeral volumes; the pod owns them, so they go with it.
final class EphemeralVolumes: Controller {
    private let cluster: Cluster
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<EphemeralVolumes>()
        queue = try cluster.queue("ephemeral-volumes", workers: 1) {
            try box.value?.sync($0) ?? .done
        }
        box.value = self
        cluster.pods.onEvent { [queue] event in
            guard case .added(let pod) = event,
                pod["spec"]["volumes"].arrayValue.contains(where: { $0["ephemeral"].exists })
            else { return }
            queue.add(objectKey(pod))
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let pod = cluster.pods.get(key: key), PodState(pod).isActive else { return .done }
        for claim in Self.claims(of: pod) {
            do {
                try cluster.writer.create(.volumeClaims, claim)
            } catch let error as APIError where error.isAlreadyExists {
                try checkOwner(claim, pod)
            } catch let error as APIError where error.isNamespaceTerminating {
                return .done
            }
        }
        return .done
    }

    static func claims(of pod: JSON) -> [JSON] {
        pod["spec"]["volumes"].arrayValue.compactMap { volume in
            let template = volume["ephemeral"]["volumeClaimTemplate"]
            guard template.exists else { return nil }
            var metadata: JSON = [
                "name": .string("\(pod.name)-\(volume["name"].stringValue ?? "")"), "namespace": .string(pod.namespace),
                "ownerReferences": .array([ControllerReference(.pods, pod).json]),
            ]
            for member in ["labels", "annotations"] where template["metadata"][member].exists {
                metadata[member] = template["metadata"][member]
            }
            return [
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
            ]
        }
    }

    /// A claim of the same name that is not the pod's is never used for it.
    private func checkOwner(_ claim: JSON, _ pod: JSON) throws {
        let existing = try cluster.writer.api.get(
            "v1", ResourceType.volumeClaims.plural, namespace: claim.namespace, name: claim.name)
        if ControllerReference(controlling: existing)?.uid == pod.uid { return }
        cluster.recorder.record(
            pod.typed(.pods), .warning, reason: "EphemeralVolumeCreationFailed",
            message:
                "PVC \(claim.namespace)/\(claim.name) was not created for pod \(objectKey(pod)) (pod is not owner)",
            component: "ephemeral-volume-controller")
    }
}
