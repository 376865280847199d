import PluginKit

/// What Kubernetes' scheduler tells of its work.
struct SchedulingMetrics: Sendable {
    let metrics: ControllerMetrics

    enum Result: String, Sendable {
        case scheduled, unschedulable, error
    }

    private static let profile = "profile=\"\(SchedulingController.schedulerName)\""
    private static let attemptBounds = ControllerMetrics.doubling(from: 0.001, count: 15)
    private static let pointBounds = ControllerMetrics.doubling(from: 0.0001, count: 12)

    /// An attempt to find a node has ended.
    func attempted(_ result: Result, since began: UInt64) {
        let labels = "\(Self.profile),result=\"\(result.rawValue)\""
        metrics.count("scheduler_schedule_attempts_total", labels)
        metrics.observe(
            "scheduler_scheduling_attempt_duration_seconds", labels, Self.seconds(since: began),
            bounds: Self.attemptBounds)
    }

    /// A pod has a node, after so many attempts.
    func placed(attempts: Int) {
        metrics.observe(
            "scheduler_pod_scheduling_attempts", "", Double(max(attempts, 1)),
            bounds: ControllerMetrics.doubling(from: 1, count: 5))
    }

    /// One part of an attempt has ended.
    /// - Parameter point: "Filter" (the scheduler's decision as a whole), "PostFilter" (preemption) or "Bind".
    func ended(_ point: String, _ status: String, since began: UInt64) {
        metrics.observe(
            "scheduler_framework_extension_point_duration_seconds",
            "extension_point=\"\(point)\",\(Self.profile),status=\"\(status)\"", Self.seconds(since: began),
            bounds: Self.pointBounds)
    }

    /// Room was looked for; `victims` are to end for it.
    func preempted(victims: Int?) {
        metrics.count("scheduler_preemption_attempts_total")
        guard let victims else { return }
        metrics.observe(
            "scheduler_preemption_victims", "", Double(victims),
            bounds: ControllerMetrics.doubling(from: 1, count: 7))
    }

    /// How many pods wait, and where those came from that came since.
    func show(_ queue: inout SchedulingQueue, gated: Int) {
        let counts = queue.counts
        for (name, count) in [
            ("active", counts.active), ("backoff", counts.backingOff), ("unschedulable", counts.parked),
            ("gated", gated),
        ] { metrics.set("scheduler_pending_pods", "queue=\"\(name)\"", count) }
        for (arrival, count) in queue.takeArrivals() {
            metrics.count(
                "scheduler_queue_incoming_pods_total",
                "event=\"\(arrival.event.rawValue)\",queue=\"\(arrival.queue.rawValue)\"", by: count)
        }
    }

    private static func seconds(since began: UInt64) -> Double { Double(monotonicNanoseconds() - began) / 1e9 }
}
