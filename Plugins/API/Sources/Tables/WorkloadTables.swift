import Objects

/// Layouts of the things that run pods.
enum WorkloadTables {
    static func layout(_ qualified: String) -> TableLayout? {
        switch qualified {
        case "pods": PodTable.layout
        case "deployments.apps": deployments
        case "replicasets.apps", "replicationcontrollers": replicas
        case "statefulsets.apps": statefulSets
        case "daemonsets.apps": daemonSets
        case "jobs.batch": jobs
        case "cronjobs.batch": cronJobs
        case "horizontalpodautoscalers.autoscaling": AutoscalerTable.layout
        case "poddisruptionbudgets.policy": budgets
        case "controllerrevisions.apps": revisions
        case "podtemplates":
            TableLayout("Name Containers Images Pod_Labels") { object, _ in
                let template = object["template"]
                return [
                    .string(object.name), Cell.containers(template["spec"]), Cell.images(template["spec"]),
                    Cell.map(template["metadata"]["labels"]),
                ]
            }
        default: nil
        }
    }

    private static let deployments = TableLayout(
        "Name Ready Up-to-date Available Age Containers+ Images+ Selector+"
    ) { object, now in
        let status = object["status"]
        let wanted = object["spec"]["replicas"].integerValue ?? 1
        return [
            .string(object.name), .string("\(status["readyReplicas"].integerValue ?? 0)/\(wanted)"),
            Cell.integer(status["updatedReplicas"]), Cell.integer(status["availableReplicas"]), Cell.age(object, now),
            Cell.containers(object["spec"]["template"]["spec"]), Cell.images(object["spec"]["template"]["spec"]),
            Cell.selector(object["spec"]["selector"]),
        ]
    }

    private static let replicas = TableLayout(
        "Name Desired:integer Current:integer Ready:integer Age Containers+ Images+ Selector+"
    ) { object, now in
        let selector = object["spec"]["selector"]
        let isPlain = object.kind == "ReplicationController"
        return [
            .string(object.name), .integer(object["spec"]["replicas"].integerValue ?? 1),
            Cell.integer(object["status"]["replicas"]), Cell.integer(object["status"]["readyReplicas"]),
            Cell.age(object, now), Cell.containers(object["spec"]["template"]["spec"]),
            Cell.images(object["spec"]["template"]["spec"]), isPlain ? Cell.map(selector) : Cell.selector(selector),
        ]
    }

    private static let statefulSets = TableLayout("Name Ready Age Containers+ Images+") { object, now in
        let wanted = object["spec"]["replicas"].integerValue ?? 1
        return [
            .string(object.name), .string("\(object["status"]["readyReplicas"].integerValue ?? 0)/\(wanted)"),
            Cell.age(object, now), Cell.containers(object["spec"]["template"]["spec"]),
            Cell.images(object["spec"]["template"]["spec"]),
        ]
    }

    private static let daemonSets = TableLayout(
        "Name Desired:integer Current:integer Ready:integer Up-to-date:integer Available:integer Node_Selector Age "
            + "Containers+ Images+ Selector+"
    ) { object, now in
        let status = object["status"]
        return [
            .string(object.name), Cell.integer(status["desiredNumberScheduled"]),
            Cell.integer(status["currentNumberScheduled"]), Cell.integer(status["numberReady"]),
            Cell.integer(status["updatedNumberScheduled"]), Cell.integer(status["numberAvailable"]),
            Cell.map(object["spec"]["template"]["spec"]["nodeSelector"]), Cell.age(object, now),
            Cell.containers(object["spec"]["template"]["spec"]), Cell.images(object["spec"]["template"]["spec"]),
            Cell.selector(object["spec"]["selector"]),
        ]
    }

    private static let jobs = TableLayout(
        "Name Status Completions Duration Age Containers+ Images+ Selector+"
    ) { object, now in
        let status = object["status"]
        let succeeded = status["succeeded"].integerValue ?? 0
        let completions: String
        if let wanted = object["spec"]["completions"].integerValue {
            completions = "\(succeeded)/\(wanted)"
        } else {
            let parallelism = object["spec"]["parallelism"].integerValue ?? 1
            completions = parallelism > 1 ? "\(succeeded)/1 of \(parallelism)" : "\(succeeded)/1"
        }
        var duration = ""
        if let start = status["startTime"].stringValue, let started = try? Timestamp(parsing: start) {
            let end = status["completionTime"].stringValue.flatMap { try? Timestamp(parsing: $0) } ?? now
            duration = HumanDuration.format(end.seconds - started.seconds)
        }
        return [
            .string(object.name), .string(jobState(object)), .string(completions), .string(duration),
            Cell.age(object, now), Cell.containers(object["spec"]["template"]["spec"]),
            Cell.images(object["spec"]["template"]["spec"]), Cell.selector(object["spec"]["selector"]),
        ]
    }

    private static func jobState(_ job: JSON) -> String {
        func has(_ type: String) -> Bool {
            job["status"]["conditions"].arrayValue.contains {
                $0["type"].stringValue == type && $0["status"].stringValue == "True"
            }
        }
        if has("Complete") { return "Complete" }
        if has("Failed") { return "Failed" }
        if job.deletionTimestamp != nil { return "Terminating" }
        if has("Suspended") { return "Suspended" }
        if has("FailureTarget") { return "FailureTarget" }
        if has("SuccessCriteriaMet") { return "SuccessCriteriaMet" }
        return "Running"
    }

    private static let cronJobs = TableLayout(
        "Name Schedule Timezone Suspend:boolean Active:integer Last_Schedule Age Containers+ Images+ Selector+"
    ) { object, now in
        let template = object["spec"]["jobTemplate"]["spec"]
        let last = object["status"]["lastScheduleTime"].stringValue
        return [
            .string(object.name), Cell.text(object["spec"]["schedule"]), Cell.text(object["spec"]["timeZone"]),
            .string(object["spec"]["suspend"].boolValue == true ? "True" : "False"),
            .integer(Int64(object["status"]["active"].arrayValue.count)),
            .string(last == nil ? "<none>" : HumanDuration.since(last, now: now)), Cell.age(object, now),
            Cell.containers(template["template"]["spec"]), Cell.images(template["template"]["spec"]),
            Cell.selector(template["selector"]),
        ]
    }

    private static let budgets = TableLayout(
        "Name Min_Available Max_Unavailable Allowed_Disruptions:integer Age"
    ) { object, now in
        [
            .string(object.name), Cell.text(object["spec"]["minAvailable"], "N/A"),
            Cell.text(object["spec"]["maxUnavailable"], "N/A"), Cell.integer(object["status"]["disruptionsAllowed"]),
            Cell.age(object, now),
        ]
    }

    private static let revisions = TableLayout("Name Controller Revision Age") { object, now in
        let owner = object.controllerReference
        let version = (owner["apiVersion"].stringValue ?? "").split(separator: "/")
        let group = version.count > 1 ? ".\(version[0])" : ""
        return [
            .string(object.name),
            owner.isNull
                ? "<none>"
                : .string(
                    "\((owner["kind"].stringValue ?? "").lowercased())\(group)/\(owner["name"].stringValue ?? "")"),
            Cell.integer(object["revision"]), Cell.age(object, now),
        ]
    }
}
