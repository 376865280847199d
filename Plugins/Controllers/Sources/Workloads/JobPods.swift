import Objects

/// The pods of a Job by what they mean to it.
struct JobPods {
    /// Neither ended nor asked to end.
    private(set) var active: [JSON] = []
    /// Asked to end, and not there yet.
    private(set) var terminating: [JSON] = []
    private(set) var succeeded: [JSON] = []
    /// Failed pods that count.
    private(set) var failed: [JSON] = []
    /// Failed pods that the Job's policy does not count.
    private(set) var ignored: [JSON] = []
    /// Of the terminating ones, those that count as failed already: the Job does not wait for their end.
    private(set) var lost: [JSON] = []
    /// Completion indexes that the policy gives up.
    private(set) var givenUp: Set<Int64> = []
    /// Why the policy ends the whole Job; nil when it does not.
    private(set) var jobFailure: String?
    /// Of an Indexed Job: pods beyond its indexes, of indexes that are completed, and second ones of an index.
    private(set) var superfluous: [JSON] = []

    init(_ job: JSON, pods: [JSON]) {
        let policy = PodFailurePolicy(job)
        let waitsForEnds = Self.waitsForEnds(job)
        for pod in pods.sorted(by: { ($0.creationTimestamp ?? "", $0.name) < ($1.creationTimestamp ?? "", $1.name) }) {
            let state = PodState(pod)
            switch state.phase {
            case "Succeeded": succeeded.append(pod)
            case "Failed": noteFailure(pod, policy.verdict(on: pod))
            default:
                guard state.isTerminating else {
                    active.append(pod)
                    continue
                }
                terminating.append(pod)
                if !waitsForEnds { lost.append(pod) }
            }
        }
    }

    /// Whether a pod that is being deleted is replaced, and counts, when it has ended and not before.
    static func waitsForEnds(_ job: JSON) -> Bool { job["spec"]["podReplacementPolicy"].stringValue == "Failed" }

    private mutating func noteFailure(_ pod: JSON, _ verdict: PodFailurePolicy.Verdict) {
        switch verdict {
        case .count: failed.append(pod)
        case .ignore: ignored.append(pod)
        case .failIndex:
            failed.append(pod)
            if let index = Self.index(pod) { givenUp.insert(index) }
        case .failJob(let message):
            failed.append(pod)
            if jobFailure == nil { jobFailure = message }
        }
    }

    /// Takes pods whose work is not asked for out of the active ones.
    mutating func keep(indexesBelow limit: Int64, completed: CompletionIndexes) {
        var seen: Set<Int64> = []
        var kept: [JSON] = []
        for pod in active {
            if let index = Self.index(pod), index < limit, !completed.contains(index), seen.insert(index).inserted {
                kept.append(pod)
            } else {
                superfluous.append(pod)
            }
        }
        active = kept
    }

    /// How often each index failed, of the pods that count: what the newest pod was told of those before it, and itself.
    var failuresByIndex: [Int64: Int64] {
        (failed + lost).reduce(into: [:]) { failures, pod in
            guard let index = Self.index(pod) else { return }
            let before = pod.annotations[JobPlan.failureCountAnnotation].stringValue.flatMap { Int64($0) }
            failures[index] = max((before ?? 0) + 1, (failures[index] ?? 0) + (before == nil ? 1 : 0))
        }
    }

    /// The newest pod that failed of each index: it tells the next one how often the index failed.
    var newestFailures: [Int64: JSON] {
        (failed + lost).reduce(into: [:]) { newest, pod in
            guard let index = Self.index(pod) else { return }
            if (newest[index]?.creationTimestamp ?? "") <= pod.creationTimestamp ?? "" { newest[index] = pod }
        }
    }

    static func index(_ pod: JSON) -> Int64? { Int64(pod.annotations[JobPlan.indexAnnotation].stringValue ?? "") }

    /// When a pod's containers ended, or its deletion was asked for.
    static func endTime(_ pod: JSON) -> Timestamp? {
        pod["status"]["containerStatuses"].arrayValue.compactMap { $0["state"]["terminated"]["finishedAt"].timestamp }
            .max()
            ?? pod.metadata["deletionTimestamp"].timestamp.map {
                $0.adding(seconds: -(pod.metadata["deletionGracePeriodSeconds"].integerValue ?? 0))
            }
            ?? PodState(pod).condition("Ready")["lastTransitionTime"].timestamp
            ?? pod["metadata"]["creationTimestamp"].timestamp
    }

    /// Seconds to wait after failures before another try: 10, 20, 40, … up to 600 since the last one; nil when it is time.
    /// A success in between makes the earlier ones forgotten.
    static func backoff(after failures: [JSON], successes: [JSON], now: Timestamp) -> Int64? {
        let forgotten = successes.compactMap(endTime).max()
        let ends = failures.compactMap(endTime).filter { end in forgotten.map { end > $0 } ?? true }
        guard let last = ends.max() else { return nil }
        let delay: Int64 = min(600, 10 << min(6, Int64(ends.count) - 1))
        let left = last.seconds + delay - now.seconds
        return left > 0 ? left : nil
    }

    /// Restarts in place, which use the back-off limit up where containers are restarted.
    var restarts: Int64 {
        active.reduce(0) { sum, pod in
            let status = pod["status"]
            let all = status["containerStatuses"].arrayValue + status["initContainerStatuses"].arrayValue
            return all.reduce(sum) { $0 + ($1["restartCount"].integerValue ?? 0) }
        }
    }
}
