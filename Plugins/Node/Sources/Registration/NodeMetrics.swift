import PluginKit

/// The node's figures, under the names that a kubelet's have.
struct NodeMetrics: Sendable {
    private let runningPods: Metrics.Series
    private let runningContainers: Metrics.Series
    private let startSeconds: Metrics.Series

    init(_ host: Host) throws {
        let metrics = try host.metrics()
        runningPods = try metrics.define(.gauge, "kubelet_running_pods")
        runningContainers = try metrics.define(.gauge, "kubelet_running_containers")
        startSeconds = try metrics.define(.histogram, "kubelet_pod_start_duration_seconds")
    }

    func running(pods: Int, containers: Int) {
        runningPods.record(Double(pods))
        runningContainers.record(Double(containers))
    }

    /// A pod was first seen running, so long after it was first seen.
    func started(seconds: Double) { startSeconds.record(seconds) }
}
