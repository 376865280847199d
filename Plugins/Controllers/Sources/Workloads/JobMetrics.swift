import Objects
import PluginKit

/// What Kubernetes' Job controller tells of its work.
struct JobMetrics {
    let metrics: ControllerMetrics

    private static func mode(_ job: JSON) -> String {
        "completion_mode=\"\(job["spec"]["completionMode"].stringValue ?? "NonIndexed")\""
    }

    /// A look at a Job has ended.
    func synced(_ job: JSON, _ plan: JobPlan, succeeded: Bool, since began: UInt64) {
        let action =
            !plan.create.isEmpty ? "pods_created" : !plan.delete.isEmpty ? "pods_deleted" : "reconciling"
        let labels = "action=\"\(action)\",\(Self.mode(job)),result=\"\(succeeded ? "success" : "error")\""
        metrics.count("job_controller_job_syncs_total", labels)
        metrics.observe(
            "job_controller_job_sync_duration_seconds", labels, Double(monotonicNanoseconds() - began) / 1e9,
            bounds: ControllerMetrics.doubling(from: 0.004, count: 15))
    }

    /// The status that a plan asks for is written.
    func written(_ job: JSON, _ plan: JobPlan) {
        let before = job["status"]["uncountedTerminatedPods"]
        for (result, uids) in [
            ("succeeded", plan.tracking.openSuccesses), ("failed", plan.tracking.openFailures),
        ] {
            let known = Set(before[result].arrayValue.compactMap(\.stringValue))
            let new = uids.count { !known.contains($0) }
            guard new > 0 else { continue }
            metrics.count(
                "job_controller_job_pods_finished_total", "\(Self.mode(job)),result=\"\(result)\"", by: new)
        }
        guard plan.ended != nil else { return }
        let complete = plan.status["conditions"].condition("Complete")
        let isComplete = complete["status"].stringValue == "True"
        let reason = (isComplete ? complete : plan.status["conditions"].condition("Failed"))["reason"].stringValue ?? ""
        metrics.count(
            "job_controller_jobs_finished_total",
            "\(Self.mode(job)),reason=\"\(reason)\",result=\"\(isComplete ? "succeeded" : "failed")\"")
    }
}
