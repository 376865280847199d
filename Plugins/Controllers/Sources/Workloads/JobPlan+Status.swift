import Objects

/// Conditions, times and counts of a Job.
extension JobPlan {
    /// Says first that the Job is to end and how; and that it has ended when its last pod is gone and
    /// all are counted.
    mutating func end(_ ending: Ending) {
        let (target, final) = ending.isFailure ? ("FailureTarget", "Failed") : ("SuccessCriteriaMet", "Complete")
        let time = JSON.string(now.formatted(fraction: .none))
        if !status["startTime"].exists { status["startTime"] = time }
        set(target, "True", ending.reason, ending.message)
        guard pods.active.isEmpty, pods.terminating.isEmpty, pods.superfluous.isEmpty, tracking.isSettled,
            keptForNextTry.isEmpty
        else { return }
        set(final, "True", ending.reason, ending.message)
        if !ending.isFailure { status["completionTime"] = time }
        ended = ending.isFailure ? (ending.reason, ending.message) : ("Completed", "Job completed")
    }

    /// It starts anew when it is resumed: only while it is suspended can the time of its start be taken away.
    mutating func suspend() {
        guard set("Suspended", "True", "JobSuspended", "Job suspended") else { return }
        status.removeValue(forKey: "startTime")
        turned = ("Suspended", "Job suspended")
    }

    mutating func resume() {
        if !status["startTime"].exists { status["startTime"] = .string(now.formatted(fraction: .none)) }
        if status["conditions"].condition("Suspended")["status"].stringValue == "True",
            set("Suspended", "False", "JobResumed", "Job resumed")
        {
            turned = ("Resumed", "Job resumed")
        }
        if let deadline = job["spec"]["activeDeadlineSeconds"].integerValue, let start = status["startTime"].timestamp {
            recheckAfter = max(1, start.seconds + deadline - now.seconds)
        }
    }

    /// False when the condition says so already.
    @discardableResult
    private mutating func set(_ type: String, _ value: JSON, _ reason: String, _ message: String) -> Bool {
        var conditions = status["conditions"]
        if conditions.condition(type)["status"] == value { return false }
        let time = JSON.string(now.formatted(fraction: .none))
        conditions.setCondition([
            "type": .string(type), "status": value, "reason": .string(reason), "message": .string(message),
            "lastProbeTime": time, "lastTransitionTime": time,
        ])
        status["conditions"] = conditions
        return true
    }

    mutating func count() {
        let deleted = Set(delete.map(\.uid))
        let going = pods.active.count { deleted.contains($0.uid) } + pods.superfluous.count
        set("active", Int64(pods.active.count + pods.superfluous.count - going))
        set("succeeded", isIndexed ? done : tracking.succeeded)
        set("failed", tracking.failed)
        status["terminating"] = .integer(Int64(pods.terminating.count + going))
        status["ready"] = .integer(
            Int64(pods.active.count { PodState($0).isReady && !deleted.contains($0.uid) }))
        status["uncountedTerminatedPods"] = tracking.uncounted
        guard isIndexed else { return }
        if !completed.isEmpty { status["completedIndexes"] = .string(completed.text) }
        if job["spec"]["backoffLimitPerIndex"].exists { status["failedIndexes"] = .string(failedIndexes.text) }
    }

    private mutating func set(_ member: String, _ count: Int64) {
        if count > 0 { status[member] = .integer(count) } else { status.removeValue(forKey: member) }
    }
}
