import Objects
import PluginKit

/// Runs the pods of each Job until enough have succeeded or too many have failed.
final class JobController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "job-controller", owner: .jobs)
        let box = Unowned<JobController>()
        queue = try cluster.queue("job") { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.jobs.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.pods.onObject { [queue] pod in
            if let owner = ControllerReference(controlling: pod), owner.kind == "Job" {
                queue.add("\(pod.namespace)/\(owner.name)")
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let job = cluster.jobs.get(key: key) else {
            pods.forget(key)
            return .done
        }
        if job.deletionTimestamp != nil { return .done }
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let plan = JobPlan(job, pods: pods.owned(by: job), now: .now())
        if plan.isExpired {
            try cluster.writer.delete(.jobs, job, propagation: "Foreground")
            return .done
        }
        try pods.delete(plan.delete, of: job, key)
        let failure = pods.create(plan.create.map { pod(for: job, index: $0) }, for: job, key)
        try cluster.writer.updateStatus(.jobs, job, status: plan.status)
        if let ended = plan.ended {
            let kind: EventRecorder.Kind = ended.reason == "Completed" ? .normal : .warning
            cluster.recorder.record(
                job.typed(.jobs), kind, reason: ended.reason, message: ended.message, component: "job-controller")
        }
        if let failure { throw failure }
        return .afterSeconds(plan.recheckAfter)
    }

    private func pod(for job: JSON, index: Int64?) -> JSON {
        let owner = ControllerReference(.jobs, job)
        var pod = ReplicaSetPlan.pod(from: job["spec"]["template"], owner: owner, namespace: job.namespace)
        if let index {
            pod["metadata"]["annotations"][JobPlan.indexAnnotation] = .string("\(index)")
            pod["metadata"]["labels"][JobPlan.indexAnnotation] = .string("\(index)")
            pod["metadata"]["generateName"] = .string("\(job.name)-\(index)-")
            if !pod["spec"]["hostname"].exists { pod["spec"]["hostname"] = .string("\(job.name)-\(index)") }
            let variable: JSON = [
                "name": "JOB_COMPLETION_INDEX",
                "valueFrom": ["fieldRef": ["fieldPath": .string("metadata.annotations['\(JobPlan.indexAnnotation)']")]],
            ]
            for member in ["containers", "initContainers"] {
                pod["spec"][member].updateElements { _, container in
                    container["env"] = .array(container["env"].arrayValue + [variable])
                }
            }
        }
        return pod
    }
}
