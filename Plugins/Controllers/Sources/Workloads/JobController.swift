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
        pods.onPod(of: cluster.jobs) { [queue] in queue.add($0) }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let job = cluster.jobs.get(key: key) else {
            pods.forget(key)
            return .done
        }
        guard job.deletionTimestamp == nil, JobPlan.isManaged(job) else { return .done }
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let plan = JobPlan(job, pods: try pods.claimed(by: job, key), now: .now())
        if plan.isExpired {
            try cluster.writer.delete(.jobs, job, propagation: "Foreground")
            return .done
        }
        try pods.delete(plan.delete, of: job, key)
        let failure = pods.create(plan.create.map { pod(for: job, index: $0, plan) }, for: job, key)
        try cluster.writer.updateStatus(.jobs, job, status: plan.status)
        if let turned = plan.turned { pods.record(job, .normal, turned.reason, turned.message) }
        if let ended = plan.ended {
            pods.record(job, ended.reason == "Completed" ? .normal : .warning, ended.reason, ended.message)
        }
        if let failure { throw failure }
        return .afterSeconds(plan.recheckAfter)
    }

    private func pod(for job: JSON, index: Int64?, _ plan: JobPlan) -> JSON {
        let owner = ControllerReference(.jobs, job)
        var pod = ReplicaSetPlan.pod(from: job["spec"]["template"], owner: owner, namespace: job.namespace)
        guard let index else { return pod }
        pod["metadata"]["annotations"][JobPlan.indexAnnotation] = .string("\(index)")
        pod["metadata"]["labels"][JobPlan.indexAnnotation] = .string("\(index)")
        if let failures = plan.failureCount(index) {
            pod["metadata"]["annotations"][JobPlan.failureCountAnnotation] = .string("\(failures)")
        }
        pod["metadata"]["generateName"] = .string("\(job.name)-\(index)-")
        if !pod["spec"]["hostname"].exists { pod["spec"]["hostname"] = .string("\(job.name)-\(index)") }
        let variable: JSON = [
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": ["fieldRef": ["fieldPath": .string("metadata.labels['\(JobPlan.indexAnnotation)']")]],
        ]
        for member in ["containers", "initContainers"] {
            pod["spec"][member].updateElements { _, container in
                container["env"] = .array(container["env"].arrayValue + [variable])
            }
        }
        return pod
    }
}
