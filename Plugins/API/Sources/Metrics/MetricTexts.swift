/// What the server's metrics mean, for those who read them without a manual: the HELP lines of Prometheus' text.
/// See https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information.
enum MetricTexts {
    /// The text with a line of help in front of each metric that is known.
    static func withHelp(_ text: String) -> String {
        let mark = "# TYPE "
        var output = ""
        output.reserveCapacity(text.utf8.count + known.count * 96)
        for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
            if line.hasPrefix(mark), let name = line.dropFirst(mark.count).split(separator: " ").first,
                let help = known[String(name)]
            {
                output += "# HELP \(name) \(help)\n"
            }
            output += line
            output += "\n"
        }
        return output
    }

    private static let known: [String: String] = [
        "apiserver_admission_controller_admission_duration_seconds":
            "[STABLE] Seconds that an admission plugin took over a write.",
        "apiserver_admission_step_admission_duration_seconds": "[STABLE] Seconds that a step of admission took.",
        "apiserver_admission_webhook_admission_duration_seconds":
            "[STABLE] Seconds that a webhook of admission took to answer.",
        "apiserver_current_inflight_requests": "[STABLE] Requests that are being answered.",
        "apiserver_longrunning_requests": "[STABLE] Watches and other streams that are open.",
        "apiserver_resource_objects": "Objects of a resource in the store.",
        "apiserver_response_sizes": "[STABLE] Bytes of the answers to reads.",
        "apiserver_storage_objects":
            "[STABLE] Objects of a resource in the store; apiserver_resource_objects is the same.",
        "cronjob_controller_job_creation_skew_duration_seconds":
            "[STABLE] Seconds between the time of a CronJob's run and its Job.",
        "job_controller_job_pods_finished_total": "[STABLE] Pods of Jobs that have ended and are counted.",
        "job_controller_job_sync_duration_seconds": "[STABLE] Seconds that a look at a Job took.",
        "job_controller_job_syncs_total": "[STABLE] Looks at Jobs.",
        "job_controller_jobs_finished_total": "[STABLE] Jobs that have ended.",
        "kubernetes_healthcheck": "[STABLE] Whether a check of health held when it was asked last.",
        "kubernetes_healthchecks_total": "[STABLE] How often a check of health ended so.",
        "node_collector_evictions_total": "[STABLE] Pods that were taken off nodes that are not ready.",
        "scheduler_framework_extension_point_duration_seconds": "[STABLE] Seconds that a part of scheduling took.",
        "scheduler_pending_pods": "[STABLE] Pods that wait, by where.",
        "scheduler_pod_scheduling_attempts": "[STABLE] Attempts that a pod needed until it had a node.",
        "scheduler_preemption_attempts_total": "[STABLE] Times that room was looked for by ending other pods.",
        "scheduler_preemption_victims": "[STABLE] Pods that were to end for another one.",
        "scheduler_queue_incoming_pods_total": "[STABLE] Pods that came to where pods wait, by why.",
        "scheduler_schedule_attempts_total": "[STABLE] Attempts to find a node, by what came of them.",
        "scheduler_scheduling_attempt_duration_seconds": "[STABLE] Seconds that an attempt to find a node took.",
        "apiserver_audit_error_total": "Events of the audit log that were lost.",
        "apiserver_audit_event_total": "Events that went to the audit log.",
        "apiserver_flowcontrol_current_executing_requests": "Requests of a priority level that run.",
        "apiserver_flowcontrol_current_executing_seats": "Seats that the running requests of a priority level take.",
        "apiserver_flowcontrol_current_inqueue_requests": "Requests of a priority level that wait.",
        "apiserver_flowcontrol_dispatched_requests_total": "Requests that were let run.",
        "apiserver_flowcontrol_lower_limit_seats": "Seats of a priority level that it lends to no other.",
        "apiserver_flowcontrol_nominal_limit_seats": "Seats that are a priority level's own.",
        "apiserver_flowcontrol_rejected_requests_total": "Requests that were refused for want of seats.",
        "apiserver_request_duration_seconds": "[STABLE] Seconds from a request's arrival to its answer.",
        "apiserver_request_total": "[STABLE] Requests that were answered.",
        "apiserver_requested_deprecated_apis": "[STABLE] Deprecated versions of resources that were asked for.",
        "apiserver_storage_size_bytes": "[STABLE] Bytes of all objects in the store.",
        "hostd_api_watch_bytes": "Bytes that wait for the clients of watches.",
        "hostd_api_watches_ended_total": "Watches that were ended because their clients read too slowly.",
        "hostd_api_watches_refused_total": "Watches that were refused because too much waits for others.",
        "hostd_role_calls_total": "Calls of a role.",
        "hostd_role_errors_total": "Calls of a role that failed.",
        "hostd_role_seconds_total": "Seconds that calls of a role took.",
        "hostd_role_slow_calls_total": "Calls of a role that took long.",
        "hostd_store_batches_total": "Batches of writes that are on disk.",
        "hostd_store_commit_duration_seconds": "Seconds until a batch of writes was on disk.",
        "hostd_store_history_bytes": "Bytes of past versions that are kept.",
        "hostd_store_history_records": "Past versions that are kept.",
        "hostd_store_keys": "Objects in the store.",
        "hostd_store_object_bytes": "Bytes of all objects in the store.",
        "hostd_store_revision": "The revision of the last write.",
        "hostd_store_watch_overflows_total": "Times that a watcher of the store fell behind.",
        "hostd_store_watch_queued_bytes": "Bytes that wait for watchers of the store.",
        "hostd_store_watch_resyncs_total": "Times that a watcher of the store began anew.",
        "hostd_store_watches": "Watchers of the store.",
        "hostd_store_writes_total": "Writes that are on disk.",
        "process_cpu_seconds_total": "Processor time of the process, in seconds.",
        "process_max_fds": "Descriptors that the process may have open.",
        "process_open_fds": "Descriptors that the process has open.",
        "process_resident_memory_bytes": "Bytes of the process in memory.",
        "process_start_time_seconds": "When the process was started, in seconds since 1970.",
        "process_virtual_memory_bytes": "Bytes of the process's address space.",
    ]

    /// The value of a series without labels; nil when there is none.
    static func value(of name: String, in text: String) -> Substring? {
        for line in text.split(separator: "\n") where line.hasPrefix(name + " ") {
            return line.dropFirst(name.utf8.count + 1)
        }
        return nil
    }
}
