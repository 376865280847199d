import Objects

/// How many replicas the use of a resource asks for. Pure.
///
/// Pods that tell nothing, or nothing that says much yet, are counted so that they hold a change back: as using what is
/// aimed at when less is to run, and as using nothing when more is.
/// See https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details.
struct ReplicaCalculator {
    /// What a pod, or one container of each, used.
    struct Sample: Equatable {
        /// Thousandths of the resource's unit.
        var value: Int64
        /// The end of the time in which it was measured.
        var time: Timestamp
        /// How long that was, in seconds.
        var window: Int64
    }

    struct Proposal: Equatable {
        var replicas: Int64
        /// Per cent of what was requested; nil where amounts were compared.
        var utilization: Int64?
        /// Thousandths per pod.
        var average: Int64
    }

    /// By how much use may differ from what is aimed at without a change: a part of one.
    struct Tolerance: Equatable {
        var up = 0.1
        var down = 0.1
        func covers(_ ratio: Double) -> Bool { ratio >= 1 - down && ratio <= 1 + up }
    }

    enum Failure: Error, Equatable, CustomStringConvertible {
        case noPods
        case noMetrics
        case missingRequest(resource: String, container: String, pod: String)
        case unreadableRequest(pod: String, message: String)

        var description: String {
            switch self {
            case .noPods: "no pods returned by selector while calculating replica count"
            case .noMetrics: "did not receive metrics for targeted pods (pods might be unready)"
            case .missingRequest(let resource, let container, let pod):
                "missing request for \(resource) in container \(container) of Pod \(pod)"
            case .unreadableRequest(let pod, let message): "a request of Pod \(pod) cannot be read: \(message)"
            }
        }
    }

    /// Seconds after its start in which a pod's use of CPU is not typical of it.
    static let initialization: Int64 = 300
    /// Seconds after its start in which a pod that is not ready has never been ready.
    static let readinessDelay: Int64 = 30

    let pods: [JSON]
    /// By the pods' names.
    let samples: [String: Sample]
    let resource: String
    /// Nil for the whole pod.
    let container: String?
    let current: Int64
    let tolerance: Tolerance
    let now: Timestamp
    /// Whether the resource is the nodes' CPU or memory; a metric of another name may be called so too.
    var isOfNodes = true

    private struct Groups {
        var measured: [String: Int64] = [:]
        var unready: [String] = []
        var missing: [String] = []
    }

    /// - Parameter target: per cent of what the pods request.
    func proposal(utilization target: Int64) throws(Failure) -> Proposal {
        let groups = try grouped()
        let requests = try requested()
        func use(_ values: [String: Int64]) -> Int64 {
            let total = values.keys.reduce(0) { $0 + (requests[$1] ?? 0) }
            return total > 0 ? values.values.reduce(0, +) * 100 / total : 0
        }
        let replicas = replicas(
            groups, ratio: { Double(use($0)) / Double(target) },
            fallback: { (requests[$0] ?? 0) * max(100, target) / 100 })
        return Proposal(
            replicas: replicas, utilization: use(groups.measured), average: Self.average(groups.measured))
    }

    /// - Parameter target: thousandths per pod.
    func proposal(average target: Int64) throws(Failure) -> Proposal {
        let groups = try grouped()
        let replicas = replicas(
            groups, ratio: { Double(Self.average($0)) / Double(target) }, fallback: { _ in target })
        return Proposal(replicas: replicas, utilization: nil, average: Self.average(groups.measured))
    }

    private static func average(_ values: [String: Int64]) -> Int64 {
        values.isEmpty ? 0 : values.values.reduce(0, +) / Int64(values.count)
    }

    private func replicas(
        _ groups: Groups, ratio: ([String: Int64]) -> Double, fallback: (_ pod: String) -> Int64
    ) -> Int64 {
        let first = ratio(groups.measured)
        let countsUnready = !groups.unready.isEmpty && first > 1
        if !countsUnready && groups.missing.isEmpty {
            if tolerance.covers(first) { return current }
            return Int64((first * Double(groups.measured.count)).rounded(.up))
        }
        var values = groups.measured
        if first < 1 {
            for pod in groups.missing { values[pod] = fallback(pod) }
        } else if first > 1 {
            for pod in groups.missing { values[pod] = 0 }
        }
        if countsUnready { for pod in groups.unready { values[pod] = 0 } }
        let second = ratio(values)
        if tolerance.covers(second) || (first < 1 && second > 1) || (first > 1 && second < 1) { return current }
        let replicas = Int64((second * Double(values.count)).rounded(.up))
        // What was assumed of pods that tell nothing may not turn the direction.
        if (second < 1 && replicas > current) || (second > 1 && replicas < current) { return current }
        return replicas
    }

    private func grouped() throws(Failure) -> Groups {
        if pods.isEmpty { throw .noPods }
        var groups = Groups()
        for pod in pods {
            let state = PodState(pod)
            if state.isTerminating || state.phase == "Failed" { continue }
            if state.phase == "Pending" {
                groups.unready.append(pod.name)
            } else if let sample = samples[pod.name] {
                if isOfNodes && resource == "cpu" && !isTypical(pod, sample) {
                    groups.unready.append(pod.name)
                } else {
                    groups.measured[pod.name] = sample.value
                }
            } else {
                groups.missing.append(pod.name)
            }
        }
        if groups.measured.isEmpty { throw .noMetrics }
        return groups
    }

    /// Whether a pod's use of CPU tells more than that it starts.
    private func isTypical(_ pod: JSON, _ sample: Sample) -> Bool {
        let ready = PodState(pod).condition("Ready")
        guard ready.exists, let start = pod["status"]["startTime"].timestamp else { return false }
        let isReady = ready["status"].stringValue != "False"
        let since = ready["lastTransitionTime"].timestamp ?? start
        if start.seconds + Self.initialization > now.seconds {
            return isReady && sample.time.seconds >= since.seconds + sample.window
        }
        return isReady || since.seconds > start.seconds + Self.readinessDelay
    }

    /// What each pod requests, thousandths; with a container named, that one alone.
    private func requested() throws(Failure) -> [String: Int64] {
        var requests: [String: Int64] = [:]
        for pod in pods {
            let sidecars = pod["spec"]["initContainers"].arrayValue.filter {
                $0["restartPolicy"].stringValue == "Always"
            }
            var sum: Int64 = 0
            for one in pod["spec"]["containers"].arrayValue + sidecars {
                let name = one["name"].stringValue ?? ""
                if let container, container != name { continue }
                let request = one["resources"]["requests"][resource]
                guard request.exists else {
                    throw .missingRequest(resource: resource, container: name, pod: pod.name)
                }
                do {
                    sum += try Quantity(request).milliValue
                } catch {
                    throw .unreadableRequest(pod: pod.name, message: error.description)
                }
            }
            requests[pod.name] = sum
        }
        return requests
    }
}
