import Objects
import PluginKit

/// What one look at a CronJob and its Jobs asks for.
struct CronJobPlan {
    /// The time whose Job is to be made.
    var run: Timestamp?
    /// Jobs to delete: replaced ones, and those beyond the history limits.
    var delete: [JSON] = []
    var status: JSON
    /// Seconds until the next time; nil when suspended or when there is none.
    var recheckAfter: Int64?
    /// A warning for the event log.
    var warning: (reason: String, message: String)?
    /// What else the event log is told.
    var notices: [(reason: String, message: String)] = []
    /// Jobs that the status shows as running and that have ended, with the condition that says how.
    var completed: [(name: String, condition: String)] = []
    /// Running Jobs that the CronJob owns and nobody made for one of its times.
    var unexpected: [String] = []

    private let schedule: CronSchedule
    private let zone: TimeZoneRules

    /// - Parameter zone: that the schedule's times are of.
    init(_ cronJob: JSON, schedule: CronSchedule, zone: TimeZoneRules = .utc, jobs: [JSON], now: Timestamp) {
        self.schedule = schedule
        self.zone = zone
        let spec = cronJob["spec"]
        let ended = jobs.filter { JobPlan.end(of: $0) != nil }
        let active = jobs.filter { JobPlan.end(of: $0) == nil }
        status = cronJob["status"].exists ? cronJob["status"] : [:]
        delete = Self.history(ended, spec)
        let successes = ended.filter {
            $0["status"]["conditions"].condition("Complete")["status"].stringValue == "True"
        }
        if let last = successes.compactMap({ $0["status"]["completionTime"].timestamp }).max() {
            status["lastSuccessfulTime"] = .string(last.formatted(fraction: .none))
        }
        let shown = Set(status["active"].arrayValue.compactMap { $0["uid"].stringValue })
        completed = ended.filter { shown.contains($0.uid) }.map { job in
            let isComplete = job["status"]["conditions"].condition("Complete")["status"].stringValue == "True"
            return (job.name, isComplete ? "Complete" : "Failed")
        }
        noteStrangers(among: active, jobs, shown)
        setActive(active)
        if cronJob.deletionTimestamp != nil || spec["suspend"].boolValue == true { return }
        guard let next = schedule.next(after: now, in: zone) else {
            let text = spec["schedule"].stringValue ?? ""
            warning = (
                "InvalidSchedule",
                "invalid schedule: \(text) : time difference between two schedules is less than 1 second"
            )
            return
        }
        recheckAfter = max(1, next.seconds - now.seconds)
        guard let due = due(cronJob, now) else { return }
        switch spec["concurrencyPolicy"].stringValue ?? "Allow" {
        case "Forbid" where !active.isEmpty:
            notices.append(
                (
                    "JobAlreadyActive",
                    "Not starting job because prior execution is running and concurrency policy is Forbid"
                ))
            return
        case "Replace":
            delete += active
            setActive([])
        default: break
        }
        run = due
        status["lastScheduleTime"] = .string(due.formatted(fraction: .none))
    }

    /// Jobs that the status shows and that are gone, and those that it does not show although they run.
    private mutating func noteStrangers(among active: [JSON], _ jobs: [JSON], _ shown: Set<String>) {
        let present = Set(jobs.map(\.uid))
        for entry in status["active"].arrayValue where !present.contains(entry["uid"].stringValue ?? "") {
            notices.append(("MissingJob", "Active job went missing: \(entry["name"].stringValue ?? "")"))
        }
        unexpected = active.filter { !shown.contains($0.uid) && !$0.annotations[Self.timeAnnotation].exists }
            .map(\.name).sorted()
    }

    /// Adds a Job that was just made.
    mutating func started(_ job: JSON) {
        let entries = status["active"].arrayValue + [Self.reference(to: job)]
        status["active"] = .array(entries.sorted { ($0["name"].stringValue ?? "") < ($1["name"].stringValue ?? "") })
    }

    private static func reference(to job: JSON) -> JSON {
        [
            "apiVersion": "batch/v1", "kind": "Job", "name": .string(job.name), "namespace": .string(job.namespace),
            "uid": .string(job.uid),
        ]
    }

    private mutating func setActive(_ jobs: [JSON]) {
        if jobs.isEmpty {
            status.removeValue(forKey: "active")
            return
        }
        status["active"] = .array(jobs.sorted { $0.name < $1.name }.map(Self.reference))
    }

    /// The latest time that was not run. Times that are older than the starting deadline, or than a month, are missed.
    private mutating func due(_ cronJob: JSON, _ now: Timestamp) -> Timestamp? {
        let last =
            cronJob["status"]["lastScheduleTime"].timestamp
            ?? cronJob["metadata"]["creationTimestamp"].timestamp ?? now
        let deadline = cronJob["spec"]["startingDeadlineSeconds"].integerValue ?? Self.longestLookBack
        let oldest = Timestamp(seconds: now.seconds - min(deadline, Self.longestLookBack))
        var latest: Timestamp?
        var missed = 0
        while let time = schedule.next(after: latest ?? max(last, oldest), in: zone), time <= now {
            latest = time
            missed += 1
        }
        if missed > 100 {
            warning = (
                "TooManyMissedTimes",
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            )
        }
        return latest
    }

    /// The time of its CronJob that a Job is for.
    private static let timeAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp"
    /// Seconds.
    private static let longestLookBack: Int64 = 31 * 86_400

    private static func history(_ ended: [JSON], _ spec: JSON) -> [JSON] {
        func surplus(_ type: String, _ limit: Int64) -> [JSON] {
            let jobs = ended.filter { $0["status"]["conditions"].condition(type)["status"].stringValue == "True" }
                .sorted { ($0.creationTimestamp ?? "") < ($1.creationTimestamp ?? "") }
            return Array(jobs.prefix(max(0, jobs.count - Int(limit))))
        }
        return surplus("Complete", spec["successfulJobsHistoryLimit"].integerValue ?? 3)
            + surplus("Failed", spec["failedJobsHistoryLimit"].integerValue ?? 1)
    }

    /// The Job of one time. Its name tells the time, so that a time is run once.
    static func job(_ cronJob: JSON, time: Timestamp, zone: TimeZoneRules = .utc) -> JSON {
        let template = cronJob["spec"]["jobTemplate"]
        var metadata: JSON = [
            "name": .string("\(cronJob.name)-\(time.seconds / 60)"), "namespace": .string(cronJob.namespace),
            "ownerReferences": .array([ControllerReference(.cronJobs, cronJob).json]),
        ]
        if template.labels.exists { metadata["labels"] = template.labels }
        var annotations = template.annotations.exists ? template.annotations : [:]
        annotations[timeAnnotation] = .string(zone.formatted(time))
        metadata["annotations"] = annotations
        return ["apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]]
    }
}

/// Makes a Job at each time of a CronJob's schedule.
final class CronJobController: Controller {
    private let cluster: Cluster
    private let barrier = WriteBarrier()
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<CronJobController>()
        queue = try cluster.queue("cronjob", workers: 1) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.cronJobs.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.jobs.onObject { [queue] job in
            if let owner = ControllerReference(controlling: job), owner.kind == "CronJob" {
                queue.add("\(job.namespace)/\(owner.name)")
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let cronJob = cluster.cronJobs.get(key: key) else {
            barrier.forget(key)
            return .done
        }
        guard barrier.isSatisfied(key, cluster.jobs) else { return .after(nanoseconds: 1_000_000_000) }
        guard let (schedule, zone) = schedule(of: cronJob) else { return .done }
        let jobs = cluster.jobs.list(cronJob.namespace).filter {
            ControllerReference(controlling: $0)?.uid == cronJob.uid
        }
        var plan = CronJobPlan(cronJob, schedule: schedule, zone: zone, jobs: jobs, now: .now())
        for (name, condition) in plan.completed {
            record(cronJob, .normal, "SawCompletedJob", "Saw completed job: \(name), condition: \(condition)")
        }
        for notice in plan.notices { record(cronJob, .normal, notice.reason, notice.message) }
        for name in plan.unexpected {
            record(
                cronJob, .warning, "UnexpectedJob",
                "Saw a job that the controller did not create or forgot: \(name)")
        }
        if let warning = plan.warning { record(cronJob, .warning, warning.reason, warning.message) }
        for job in plan.delete where job.deletionTimestamp == nil {
            try cluster.writer.delete(.jobs, job, propagation: "Background")
            barrier.deleted(job, for: key)
            record(cronJob, .normal, "SuccessfulDelete", "Deleted job \(job.name)")
        }
        if let time = plan.run, let job = try start(time, in: zone, of: cronJob, key) { plan.started(job) }
        try cluster.writer.updateStatus(.cronJobs, cronJob, status: plan.status)
        return .afterSeconds(plan.recheckAfter)
    }

    private func schedule(of cronJob: JSON) -> (CronSchedule, TimeZoneRules)? {
        let text = cronJob["spec"]["schedule"].stringValue ?? ""
        let name = cronJob["spec"]["timeZone"].stringValue ?? ""
        let schedule: CronSchedule
        do {
            schedule = try CronSchedule(parsing: text)
        } catch {
            record(cronJob, .warning, "UnparseableSchedule", "unparseable schedule: \"\(text)\" : \(error)")
            return nil
        }
        do {
            return (schedule, try TimeZoneDatabase.rules(of: name))
        } catch {
            record(cronJob, .warning, "UnknownTimeZone", "invalid timeZone: \"\(name)\": \(error)")
            return nil
        }
    }

    /// - Returns: nil when the Job of this time was made before, or none is to be made any more.
    private func start(_ time: Timestamp, in zone: TimeZoneRules, of cronJob: JSON, _ key: String) throws -> JSON? {
        do {
            let job = try cluster.writer.create(.jobs, CronJobPlan.job(cronJob, time: time, zone: zone))
            barrier.wrote(job, for: key)
            record(cronJob, .normal, "SuccessfulCreate", "Created job \(job.name)")
            if let made = job.metadata["creationTimestamp"].timestamp {
                cluster.metrics.observe(
                    "cronjob_controller_job_creation_skew_duration_seconds", "", Double(made.seconds - time.seconds),
                    bounds: ControllerMetrics.doubling(from: 1, count: 10))
            }
            return job
        } catch let error as APIError where error.isAlreadyExists || error.isNamespaceTerminating {
            // This time was run already, or nothing is to run any more.
            return nil
        } catch {
            record(cronJob, .warning, "FailedCreate", "Error creating job: \(error)")
            throw error
        }
    }

    private func record(_ cronJob: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(
            cronJob.typed(.cronJobs), kind, reason: reason, message: message, component: "cronjob-controller")
    }
}
