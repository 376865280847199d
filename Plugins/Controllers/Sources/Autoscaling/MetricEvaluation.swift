import Objects

/// What each metric of an autoscaler comes to: the size that it asks for, or why it asks for none. Pure.
struct MetricEvaluation {
    let autoscaler: JSON
    let pods: [JSON]
    /// Nil when nobody measures; `failure` says why.
    let usage: PodUsage?
    let failure: String
    /// Of the autoscaler's metrics in their order; nil for those that the nodes measure.
    var readings: [MetricReading?] = []
    let current: Int64
    /// How many pods the target says that it has.
    var present: Int64 = 0
    let now: Timestamp

    var outcomes: [AutoscalerPlan.Outcome] {
        autoscaler["spec"]["metrics"].arrayValue.enumerated().map { index, metric in
            outcome(metric, index < readings.count ? readings[index] : nil)
        }
    }

    private var tolerance: ReplicaCalculator.Tolerance {
        .init(up: ScalingRules.up(autoscaler).tolerance, down: ScalingRules.down(autoscaler).tolerance)
    }

    private func outcome(_ metric: JSON, _ reading: MetricReading?) -> AutoscalerPlan.Outcome {
        let type = metric["type"].stringValue ?? ""
        switch type {
        case "Resource": return resource(metric["resource"], type, container: nil)
        case "ContainerResource":
            return resource(
                metric["containerResource"], type, container: metric["containerResource"]["container"].stringValue ?? ""
            )
        case "Pods", "Object", "External": return measured(metric, type, reading ?? .failure("it was not read"))
        default:
            return .failure(reason: "InvalidMetricSourceType", message: "unknown metric source type \"\(type)\"")
        }
    }

    // MARK: What others measure

    private func measured(_ metric: JSON, _ type: String, _ reading: MetricReading) -> AutoscalerPlan.Outcome {
        let member = type.lowercased()
        let source = metric[member]
        let name = source["metric"]["name"].stringValue ?? ""
        let kind = type == "Object" ? source["describedObject"]["kind"].stringValue ?? "object" : member
        func failed(_ why: String) -> AutoscalerPlan.Outcome {
            .failure(
                reason: "FailedGet\(type)Metric",
                message: "the HPA was unable to compute the replica count: failed to get \(member) metric value: "
                    + "unable to get metric \(name): \(why)")
        }
        do {
            let (replicas, now) = try proposal(reading, target: source["target"], name)
            var body: JSON = ["metric": source["metric"], "current": now]
            if type == "Object" { body["describedObject"] = source["describedObject"] }
            return .proposal(
                replicas: replicas, name: "\(kind) metric \(name)",
                status: JSON.object(["type": .string(type)]).with(member, body))
        } catch let error as UnreadableMetric {
            return failed(error.reason)
        } catch {
            return failed("\(error)")
        }
    }

    private struct UnreadableMetric: Error { var reason: String }

    private func proposal(
        _ reading: MetricReading, target: JSON, _ name: String
    ) throws -> (replicas: Int64, current: JSON) {
        switch reading {
        case .failure(let reason): throw UnreadableMetric(reason: reason)
        case .pods(let samples):
            let calculator = ReplicaCalculator(
                pods: pods, samples: samples, resource: name, container: nil, current: current, tolerance: tolerance,
                now: now, isOfNodes: false)
            let proposal = try calculator.proposal(average: try Quantity(target["averageValue"]).milliValue)
            return (proposal.replicas, ["averageValue": .string(Quantity(milliValue: proposal.average).description)])
        case .value(let value):
            let demand = ValueDemand(value: value, pods: pods, current: current, present: present, tolerance: tolerance)
            if target["type"].stringValue == "AverageValue" {
                let average = demand.average
                return (
                    demand.replicas(averaging: try Quantity(target["averageValue"]).milliValue),
                    ["averageValue": .string(Quantity(milliValue: average).description)]
                )
            }
            return (
                demand.replicas(reaching: try Quantity(target["value"]).milliValue),
                ["value": .string(Quantity(milliValue: value).description)]
            )
        }
    }

    // MARK: What the nodes measure

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
            current: current, tolerance: tolerance, now: now)
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
