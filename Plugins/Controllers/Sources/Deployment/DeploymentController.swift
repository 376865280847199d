import Objects
import PluginKit

/// Rolls each Deployment's template out over its ReplicaSets.
final class DeploymentController: Controller {
    private let cluster: Cluster
    private let barrier = WriteBarrier()
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<DeploymentController>()
        queue = try cluster.queue("deployment", workers: 4) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.deployments.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.replicaSets.onObject { [unowned self] in replicaSetChanged($0) }
        // A Recreate goes on when the last old pod is gone.
        cluster.pods.onEvent { [unowned self] event in
            if case .deleted(let pod) = event { podDeleted(pod) }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func replicaSetChanged(_ set: JSON) {
        if let owner = ControllerReference(controlling: set) {
            if owner.kind == "Deployment" { queue.add("\(set.namespace)/\(owner.name)") }
            return
        }
        for deployment in cluster.deployments.list(set.namespace) {
            if deployment.selects(set.labels) {
                queue.add(objectKey(deployment))
            }
        }
    }

    private func podDeleted(_ pod: JSON) {
        guard let owner = ControllerReference(controlling: pod), owner.kind == "ReplicaSet",
            let set = cluster.replicaSets.get(pod.namespace, owner.name),
            let deployment = ControllerReference(controlling: set), deployment.kind == "Deployment"
        else { return }
        let object = cluster.deployments.get(pod.namespace, deployment.name)
        if object?["spec"]["strategy"]["type"].stringValue == "Recreate" {
            queue.add("\(pod.namespace)/\(deployment.name)")
        }
    }

    private func sync(_ key: String) throws -> Requeue {
        guard let deployment = cluster.deployments.get(key: key) else {
            barrier.forget(key)
            return .done
        }
        guard barrier.isSatisfied(key, cluster.replicaSets) else { return .after(nanoseconds: 1_000_000_000) }
        let selector = try LabelSelector(object: deployment["spec"]["selector"])
        var claim = Claim(cluster.replicaSets.list(deployment.namespace), owner: deployment, selector: selector)
        try settle(&claim, of: deployment)
        if let rollback = DeploymentRollback(deployment, replicaSets: claim.owned) {
            try cluster.writer.update(.deployments, rollback.deployment.typed(.deployments))
            record(deployment, rollback.message, reason: rollback.reason, rollback.isDone ? .normal : .warning)
            return .done
        }
        let plan = DeploymentPlan(
            deployment, replicaSets: claim.owned, oldPodsRemain: oldPodsRemain(deployment, claim.owned), now: .now())
        for change in plan.changes { try apply(change, to: deployment, key) }
        var current = deployment
        if let object = plan.create { try create(object, for: &current, key) }
        if let revision = plan.revision {
            current = try cluster.writer.patch(
                .deployments, current,
                ["metadata": ["annotations": .object([DeploymentNames.revision: .string(revision)])]])
        }
        try cluster.writer.updateStatus(.deployments, current, status: plan.status)
        for set in plan.delete { try cluster.writer.delete(.replicaSets, set) }
        return .afterSeconds(plan.recheckAfter)
    }

    private func settle(_ claim: inout Claim, of deployment: JSON) throws {
        let owner = ControllerReference(.deployments, deployment)
        for set in claim.adopt {
            claim.owned.append(try cluster.writer.patch(.replicaSets, set, Claim.adoption(of: set, by: owner)))
        }
        for set in claim.release {
            try cluster.writer.patch(.replicaSets, set, Claim.releasing(set, from: owner.uid))
        }
    }

    /// Whether a Recreate still waits for pods of another template than the present one, or for their ReplicaSets to say that
    /// they have none: new pods that are counted beside old ones look as if they ran beside them.
    private func oldPodsRemain(_ deployment: JSON, _ sets: [JSON]) -> Bool {
        guard deployment["spec"]["strategy"]["type"].stringValue == "Recreate" else { return false }
        let template = deployment["spec"]["template"]
        let old = sets.filter { !PodTemplate.areEqual($0["spec"]["template"], template) }
        if old.contains(where: { ReplicaSetState($0).existing > 0 }) { return true }
        let uids = Set(old.map(\.uid))
        return cluster.pods.list(deployment.namespace).contains { pod in
            guard let owner = ControllerReference(controlling: pod) else { return false }
            return uids.contains(owner.uid) && !PodState(pod).isFinished
        }
    }

    private func apply(_ change: DeploymentPlan.Change, to deployment: JSON, _ key: String) throws {
        var set = change.replicaSet.typed(.replicaSets)
        if let replicas = change.replicas { set["spec"]["replicas"] = .integer(replicas) }
        if let seconds = change.minReadySeconds { set["spec"]["minReadySeconds"] = .integer(seconds) }
        if let annotations = change.annotations {
            let sorted = annotations.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) }
            set["metadata"]["annotations"] = .object(JSONObject(sorted))
        }
        barrier.wrote(try cluster.writer.update(.replicaSets, set), for: key)
        if let scaling = change.scaling {
            record(
                deployment, "Scaled \(scaling.direction) replica set \(set.name) from \(scaling.from) to \(scaling.to)")
        }
    }

    private func create(_ object: JSON, for deployment: inout JSON, _ key: String) throws {
        do {
            barrier.wrote(try cluster.writer.create(.replicaSets, object), for: key)
        } catch let error as APIError where error.isAlreadyExists {
            try resolveCollision(object, deployment)
            throw PluginError.conflict("ReplicaSet \(object.name) exists; looking again")
        } catch let error as APIError where error.isNamespaceTerminating {
            return
        } catch {
            try noteFailure(deployment, error)
            throw error
        }
        let replicas = object["spec"]["replicas"].integerValue ?? 0
        if replicas > 0 { record(deployment, "Scaled up replica set \(object.name) from 0 to \(replicas)") }
    }

    /// A ReplicaSet of this name exists: when it is not ours with this template, the hash collided and gets a salt.
    private func resolveCollision(_ object: JSON, _ deployment: JSON) throws {
        let type = ResourceType.replicaSets
        let existing = try cluster.writer.api.get(
            type.apiVersion, type.plural, namespace: object.namespace, name: object.name)
        let isOurs = ControllerReference(controlling: existing)?.uid == deployment.uid
        if isOurs && PodTemplate.areEqual(existing["spec"]["template"], deployment["spec"]["template"]) { return }
        var status = deployment["status"]
        status["collisionCount"] = .integer((status["collisionCount"].integerValue ?? 0) + 1)
        try cluster.writer.updateStatus(.deployments, deployment, status: status)
    }

    private func noteFailure(_ deployment: JSON, _ error: any Error) throws {
        let time = JSON.string(Timestamp.now().formatted(fraction: .none))
        var status = deployment["status"]
        var conditions = status["conditions"]
        conditions.setCondition([
            "type": "Progressing", "status": "False", "lastUpdateTime": time, "lastTransitionTime": time,
            "reason": "ReplicaSetCreateError", "message": .string("Failed to create new replica set: \(error)"),
        ])
        status["conditions"] = conditions
        try cluster.writer.updateStatus(.deployments, deployment, status: status)
    }

    private func record(
        _ deployment: JSON, _ message: String, reason: String = "ScalingReplicaSet",
        _ kind: EventRecorder.Kind = .normal
    ) {
        cluster.recorder.record(
            deployment.typed(.deployments), kind, reason: reason, message: message, component: "deployment-controller")
    }
}
