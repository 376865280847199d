import Objects
import PluginKit

/// Counts the pods of PodDisruptionBudgets, so that evictions know how many may go, and takes back what was said of pods
/// that were about to go and did not.
final class DisruptionController: Controller {
    private static let component = "disruption-controller"

    private let cluster: Cluster
    private let scales: OwnerScales
    private let budgets: ControllerQueue
    private let targets: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        scales = OwnerScales(
            replicaSets: { cluster.replicaSets.get($0, $1) }, deployments: { cluster.deployments.get($0, $1) },
            statefulSets: { cluster.statefulSets.get($0, $1) },
            get: { try cluster.writer.api.request("GET", $0) })
        let box = Unowned<DisruptionController>()
        budgets = try cluster.queue("disruption", workers: 1) { try box.value?.syncBudget($0) ?? .done }
        targets = try cluster.queue("disruption-targets", workers: 1) { try box.value?.syncTarget($0) ?? .done }
        box.value = self
        cluster.disruptionBudgets.onObject { [budgets] in budgets.add(objectKey($0)) }
        cluster.pods.onEvent { [unowned self] in podEvent($0) }
        for cache in [cluster.deployments, cluster.replicaSets, cluster.statefulSets] {
            cache.onEvent { [unowned self] event in
                guard case .updated(let old, let new) = event, old["spec"]["replicas"] != new["spec"]["replicas"] else {
                    return
                }
                for budget in cluster.disruptionBudgets.list(new.namespace) { budgets.add(objectKey(budget)) }
            }
        }
    }

    func start() {
        budgets.open()
        targets.open()
    }

    func stop() {
        budgets.stop()
        targets.stop()
    }

    private func podEvent(_ event: InformerEvent) {
        switch event {
        case .added(let pod):
            addBudgets(covering: [pod])
            addTarget(pod)
        case .deleted(let pod): addBudgets(covering: [pod])
        case .updated(let old, let new):
            if Self.counts(old, asIn: new) { return addTarget(new) }
            addBudgets(covering: old.labels == new.labels ? [new] : [old, new])
            addTarget(new)
        case .synchronized: break
        }
    }

    /// Whether a changed pod means the same to every budget.
    private static func counts(_ old: JSON, asIn new: JSON) -> Bool {
        old.labels == new.labels && PodState(old).isReady == PodState(new).isReady
            && PodState(old).isTerminating == PodState(new).isTerminating
            && ControllerReference(controlling: old) == ControllerReference(controlling: new)
    }

    private func addBudgets(covering pods: [JSON]) {
        guard let namespace = pods.first?.namespace else { return }
        for budget in cluster.disruptionBudgets.list(namespace)
        where pods.contains(where: { budget.selects($0.labels) }) {
            budgets.add(objectKey(budget))
        }
    }

    private func addTarget(_ pod: JSON) {
        if StaleDisruption.judge(pod, now: .now()) != .none { targets.add(objectKey(pod)) }
    }

    private func syncBudget(_ key: String) throws -> Requeue {
        guard let budget = cluster.disruptionBudgets.get(key: key), budget.deletionTimestamp == nil else {
            return .done
        }
        let pods = cluster.pods.list(budget.namespace).filter { budget.selects($0.labels) }
        do {
            var unmanaged: [String] = []
            let expectation = try DisruptionPlan.expectation(of: budget, pods: pods) {
                let total = try OwnerScales.total(of: pods, lookup: scales.scale)
                unmanaged = total.unmanaged
                return total.replicas
            }
            return try write(budget, pods, expectation, unmanaged)
        } catch let error as APIError {
            // The API was not able to answer, or the budget has changed meanwhile: neither says anything of the budget.
            throw error
        } catch let error as PluginError {
            throw error
        } catch {
            let status = DisruptionPlan.failed(budget, "\(error)", now: .now())
            if status != budget["status"] {
                record(
                    budget, .warning, "CalculateExpectedPodCountFailed",
                    "Cannot tell how many pods there should be: \(error)")
                try cluster.writer.updateStatus(.disruptionBudgets, budget, status: status)
            }
            throw error
        }
    }

    private func write(
        _ budget: JSON, _ pods: [JSON], _ expectation: DisruptionPlan.Expectation, _ unmanaged: [String]
    ) throws -> Requeue {
        let plan = DisruptionPlan(budget, pods: pods, expectation: expectation, now: .now())
        if plan.status != budget["status"] {
            try cluster.writer.updateStatus(.disruptionBudgets, budget, status: plan.status)
            if pods.isEmpty { record(budget, .normal, "NoPods", "No matching pods found") }
            if !unmanaged.isEmpty {
                record(
                    budget, .warning, "UnmanagedPods",
                    "Pods without a controller do not count for this budget: \(unmanaged.joined(separator: ", ")). "
                        + "Set spec.minAvailable to a number, which counts all pods.")
            }
            for pod in plan.overdue {
                cluster.recorder.record(
                    pod.typed(.pods), .warning, reason: "NotDeleted",
                    message: "The eviction that budget \(objectKey(budget)) granted was not followed by a deletion",
                    component: Self.component)
            }
        }
        return .afterSeconds(plan.recheckAfter)
    }

    private func syncTarget(_ key: String) throws -> Requeue {
        guard let pod = cluster.pods.get(key: key) else { return .done }
        switch StaleDisruption.judge(pod, now: .now()) {
        case .none: return .done
        case .pending(let seconds): return .afterSeconds(seconds)
        case .stale:
            try cluster.writer.updateStatus(.pods, pod, status: StaleDisruption.cleared(pod, now: .now()))
            return .done
        }
    }

    private func record(_ budget: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(
            budget.typed(.disruptionBudgets), kind, reason: reason, message: message, component: Self.component)
    }
}
