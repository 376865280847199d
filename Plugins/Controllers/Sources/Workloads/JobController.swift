import Objects
import PluginKit

/// Runs the pods of each Job until enough have succeeded or too many have failed.
final class JobController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let queue: ControllerQueue
    /// Of pods that may have lost their Job.
    private let strays: ControllerQueue
    /// Pods are let go only when the cache shows the status that counts them.
    private let barrier = WriteBarrier()

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "job-controller", owner: .jobs, finalizer: JobTracking.finalizer)
        let box = Unowned<JobController>()
        queue = try cluster.queue("job") { try box.value?.sync($0) ?? .done }
        strays = try cluster.queue("job-strays", workers: 1) { try box.value?.syncStray($0) ?? .done }
        box.value = self
        cluster.jobs.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.jobs.onEvent { [unowned self] in if case .deleted(let job) = $0 { addStrays(of: job) } }
        pods.onPod(of: cluster.jobs) { [queue] in queue.add($0) }
        cluster.pods.onObject { [unowned self] pod in
            if JobTracking.isTracked(pod), !hasJob(pod) { strays.add(objectKey(pod)) }
        }
    }

    func start() {
        queue.open()
        strays.open()
    }

    func stop() {
        queue.stop()
        strays.stop()
    }

    private func sync(_ key: String) throws -> Requeue {
        guard let job = cluster.jobs.get(key: key) else {
            pods.forget(key)
            barrier.forget(key)
            return .done
        }
        guard JobPlan.isManaged(job) else { return .done }
        guard pods.isSettled(key), barrier.isSatisfied(key, cluster.jobs) else {
            return .after(nanoseconds: 1_000_000_000)
        }
        let owned = try pods.claimed(by: job, key)
        guard job.deletionTimestamp == nil else {
            // Nobody asks for its counts any more.
            try pods.release(owned.filter(JobTracking.isTracked), key)
            return .done
        }
        let began = monotonicNanoseconds()
        let plan = JobPlan(job, pods: owned, now: .now())
        if plan.isExpired {
            try cluster.writer.delete(.jobs, job, propagation: "Foreground")
            return .done
        }
        let metrics = JobMetrics(metrics: cluster.metrics)
        do {
            try carryOut(plan, job, key)
        } catch {
            metrics.synced(job, plan, succeeded: false, since: began)
            throw error
        }
        metrics.synced(job, plan, succeeded: true, since: began)
        return .afterSeconds(plan.recheckAfter)
    }

    private func carryOut(_ plan: JobPlan, _ job: JSON, _ key: String) throws {
        try pods.track(plan.untracked, key)
        try pods.release(plan.discarded, key)
        try pods.delete(plan.delete, of: job, key)
        let failure = pods.create(plan.create.map { pod(for: job, index: $0, plan) }, for: job, key)
        if let written = try cluster.writer.updateStatus(.jobs, job, status: plan.status) {
            barrier.wrote(written, for: key)
        }
        JobMetrics(metrics: cluster.metrics).written(job, plan)
        try pods.release(plan.tracking.release, key)
        if let turned = plan.turned { pods.record(job, .normal, turned.reason, turned.message) }
        if let ended = plan.ended {
            pods.record(job, ended.reason == "Completed" ? .normal : .warning, ended.reason, ended.message)
        }
        if let failure { throw failure }
    }

    // MARK: Pods without a Job

    private func hasJob(_ pod: JSON) -> Bool {
        guard let owner = ControllerReference(controlling: pod) else {
            // One whose labels say so is taken in.
            return cluster.jobs.list(pod.namespace).contains {
                $0.deletionTimestamp == nil && ResourceType.jobs.selects($0, pod.labels)
            }
        }
        return owner.kind != ResourceType.jobs.kind || cluster.jobs.get(pod.namespace, owner.name)?.uid == owner.uid
    }

    private func addStrays(of job: JSON) {
        for pod in cluster.pods.list(job.namespace)
        where JobTracking.isTracked(pod) && ControllerReference(controlling: pod)?.uid == job.uid {
            strays.add(objectKey(pod))
        }
    }

    /// Lets go of a pod that nobody is left to count.
    private func syncStray(_ key: String) throws -> Requeue {
        guard let pod = cluster.pods.get(key: key), JobTracking.isTracked(pod), !hasJob(pod) else { return .done }
        if let owner = ControllerReference(controlling: pod) {
            // The cache of Jobs may be behind that of pods.
            let stored = try cluster.store.object("\(ResourceType.jobs.storeName)/\(pod.namespace)/\(owner.name)")
            if stored?.uid == owner.uid { return .done }
        }
        // Nothing waits for the cache to show this.
        defer { pods.forget("stray " + key) }
        try pods.release([pod], "stray " + key)
        return .done
    }

    private func pod(for job: JSON, index: Int64?, _ plan: JobPlan) -> JSON {
        let owner = ControllerReference(.jobs, job)
        var pod = ReplicaSetPlan.pod(from: job["spec"]["template"], owner: owner, namespace: job.namespace)
        let finalizers = pod["metadata"]["finalizers"].arrayValue
        pod["metadata"]["finalizers"] = .array(finalizers + [.string(JobTracking.finalizer)])
        guard let index else { return pod }
        pod["metadata"]["annotations"][JobPlan.indexAnnotation] = .string("\(index)")
        pod["metadata"]["labels"][JobPlan.indexAnnotation] = .string("\(index)")
        if let failures = plan.failureCount(index) {
            pod["metadata"]["annotations"][JobPlan.failureCountAnnotation] = .string("\(failures)")
        }
        pod["metadata"]["generateName"] = .string("\(job.name)-\(index)-")
        if !pod["spec"]["hostname"].exists { pod["spec"]["hostname"] = .string("\(job.name)-\(index)") }
        let variable: JSON = [
            "name": .string(JobPlan.indexVariable),
            "valueFrom": ["fieldRef": ["fieldPath": .string("metadata.labels['\(JobPlan.indexAnnotation)']")]],
        ]
        for member in ["containers", "initContainers"] {
            pod["spec"][member].updateElements { _, container in
                // One that sets it itself means something by it.
                if container["env"].arrayValue.contains(where: { $0.name == JobPlan.indexVariable }) { return }
                container["env"] = .array(container["env"].arrayValue + [variable])
            }
        }
        return pod
    }
}
