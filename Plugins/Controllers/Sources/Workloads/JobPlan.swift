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
    /// Seconds until the Job must be looked at again; nil when nothing waits on time.
    var recheckAfter: Int64?
    /// The Job's time after its end is over.
    var isExpired = false

    static let indexAnnotation = "batch.kubernetes.io/job-completion-index"

    private let job: JSON
    private let now: Timestamp
    private let active: [JSON]
    private let succeeded: [JSON]
    private let failed: [JSON]
    private let isIndexed: Bool

    init(_ job: JSON, pods: [JSON], now: Timestamp) {
        self.job = job
        self.now = now
        active = pods.filter { !PodState($0).isFinished && !PodState($0).isTerminating }
        succeeded = pods.filter { PodState($0).phase == "Succeeded" }
        failed = pods.filter { PodState($0).phase == "Failed" }
        isIndexed = job["spec"]["completionMode"].stringValue == "Indexed"
        status = job["status"]
        if let end = JobPlan.end(of: job) {
            expire(after: end)
            return
        }
        decide()
    }

    /// When a Job reached its final condition; nil while it runs.
    static func end(of job: JSON) -> Timestamp? {
        for type in ["Complete", "Failed"] {
            let condition = job["status"]["conditions"].condition(type)
            if condition["status"].stringValue == "True" { return condition["lastTransitionTime"].timestamp ?? .now() }
        }
        return nil
    }

    private mutating func expire(after end: Timestamp) {
        delete = active
        guard let lifetime = job["spec"]["ttlSecondsAfterFinished"].integerValue else { return }
        let left = end.seconds + lifetime - now.seconds
        isExpired = left <= 0
        if left > 0 { recheckAfter = left }
    }

    private var parallelism: Int64 { job["spec"]["parallelism"].integerValue ?? 1 }
    private var completions: Int64? { job["spec"]["completions"].integerValue }

    private func index(_ pod: JSON) -> Int64? { Int64(pod.annotations[Self.indexAnnotation].stringValue ?? "") }

    /// What counts towards completions: pods, or different indexes.
    private var done: Int64 {
        isIndexed ? Int64(Set(succeeded.compactMap(index)).count) : Int64(succeeded.count)
    }

    /// Failures that use the back-off limit up: ended pods, and restarts of those that go on in place.
    private var failures: Int64 {
        let restartsInPlace = job["spec"]["template"]["spec"]["restartPolicy"].stringValue == "OnFailure"
        return Int64(failed.count) + (restartsInPlace ? active.reduce(0) { $0 + PodState($1).restarts } : 0)
    }

    private mutating func decide() {
        let isSuspended = job["spec"]["suspend"].boolValue ?? false
        if let failure = failure(isSuspended) {
            delete = active
            finish("Failed", failure.reason, failure.message)
        } else if isComplete {
            delete = active
            finish("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
            ended = ("Completed", "Job completed")
        } else if isSuspended {
            delete = active
            suspend()
        } else {
            resume()
            fill()
        }
        count()
    }

    private func failure(_ isSuspended: Bool) -> (reason: String, message: String)? {
        let limit = job["spec"]["backoffLimit"].integerValue ?? 6
        if failures > limit { return ("BackoffLimitExceeded", "Job has reached the specified backoff limit") }
        guard !isSuspended, let deadline = job["spec"]["activeDeadlineSeconds"].integerValue,
            let start = job["status"]["startTime"].timestamp, start.seconds + deadline <= now.seconds
        else { return nil }
        return ("DeadlineExceeded", "Job was active longer than specified deadline")
    }

    private var isComplete: Bool {
        if let completions { return done >= completions }
        // A work queue is done when one pod succeeded and all have ended.
        return !succeeded.isEmpty && active.isEmpty
    }

    private mutating func finish(_ type: String, _ reason: String, _ message: String) {
        var conditions = status["conditions"]
        let time = JSON.string(now.formatted(fraction: .none))
        conditions.setCondition([
            "type": .string(type), "status": "True", "reason": .string(reason), "message": .string(message),
            "lastProbeTime": time, "lastTransitionTime": time,
        ])
        status["conditions"] = conditions
        if type == "Complete" { status["completionTime"] = time }
        if !status["startTime"].exists { status["startTime"] = time }
        ended = (reason, message)
    }

    private mutating func suspend() {
        status.removeValue(forKey: "startTime")
        setSuspended("True", "JobSuspended", "Job suspended")
    }

    private mutating func resume() {
        if !status["startTime"].exists { status["startTime"] = .string(now.formatted(fraction: .none)) }
        if status["conditions"].condition("Suspended")["status"].stringValue == "True" {
            setSuspended("False", "JobResumed", "Job resumed")
        }
        if let deadline = job["spec"]["activeDeadlineSeconds"].integerValue, let start = status["startTime"].timestamp {
            recheckAfter = max(1, start.seconds + deadline - now.seconds)
        }
    }

    private mutating func setSuspended(_ value: JSON, _ reason: JSON, _ message: JSON) {
        var conditions = status["conditions"]
        if conditions.condition("Suspended")["status"] == value { return }
        let time = JSON.string(now.formatted(fraction: .none))
        conditions.setCondition([
            "type": "Suspended", "status": value, "reason": reason, "message": message, "lastProbeTime": time,
            "lastTransitionTime": time,
        ])
        status["conditions"] = conditions
    }

    /// Creates what is missing, after a pause that doubles with each failure.
    private mutating func fill() {
        var wanted = parallelism
        if let completions { wanted = min(wanted, completions - done) }
        if completions == nil && !succeeded.isEmpty { wanted = Int64(active.count) }
        let surplus = Int64(active.count) - wanted
        if surplus > 0 {
            delete = PodDeletionOrder.choose(Int(surplus), of: active, related: active, now: now)
            return
        }
        guard surplus < 0 else { return }
        if let wait = backoff {
            recheckAfter = min(recheckAfter ?? .max, wait)
            return
        }
        if isIndexed {
            let taken = Set((succeeded + active).compactMap(index))
            create = (0..<(completions ?? 0)).lazy.filter { !taken.contains($0) }.prefix(Int(-surplus)).map {
                Optional($0)
            }
        } else {
            create = Array(repeating: nil, count: Int(-surplus))
        }
    }

    /// Seconds to wait since the last failure: 10, 20, 40, … up to 600; nil when it is time.
    private var backoff: Int64? {
        guard !failed.isEmpty else { return nil }
        let last = failed.compactMap(JobPlan.endTime).max() ?? now
        let delay: Int64 = min(600, 10 << min(6, Int64(failed.count) - 1))
        let left = last.seconds + delay - now.seconds
        return left > 0 ? left : nil
    }

    private static func endTime(_ pod: JSON) -> Timestamp? {
        pod["status"]["containerStatuses"].arrayValue.compactMap { $0["state"]["terminated"]["finishedAt"].timestamp }
            .max()
            ?? PodState(pod).condition("Ready")["lastTransitionTime"].timestamp
            ?? pod["metadata"]["creationTimestamp"].timestamp
    }

    private mutating func count() {
        let remaining = active.count - delete.count
        set("active", remaining)
        set("succeeded", Int(done))
        set("failed", failed.count)
        status["ready"] = .integer(Int64(ended == nil ? active.count { PodState($0).isReady } : 0))
        status["uncountedTerminatedPods"] = [:]
        if isIndexed {
            let text = JobPlan.ranges(Set(succeeded.compactMap(index)).sorted())
            if !text.isEmpty { status["completedIndexes"] = .string(text) }
        }
    }

    private mutating func set(_ member: String, _ count: Int) {
        if count > 0 { status[member] = .integer(Int64(count)) } else { status.removeValue(forKey: member) }
    }

    /// Sorted numbers as Kubernetes writes them: "1,3-5".
    static func ranges(_ numbers: [Int64]) -> String {
        var parts: [String] = []
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count && numbers[end + 1] == numbers[end] + 1 { end += 1 }
            parts.append(end == index ? "\(numbers[index])" : "\(numbers[index])-\(numbers[end])")
            index = end + 1
        }
        return parts.joined(separator: ",")
    }
}
