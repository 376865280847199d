import Objects

/// What one look at a Job and its pods asks for.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/job/.
struct JobPlan {
    /// Completion indexes of the pods to create; nil for a pod without index.
    var create: [Int64?] = []
    var delete: [JSON] = []
    var status: JSON = .null
    /// The Job ended now: "Completed" or the reason of its failure, with a message for the event.
    var ended: (reason: String, message: String)?
    /// It was suspended or resumed now.
    var turned: (reason: String, message: String)?
    /// Seconds until the Job must be looked at again; nil when nothing waits on time.
    var recheckAfter: Int64?
    /// The Job's time after its end is over.
    var isExpired = false

    static let indexAnnotation = "batch.kubernetes.io/job-completion-index"
    static let failureCountAnnotation = "batch.kubernetes.io/job-index-failure-count"
    static let indexVariable = "JOB_COMPLETION_INDEX"
    static let manager = "kubernetes.io/job-controller"

    let job: JSON
    let now: Timestamp
    private(set) var pods: JobPods
    private(set) var tracking: JobTracking
    /// Pods that run and are not tracked: made by hand, or by a version that did not track them.
    private(set) var untracked: [JSON] = []
    private(set) var completed = CompletionIndexes()
    private(set) var failedIndexes = CompletionIndexes()
    let isIndexed: Bool

    init(_ job: JSON, pods: [JSON], now: Timestamp) {
        self.job = job
        self.now = now
        self.pods = JobPods(job, pods: pods)
        tracking = JobTracking(job["status"], pods: pods)
        isIndexed = job["spec"]["completionMode"].stringValue == "Indexed"
        status = job["status"]
        if isIndexed { countIndexes() }
        if let end = JobPlan.end(of: job) {
            for pod in pods { tracking.letGo(pod) }
            expire(after: end)
            return
        }
        countPods()
        decide()
        untracked = self.pods.active.filter { !JobTracking.isTracked($0) && !deletes($0) }
    }

    /// Of the pods to delete, those that do not count: they are to be tracked no more when they go.
    var discarded: [JSON] { delete.filter { JobTracking.isTracked($0) && !tracking.counts($0) } }

    private func deletes(_ pod: JSON) -> Bool { delete.contains { $0.uid == pod.uid } }

    /// When a Job reached its final condition; nil while it runs.
    static func end(of job: JSON) -> Timestamp? {
        for type in ["Complete", "Failed"] {
            let condition = job["status"]["conditions"].condition(type)
            if condition["status"].stringValue == "True" { return condition["lastTransitionTime"].timestamp ?? .now() }
        }
        return nil
    }

    /// Whether this controller is the one that runs the Job.
    static func isManaged(_ job: JSON) -> Bool {
        let manager = job["spec"]["managedBy"].stringValue ?? ""
        return manager.isEmpty || manager == Self.manager
    }

    private mutating func expire(after end: Timestamp) {
        delete = pods.active + pods.superfluous
        guard let lifetime = job["spec"]["ttlSecondsAfterFinished"].integerValue else { return }
        let left = end.seconds + lifetime - now.seconds
        isExpired = left <= 0
        if left > 0 { recheckAfter = left }
    }

    private var parallelism: Int64 { job["spec"]["parallelism"].integerValue ?? 1 }
    private var completions: Int64? { job["spec"]["completions"].integerValue }
    private var limitPerIndex: Int64? { job["spec"]["backoffLimitPerIndex"].integerValue }

    /// What the status says of indexes stays true when their pods are gone.
    private mutating func countIndexes() {
        let limit = completions ?? 0
        completed = CompletionIndexes(parsing: status["completedIndexes"].stringValue ?? "", below: limit)
        completed.formUnion(pods.succeeded.compactMap(JobPods.index).filter { $0 < limit })
        pods.keep(indexesBelow: limit, completed: completed)
        guard let limitPerIndex else { return }
        failedIndexes = CompletionIndexes(parsing: status["failedIndexes"].stringValue ?? "", below: limit)
        let exhausted = pods.failuresByIndex.filter { $0.value > limitPerIndex }.map(\.key)
        let lost = pods.givenUp.union(exhausted).filter { $0 < limit && !completed.contains($0) }
        failedIndexes.formUnion(lost)
    }

    /// Counts the pods that ended, or that count as if they had.
    private mutating func countPods() {
        for pod in pods.succeeded { if isIndexed { tracking.letGo(pod) } else { tracking.countSuccess(pod) } }
        for pod in pods.ignored { tracking.letGo(pod) }
        let kept = Set(keptForNextTry.map(\.uid))
        for pod in pods.failed + pods.lost where !kept.contains(pod.uid) { tracking.countFailure(pod) }
    }

    /// Where indexes are limited: the newest failure of each index that is tried again and has no pod yet.
    var keptForNextTry: [JSON] {
        guard limitPerIndex != nil, !isEnding else { return [] }
        let running = Set(pods.active.compactMap(JobPods.index))
        return pods.newestFailures.filter { index, pod in
            JobTracking.isTracked(pod) && !tracking.counts(pod) && !running.contains(index)
                && !completed.contains(index) && !failedIndexes.contains(index)
                && index < completions ?? 0
        }.map(\.value)
    }

    private var isEnding: Bool {
        ["FailureTarget", "SuccessCriteriaMet"].contains {
            job["status"]["conditions"].condition($0)["status"].stringValue == "True"
        }
    }

    /// What counts towards completions: pods, or different indexes.
    var done: Int64 { isIndexed ? completed.count : tracking.allSuccesses }

    private var failures: Int64 { tracking.allFailures + Int64(keptForNextTry.count) }

    private mutating func decide() {
        let isSuspended = job["spec"]["suspend"].boolValue ?? false
        delete = pods.superfluous
        if let ending = ending(isSuspended) {
            delete += pods.active
            for pod in pods.active + pods.terminating {
                if ending.isFailure { tracking.countFailure(pod) } else { tracking.letGo(pod) }
            }
            end(ending)
        } else if isSuspended {
            delete += pods.active
            suspend()
        } else {
            resume()
            fill()
        }
        count()
    }

    // MARK: Its end

    struct Ending: Equatable {
        var isFailure: Bool
        var reason: String
        var message: String
    }

    /// How the Job is to end; nil while it goes on. What was decided once stays decided.
    private func ending(_ isSuspended: Bool) -> Ending? {
        for (type, isFailure) in [("FailureTarget", true), ("SuccessCriteriaMet", false)] {
            let condition = job["status"]["conditions"].condition(type)
            if condition["status"].stringValue == "True" {
                return Ending(
                    isFailure: isFailure, reason: condition["reason"].stringValue ?? "",
                    message: condition["message"].stringValue ?? "")
            }
        }
        if let (reason, message) = failure(isSuspended) {
            return Ending(isFailure: true, reason: reason, message: message)
        }
        if isIndexed, let rule = SuccessPolicy.match(job, completed: completed) {
            return Ending(isFailure: false, reason: "SuccessPolicy", message: "Matched rules at index \(rule)")
        }
        guard isComplete else { return nil }
        return Ending(
            isFailure: false, reason: "CompletionsReached", message: "Reached expected number of succeeded pods")
    }

    private func failure(_ isSuspended: Bool) -> (reason: String, message: String)? {
        if let message = pods.jobFailure { return ("PodFailurePolicy", message) }
        let limit = job["spec"]["backoffLimit"].integerValue ?? 6
        if failures > limit || restartsExceed(limit) {
            return ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        }
        if !isSuspended, let deadline = job["spec"]["activeDeadlineSeconds"].integerValue,
            let start = job["status"]["startTime"].timestamp, start.seconds + deadline <= now.seconds
        {
            return ("DeadlineExceeded", "Job was active longer than specified deadline")
        }
        guard limitPerIndex != nil else { return nil }
        if let most = job["spec"]["maxFailedIndexes"].integerValue, failedIndexes.count > most {
            return (
                "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
            )
        }
        if !failedIndexes.isEmpty, completed.count + failedIndexes.count >= completions ?? 0 {
            return ("FailedIndexes", "Job has failed indexes")
        }
        return nil
    }

    /// Containers that are restarted in place use the limit up as well.
    private func restartsExceed(_ limit: Int64) -> Bool {
        guard job["spec"]["template"]["spec"]["restartPolicy"].stringValue == "OnFailure" else { return false }
        return limit == 0 ? pods.restarts > 0 : pods.restarts >= limit
    }

    private var isComplete: Bool {
        if let completions { return done >= completions }
        // A work queue is done when one pod succeeded and all have ended.
        return done > 0 && pods.active.isEmpty && pods.terminating.isEmpty
    }

    // MARK: Its pods

    /// Creates what is missing, after a pause that doubles with each failure.
    private mutating func fill() {
        let active = Int64(pods.active.count)
        var wanted = parallelism
        if let completions { wanted = min(wanted, completions - done - failedIndexes.count) }
        if completions == nil && done > 0 { wanted = min(active, parallelism) }
        if active > wanted {
            delete += PodDeletionOrder.choose(
                Int(active - max(0, wanted)), of: pods.active, related: pods.active, now: now)
            return
        }
        let waitsForEnds = JobPods.waitsForEnds(job)
        let missing = wanted - active - (waitsForEnds ? Int64(pods.terminating.count) : 0)
        guard missing > 0 else { return }
        if limitPerIndex == nil, let wait = backoff(pods.failed + pods.lost + pods.ignored, pods.succeeded) {
            recheck(after: wait)
            return
        }
        guard isIndexed else {
            create = Array(repeating: nil, count: Int(missing))
            return
        }
        fillIndexes(Int(missing), occupied: pods.active + (waitsForEnds ? pods.terminating : []))
    }

    private mutating func fillIndexes(_ missing: Int, occupied: [JSON]) {
        let taken = Set(occupied.compactMap(JobPods.index))
        let failures = Dictionary(grouping: pods.failed + pods.lost + pods.ignored) { JobPods.index($0) ?? -1 }
        for index in 0..<(completions ?? 0) where create.count < missing {
            if taken.contains(index) || completed.contains(index) || failedIndexes.contains(index) { continue }
            if limitPerIndex != nil, let wait = backoff(failures[index] ?? [], []) {
                recheck(after: wait)
                continue
            }
            create.append(index)
        }
    }

    private func backoff(_ failures: [JSON], _ successes: [JSON]) -> Int64? {
        JobPods.backoff(after: failures, successes: successes, now: now)
    }

    private mutating func recheck(after seconds: Int64) { recheckAfter = min(recheckAfter ?? .max, seconds) }

    /// What a new pod of an index is told of the failures before it; nil where indexes are not limited.
    func failureCount(_ index: Int64) -> Int64? {
        limitPerIndex == nil ? nil : pods.failuresByIndex[index] ?? 0
    }
}
