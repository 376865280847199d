import Objects

/// What each metric of an autoscaler comes to: the size that it asks for, or why it asks for none. Pure.
struct MetricEvaluation {
    let autoscaler: JSON
    let pods: [JSON]
    /// Nil when nobody measures; `failure` says why.
    let usage: PodUsage?
    let failure: String
    let current: Int64
    let now: Timestamp

    var outcomes: [AutoscalerPlan.Outcome] {
        autoscaler["spec"]["metrics"].arrayValue.map(outcome)
    }

    private func outcome(_ metric: JSON) -> AutoscalerPlan.Outcome {
        let type = metric["type"].stringValue ?? ""
        switch type {
        case "Resource": return resource(metric["resource"], type, container: nil)
        case "ContainerResource":
            return resource(
                metric["containerResource"], type, container: metric["containerResource"]["container"].stringValue ?? ""
            )
        case "Pods", "Object", "External":
            let api = type == "External" ? "external.metrics.k8s.io" : "custom.metrics.k8s.io"
            let reason = ["Pods": "FailedGetPodsMetric", "Object": "FailedGetObjectMetric"][type]
            return .failure(
                reason: reason ?? "FailedGetExternalMetric",
                message: "the HPA was unable to compute the replica count: metrics of type \(type) come from "
                    + "\(api), which is not read; use Resource or ContainerResource")
        default:
            return .failure(reason: "InvalidMetricSourceType", message: "unknown metric source type \"\(type)\"")
        }
    }

    private func resource(_ source: JSON, _ type: String, container: String?) -> AutoscalerPlan.Outcome {
        let reason = container == nil ? "FailedGetResourceMetric" : "FailedGetContainerResourceMetric"
        let name = source["name"].stringValue ?? ""
        let target = source["target"]
        let kind = container == nil ? "resource" : "container resource"
        func failed(_ why: String) -> AutoscalerPlan.Outcome {
            .failure(
                reason: reason,
                message: "the HPA was unable to compute the replica count: failed to get \(name) "
                    + "\(target["averageUtilization"].exists ? "utilization" : "usage"): \(why)")
        }
        guard let usage else {
            return failed("unable to get metrics for resource \(name): \(failure)")
        }
        let calculator = ReplicaCalculator(
            pods: pods, samples: usage.samples(of: name, container: container), resource: name, container: container,
            current: current,
            tolerance: .init(up: ScalingRules.up(autoscaler).tolerance, down: ScalingRules.down(autoscaler).tolerance),
            now: now)
        do {
            let proposal: ReplicaCalculator.Proposal
            let label: String
            if let utilization = target["averageUtilization"].integerValue {
                proposal = try calculator.proposal(utilization: utilization)
                label = "\(name) \(kind) utilization (percentage of request)"
            } else {
                proposal = try calculator.proposal(average: try Quantity(target["averageValue"]).milliValue)
                label = "\(name) \(kind)"
            }
            return .proposal(
                replicas: proposal.replicas, name: label, status: status(type, name, container, proposal))
        } catch {
            return failed("\(error)")
        }
    }

    private func status(
        _ type: String, _ name: String, _ container: String?, _ proposal: ReplicaCalculator.Proposal
    ) -> JSON {
        var now: JSON = ["averageValue": .string(Quantity(milliValue: proposal.average).description)]
        if let utilization = proposal.utilization { now["averageUtilization"] = .integer(utilization) }
        var body: JSON = ["name": .string(name), "current": now]
        if let container { body["container"] = .string(container) }
        return ["type": .string(type), container == nil ? "resource" : "containerResource": body]
    }
}
