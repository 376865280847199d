import Objects

/// Rules of a Job's status, which is strict about what a controller of another make may say of a Job: it is judged where it
/// changes.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/job/#delegation-of-managing-a-job-object-to-external-controller.
struct JobStatusValidation {
    private let (old, new): (JSON, JSON)
    private let status: JSON
    private var errors: [FieldError] = []

    static func errors(from old: JSON, to new: JSON) -> [FieldError] {
        var validation = JobStatusValidation(old: old, new: new)
        validation.checkNumbers()
        validation.checkPods()
        validation.checkConditions()
        validation.checkTimes()
        validation.checkFinish()
        validation.checkIndexes()
        validation.checkProgress()
        return validation.errors
    }

    private init(old: JSON, new: JSON) {
        (self.old, self.new) = (old, new)
        status = new["status"]
    }

    private func has(_ type: String, _ job: JSON) -> Bool {
        job["status"]["conditions"].arrayValue.contains { $0["type"].stringValue == type && $0["status"] == "True" }
    }

    private func number(_ field: String, _ job: JSON) -> Int64 { job["status"][field].integerValue ?? 0 }

    /// Whether the two differ in a field of the status, where 0 and what is empty count as absent; not for indexes that have
    /// failed, where it is told whether there can be any.
    private func changes(_ field: String) -> Bool {
        let (before, after) = (old["status"][field], status[field])
        return before != after && (field == "failedIndexes" || !(Self.isUnset(before) && Self.isUnset(after)))
    }

    private static func isUnset(_ value: JSON) -> Bool { value.isEmpty || value == 0 }

    private mutating func add(_ field: String, _ detail: String) { errors.append(.invalid("status.\(field)", detail)) }
    private mutating func addValue(_ field: String, _ detail: String) {
        errors.append(.invalid("status.\(field)", status[field], detail))
    }

    private mutating func checkNumbers() {
        for field in ["active", "succeeded", "failed", "ready", "terminating"] {
            errors += FieldError.negative("status.\(field)", status[field])
        }
        guard changes("ready") || changes("active") else { return }
        if let ready = status["ready"].integerValue, ready > number("active", new) {
            addValue("ready", "cannot set more ready pods than active")
        }
    }

    private mutating func checkPods() {
        var seen: Set<JSON> = []
        for list in ["succeeded", "failed"] {
            for (index, uid) in status["uncountedTerminatedPods"][list].arrayValue.enumerated() {
                let place = "status.uncountedTerminatedPods.\(list)[\(index)]"
                if uid.isEmpty {
                    errors.append(.invalid(place, uid, "must not be empty"))
                } else if !seen.insert(uid).inserted {
                    errors.append(.duplicate(place, uid))
                }
            }
        }
    }

    private mutating func checkConditions() {
        let isComplete = has("Complete", new)
        let isFailed = has("Failed", new)
        let meetsCriteria = has("SuccessCriteriaMet", new)
        let isToFail = has("FailureTarget", new)
        let completes = has("Complete", old) != isComplete
        let fails = has("Failed", old) != isFailed
        let changesTarget = has("FailureTarget", old) != isToFail
        let changesCriteria = has("SuccessCriteriaMet", old) != meetsCriteria
        if completes || fails, isComplete, isFailed {
            add("conditions", "cannot set Complete=True and Failed=true conditions")
        }
        if completes || changesTarget, isComplete, isToFail {
            add("conditions", "cannot set Complete=True and FailureTarget=true conditions")
        }
        if fails || changesTarget, isFailed, !isToFail {
            add("conditions", "cannot set Failed=True condition without the FailureTarget=true condition")
        }
        if completes || changesCriteria, isComplete, !meetsCriteria {
            add("conditions", "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
        }
        if meetsCriteria, isFailed {
            add("conditions", "cannot set SuccessCriteriaMet=True and Failed=true conditions")
        }
        if meetsCriteria, isToFail {
            add("conditions", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
        }
        if new["spec"]["successPolicy"].exists, isComplete, !meetsCriteria {
            add(
                "conditions", "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
        }
        for type in ["Failed", "Complete", "FailureTarget"] where has(type, old) && !has(type, new) {
            add("conditions", "cannot disable the terminal \(type)=True condition")
        }
        if has("SuccessCriteriaMet", old), !meetsCriteria {
            add("conditions", "cannot disable the SuccessCriteriaMet=True condition")
        }
        if has("Complete", old), !has("SuccessCriteriaMet", old), meetsCriteria {
            add(
                "conditions",
                "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
        }
    }

    private mutating func checkTimes() {
        let isComplete = has("Complete", new)
        let (start, end) = (status["startTime"], status["completionTime"])
        if has("Complete", old) != isComplete || changes("completionTime") {
            if end.exists, !isComplete {
                addValue("completionTime", "cannot set completionTime when there is no Complete=True condition")
            }
            if end.isNull, isComplete {
                errors.append(.required("status.completionTime", "completionTime is required for Complete jobs"))
            }
        }
        if changes("startTime") || changes("completionTime"), let start = Self.time(start), let end = Self.time(end),
            end < start
        {
            addValue("completionTime", "completionTime cannot be set before startTime")
        }
        let before = old["status"]
        if end.exists, before["completionTime"].exists, changes("completionTime") {
            addValue("completionTime", "completionTime cannot be mutated")
        }
        if before["startTime"].exists, changes("startTime"), new["spec"]["suspend"].boolValue != true {
            errors.append(.required("status.startTime", "startTime cannot be removed for unsuspended job"))
        }
    }

    /// Nil for an absent time, and for what is none: its type is checked elsewhere.
    private static func time(_ value: JSON) -> Timestamp? { value.stringValue.flatMap { try? Timestamp(parsing: $0) } }

    private mutating func checkFinish() {
        let isFinished = has("Complete", new) || has("Failed", new)
        let finishes = isFinished && !(has("Complete", old) || has("Failed", old))
        guard isFinished else { return }
        if finishes || changes("active"), number("active", new) > 0 {
            addValue("active", "active>0 is invalid for finished job")
        }
        if finishes || changes("startTime"), status["startTime"].isNull {
            errors.append(.required("status.startTime", "startTime is required for finished job"))
        }
        let uncounted = status["uncountedTerminatedPods"]
        if finishes || changes("uncountedTerminatedPods"),
            !uncounted["succeeded"].isEmpty || !uncounted["failed"].isEmpty
        {
            addValue(
                "uncountedTerminatedPods", "uncountedTerminatedPods needs to be empty for finished job")
        }
        if finishes || changes("terminating"), number("terminating", new) > 0 {
            addValue("terminating", "terminating>0 is invalid for finished job")
        }
    }

    private mutating func checkIndexes() {
        let spec = new["spec"]
        let isIndexed = spec["completionMode"] == "Indexed"
        let limit = spec["completions"].integerValue
        let completed = indexes("completedIndexes", limit)
        let failed = spec["backoffLimitPerIndex"].exists ? indexes("failedIndexes", limit) : nil
        if changes("completedIndexes"), !status["completedIndexes"].isEmpty, !isIndexed {
            addValue("completedIndexes", "cannot set non-empty completedIndexes when non-indexed completion mode")
        }
        if changes("failedIndexes"), status["failedIndexes"].exists, spec["backoffLimitPerIndex"].isNull {
            addValue("failedIndexes", "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
        }
        guard changes("failedIndexes") || changes("completedIndexes"), let completed, let failed,
            let shared = completed.firstShared(with: failed)
        else { return }
        addValue("failedIndexes", "failedIndexes and completedIndexes overlap at index: \(shared)")
    }

    /// Nil where the field or its limit is absent, and for a text that is no list of indexes, which is reported if it is new.
    private mutating func indexes(_ field: String, _ limit: Int64?) -> JobIndexes? {
        guard let limit, let text = status[field].stringValue else { return nil }
        do throws(JobIndexes.Mistake) { return try JobIndexes(text, below: limit) } catch {
            if changes(field) { addValue(field, "error parsing \(field): \(error.text)") }
            return nil
        }
    }

    private mutating func checkProgress() {
        // An indexed Job with as many completions as pods at once can be made smaller.
        let spec = new["spec"]
        let isElastic = spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"]
        for field in isElastic ? ["failed"] : ["failed", "succeeded"] where number(field, new) < number(field, old) {
            addValue(field, "cannot decrease the \(field) counter")
        }
    }
}
