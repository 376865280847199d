import Objects
import PluginKit
import Synchronization

/// Sizes what HorizontalPodAutoscalers point at by what its pods use. Each is looked at every 15 seconds, and when it changes.
final class AutoscalerController: Controller {
    /// Seconds between two looks at an autoscaler.
    static let period: Int64 = 15

    private let cluster: Cluster
    private let queue: ControllerQueue
    /// By uid.
    private let memories = Mutex<[String: AutoscalerMemory]>([:])

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<AutoscalerController>()
        queue = try cluster.queue("horizontalpodautoscaler", workers: 1) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.autoscalers.onEvent { [unowned self] event in
            switch event {
            case .added(let autoscaler): queue.add(objectKey(autoscaler))
            case .updated(let old, let new):
                // Its status is this controller's own.
                if old["spec"] != new["spec"] || old.uid != new.uid { queue.add(objectKey(new)) }
            case .deleted(let autoscaler): memories.withLock { $0[autoscaler.uid] = nil }
            case .synchronized: break
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let autoscaler = cluster.autoscalers.get(key: key), autoscaler.deletionTimestamp == nil else {
            return .done
        }
        let now = Timestamp.now()
        let target: ScaleTarget
        do {
            target = try ScaleTarget(of: autoscaler, cluster.writer.api)
        } catch {
            try fail(
                autoscaler, "AbleToScale", "FailedGetScale",
                "the HPA controller was unable to get the target's current scale: \(error)", now)
            return .afterSeconds(Self.period)
        }
        if try !isAlone(autoscaler, target, now) { return .afterSeconds(Self.period) }
        try scale(autoscaler, target, now)
        return .afterSeconds(Self.period)
    }

    /// Pods that two autoscalers count would be scaled by the sum of both wishes.
    private func isAlone(_ autoscaler: JSON, _ target: ScaleTarget, _ now: Timestamp) throws -> Bool {
        if target.selector.isEmpty {
            try fail(
                autoscaler, "ScalingActive", "InvalidSelector", "the HPA target's scale is missing a selector", now)
            return false
        }
        let reference = autoscaler["spec"]["scaleTargetRef"]
        let rivals = cluster.autoscalers.list(autoscaler.namespace).filter {
            $0.uid != autoscaler.uid && $0["spec"]["scaleTargetRef"] == reference
        }
        if rivals.isEmpty { return true }
        let names = ([autoscaler.name] + rivals.map(\.name)).sorted()
            .map { "\(autoscaler.namespace)/\($0)" }.joined(separator: " ")
        try fail(
            autoscaler, "ScalingActive", "AmbiguousSelector",
            "pods by selector \(target.selector) are controlled by multiple HPAs: [\(names)]", now)
        return false
    }

    private func scale(_ autoscaler: JSON, _ target: ScaleTarget, _ now: Timestamp) throws {
        let current = target.replicas
        var autoscaler = autoscaler
        set(
            &autoscaler, "AbleToScale", "True", "SucceededGetScale",
            "the HPA controller was able to get the target's current scale", now)
        let outcomes =
            AutoscalerPlan.needsMetrics(autoscaler, current: current)
            ? try evaluate(autoscaler, target, now).outcomes : []
        var memory = memories.withLock { $0[autoscaler.uid] } ?? AutoscalerMemory()
        var plan = AutoscalerPlan(autoscaler, current: current, outcomes: outcomes, memory: &memory, now: now)
        defer { memories.withLock { $0[autoscaler.uid] = memory } }
        for case .failure(let reason, let message) in outcomes { record(autoscaler, .warning, reason, message) }
        if let failure = plan.failure { record(autoscaler, .warning, "FailedComputeMetricsReplicas", failure) }
        var isRescaled = false
        if plan.desired != current {
            do {
                try target.resize(to: plan.desired, cluster.writer.api)
                isRescaled = true
                memory.changed(from: current, to: plan.desired, now: now)
                plan.set(
                    "AbleToScale", "True", "SucceededRescale",
                    "the HPA controller was able to update the target scale to \(plan.desired)")
                record(autoscaler, .normal, "SuccessfulRescale", "New size: \(plan.desired); reason: \(plan.reason)")
            } catch {
                plan.set(
                    "AbleToScale", "False", "FailedUpdateScale",
                    "the HPA controller was unable to update the target scale: \(error)")
                record(
                    autoscaler, .warning, "FailedRescale",
                    "New size: \(plan.desired); reason: \(plan.reason); error: \(error)")
            }
        }
        try write(autoscaler, status: plan.status(isRescaled: isRescaled))
    }

    private func evaluate(_ autoscaler: JSON, _ target: ScaleTarget, _ now: Timestamp) throws -> MetricEvaluation {
        let selector = try LabelSelector(parsing: target.selector)
        let pods = cluster.pods.list(autoscaler.namespace).filter { selector.matches(labels: $0.labels) }
        let metrics = autoscaler["spec"]["metrics"].arrayValue
        let sources = MetricSources(api: cluster.writer.api, versions: cluster.aggregated.versions)
        let readings = metrics.map {
            sources.reading(of: $0, namespace: autoscaler.namespace, selector: target.selector)
        }
        var usage: PodUsage?
        var failure = ""
        if readings.contains(nil) {
            do {
                usage = try PodUsage(
                    namespace: autoscaler.namespace, selector: target.selector, cluster.writer.api)
            } catch {
                failure = "\(error)"
            }
        }
        return MetricEvaluation(
            autoscaler: autoscaler, pods: pods, usage: usage, failure: failure, readings: readings,
            current: target.replicas, present: target.present, now: now)
    }

    // MARK: Status

    private func fail(
        _ autoscaler: JSON, _ type: String, _ reason: String, _ message: String, _ now: Timestamp
    ) throws {
        record(autoscaler, .warning, reason, message)
        var changed = autoscaler
        set(&changed, type, "False", reason, message, now)
        var status = changed["status"]
        for count in ["currentReplicas", "desiredReplicas"] where !status[count].exists { status[count] = 0 }
        try write(autoscaler, status: status)
    }

    private func set(
        _ autoscaler: inout JSON, _ type: String, _ status: String, _ reason: String, _ message: String,
        _ now: Timestamp
    ) {
        autoscaler["status"]["conditions"].setCondition([
            "type": .string(type), "status": .string(status), "reason": .string(reason), "message": .string(message),
            "lastTransitionTime": .string(now.formatted(fraction: .none)),
        ])
    }

    /// Compared with what the cache has: a status that says nothing new is not written.
    private func write(_ autoscaler: JSON, status: JSON) throws {
        guard let present = cluster.autoscalers.get(key: objectKey(autoscaler)) else { return }
        try cluster.writer.updateStatus(.autoscalers, present, status: status)
    }

    private func record(_ autoscaler: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(
            autoscaler.typed(.autoscalers), kind, reason: reason, message: message,
            component: "horizontal-pod-autoscaler")
    }
}
