import Objects

/// Rules of Jobs and CronJobs.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/job/.
enum JobValidation {
    private static let ruleLimit = 20
    private static let indexLimit: Int64 = 100_000

    static func job(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        restarts(spec, place, &errors)
        indexes(spec, place, &errors)
        failurePolicy(spec, place, &errors)
        successPolicy(spec, place, &errors)
        if let manager = spec["managedBy"].stringValue { managedBy(manager, "\(place).managedBy", &errors) }
        if spec["selector"].exists,
            !WorkloadValidation.matches(spec["selector"], spec["template"]["metadata"]["labels"])
        {
            errors.append(
                .invalid(
                    "\(place).template.metadata.labels", spec["template"]["metadata"]["labels"],
                    "`selector` does not match template `labels`"))
        }
    }

    private static func restarts(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let policy = spec["template"]["spec"]["restartPolicy"]
        let path = "\(place).template.spec.restartPolicy"
        if policy == "Always" {
            errors.append(.required(path, "valid values: \"OnFailure\", \"Never\""))
        } else if policy.exists, policy != "OnFailure", policy != "Never" {
            errors.append(.notSupported(path, policy, ["OnFailure", "Never"]))
        } else if spec["podFailurePolicy"].exists, policy != "Never" {
            errors.append(.invalid(path, policy, "only \"Never\" is supported when podFailurePolicy is specified"))
        }
    }

    private static func managedBy(_ manager: String, _ path: String, _ errors: inout [FieldError]) {
        if manager.utf8.count > 63 { errors.append(.tooLong(path, limit: 63)) }
        let parts = manager.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count < 2 || parts[0].isEmpty || parts[1].isEmpty {
            errors.append(
                .invalid(path, .string(manager), "must be a domain-prefixed path (such as \"acme.io/foo\")"))
        }
    }

    // MARK: - Indexes

    private static func indexes(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard spec["completionMode"] == "Indexed" else {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] where spec[field].exists {
                errors.append(.invalid("\(place).\(field)", spec[field], "requires indexed job"))
            }
            return
        }
        guard let completions = spec["completions"].integerValue else {
            return errors.append(.required("\(place).completions", "when completion mode is Indexed"))
        }
        if let parallelism = spec["parallelism"].integerValue, parallelism > indexLimit {
            errors.append(
                .invalid(
                    "\(place).parallelism", spec["parallelism"],
                    "must be less than or equal to \(indexLimit) when completion mode is Indexed"))
        }
        if let limit = spec["backoffLimitPerIndex"].integerValue, limit < 0 {
            errors.append(
                .invalid(
                    "\(place).backoffLimitPerIndex", spec["backoffLimitPerIndex"],
                    "must be greater than or equal to 0"))
        }
        guard let most = spec["maxFailedIndexes"].integerValue else {
            if spec["backoffLimitPerIndex"].exists, completions > indexLimit {
                errors.append(
                    .required("\(place).maxFailedIndexes", "must be specified when completions is above \(indexLimit)"))
            }
            return
        }
        let path = "\(place).maxFailedIndexes"
        if most < 0 { errors.append(.invalid(path, JSON(most), "must be greater than or equal to 0")) }
        if spec["backoffLimitPerIndex"].isNull {
            errors.append(.required("\(place).backoffLimitPerIndex", "when maxFailedIndexes is specified"))
        }
        if most > completions { errors.append(.invalid(path, JSON(most), "must be less than or equal to completions")) }
    }

    private static func successPolicy(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard spec["successPolicy"].exists, spec["completionMode"] == "Indexed" else { return }
        let path = "\(place).successPolicy.rules"
        let rules = spec["successPolicy"]["rules"].arrayValue
        if rules.isEmpty {
            errors.append(
                .required(path, "at least one rules must be specified when the successPolicy is specified"))
        }
        if rules.count > ruleLimit { errors.append(.tooMany(path, rules.count, limit: ruleLimit)) }
        let completions = spec["completions"].integerValue ?? 0
        for (index, rule) in rules.enumerated() {
            let (count, indexes) = (rule["succeededCount"], rule["succeededIndexes"])
            if count.isNull, indexes.isNull {
                errors.append(
                    .required(
                        "\(path)[\(index)]", "at least one of succeededCount or succeededIndexes must be specified"))
            }
            if let count = count.integerValue, count < 1 || count > completions {
                errors.append(
                    .invalid(
                        "\(path)[\(index)].succeededCount", JSON(count),
                        count < 1
                            ? "must be greater than 0"
                            : "must be less than or equal to \(completions) (the number of specified completions)"))
            }
            if let text = indexes.stringValue, !areIndexes(text, below: completions) {
                errors.append(
                    .invalid(
                        "\(path)[\(index)].succeededIndexes", indexes,
                        "error parsing succeededIndexes: must be ascending indexes and ranges below \(completions), such as \"1,3-5\""
                    ))
            }
        }
    }

    private static func areIndexes(_ text: String, below limit: Int64) -> Bool {
        var last: Int64 = -1
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
            guard (1...2).contains(bounds.count), let first = bounds[0], let end = bounds[bounds.count - 1],
                first > last, end >= first, bounds.count == 1 || end > first, end < limit
            else { return false }
            last = end
        }
        return true
    }

    // MARK: - Failures

    private static func failurePolicy(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard spec["podFailurePolicy"].exists else { return }
        if let policy = spec["podReplacementPolicy"].stringValue, policy != "Failed" {
            errors.append(.notSupported("\(place).podReplacementPolicy", .string(policy), ["Failed"]))
        }
        let rules = spec["podFailurePolicy"]["rules"].arrayValue
        let path = "\(place).podFailurePolicy.rules"
        if rules.count > ruleLimit { errors.append(.tooMany(path, rules.count, limit: ruleLimit)) }
        let pod = spec["template"]["spec"]
        let containers = (pod["containers"].arrayValue + pod["initContainers"].arrayValue).map { $0["name"] }
        for (index, rule) in rules.enumerated() {
            failureRule(rule, "\(path)[\(index)]", containers, spec["backoffLimitPerIndex"].exists, &errors)
        }
    }

    private static func failureRule(
        _ rule: JSON, _ path: String, _ containers: [JSON], _ hasIndexLimit: Bool, _ errors: inout [FieldError]
    ) {
        let action = rule["action"]
        let actions = ["Count", "FailIndex", "FailJob", "Ignore"]
        if action.isEmpty {
            errors.append(
                .required("\(path).action", "valid values: \(actions.map { "\"\($0)\"" }.joined(separator: ", "))"))
        } else if !actions.contains(action.stringValue ?? "") {
            errors.append(.notSupported("\(path).action", action, actions))
        } else if action == "FailIndex", !hasIndexLimit {
            errors.append(.invalid("\(path).action", action, "requires the backoffLimitPerIndex to be set"))
        }
        let (codes, conditions) = (rule["onExitCodes"], rule["onPodConditions"].arrayValue)
        if codes.exists == !conditions.isEmpty {
            errors.append(
                .invalid(
                    path, rule,
                    codes.exists
                        ? "specifying both OnExitCodes and OnPodConditions is not supported"
                        : "specifying one of OnExitCodes and OnPodConditions is required"))
        }
        if codes.exists { exitCodes(codes, "\(path).onExitCodes", containers, &errors) }
        if conditions.count > ruleLimit {
            errors.append(.tooMany("\(path).onPodConditions", conditions.count, limit: ruleLimit))
        }
        for (index, condition) in conditions.enumerated() {
            let status = condition["status"]
            if !["True", "False", "Unknown"].contains(status.stringValue ?? "") {
                errors.append(
                    .notSupported(
                        "\(path).onPodConditions[\(index)].status", status, ["False", "True", "Unknown"]))
            }
        }
    }

    private static func exitCodes(
        _ codes: JSON, _ path: String, _ containers: [JSON], _ errors: inout [FieldError]
    ) {
        let operation = codes["operator"]
        if operation.isEmpty {
            errors.append(.required("\(path).operator", "valid values: \"In\", \"NotIn\""))
        } else if operation != "In", operation != "NotIn" {
            errors.append(.notSupported("\(path).operator", operation, ["In", "NotIn"]))
        }
        if codes["containerName"].exists, !containers.contains(codes["containerName"]) {
            errors.append(
                .invalid(
                    "\(path).containerName", codes["containerName"],
                    "must be one of the container or initContainer names in the pod template"))
        }
        let values = codes["values"].arrayValue.map { $0.integerValue ?? 0 }
        if values.isEmpty {
            errors.append(.invalid("\(path).values", codes["values"], "at least one value is required"))
        }
        if values.count > 255 { errors.append(.tooMany("\(path).values", values.count, limit: 255)) }
        for (index, value) in values.enumerated() {
            let place = "\(path).values[\(index)]"
            if operation == "In", value == 0 {
                errors.append(.invalid(place, 0, "must not be 0 for the In operator"))
            }
            if values[..<index].contains(value) { errors.append(.duplicate(place, JSON(value))) }
        }
        if values.sorted() != values { errors.append(.invalid("\(path).values", codes["values"], "must be ordered")) }
    }

    // MARK: - CronJobs

    /// The name of a Job is its CronJob's with a time.
    private static let nameLimit = 52

    static func cronJob(_ object: JSON, _ errors: inout [FieldError]) {
        if object.name.utf8.count > nameLimit {
            errors.append(
                .invalid("metadata.name", .string(object.name), "must be no more than \(nameLimit) characters"))
        }
        let spec = object["spec"]
        if let text = spec["schedule"].stringValue, !text.isEmpty { schedule(text, &errors) }
        guard let zone = spec["timeZone"].stringValue else { return }
        let complaint: String
        if zone.isEmpty {
            complaint = "timeZone must be nil or non-empty string"
        } else if zone.lowercased() == "local" {
            complaint = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        } else {
            do {
                _ = try TimeZoneDatabase.rules(of: zone)
                return
            } catch {
                complaint = error.description
            }
        }
        errors.append(.invalid("spec.timeZone", .string(zone), complaint))
    }

    private static func schedule(_ text: String, _ errors: inout [FieldError]) {
        // It would be a second way to say what timeZone says.
        if text.contains("TZ") {
            return errors.append(
                .invalid(
                    "spec.schedule", .string(text), "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
        }
        do {
            _ = try CronSchedule(parsing: text)
        } catch {
            errors.append(.invalid("spec.schedule", .string(text), error.description))
        }
    }

    // MARK: - Updates

    /// What a Job is asked to do does not change once it has begun.
    static func update(from old: JSON, to new: JSON) -> [FieldError] {
        let (before, after) = (old["spec"], new["spec"])
        var errors: [FieldError] = []
        for field in ["podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
        where before[field] != after[field] {
            errors.append(.invalid("spec.\(field)", after[field], "field is immutable"))
        }
        if before["completionMode"] == "Indexed", before["completions"] != after["completions"],
            after["completions"] != after["parallelism"]
        {
            errors.append(
                .invalid(
                    "spec.completions", after["completions"], "can only be modified in tandem with parallelism"))
        }
        let isWaiting = before["suspend"].boolValue == true && !old["status"]["startTime"].exists
        let templates = [before["template"], after["template"]].map { isWaiting ? fixedPart(of: $0) : $0 }
        if templates[0] != templates[1] {
            errors.append(.invalid("spec.template", after["template"], "field is immutable"))
        }
        return errors
    }

    /// Before a Job starts, a queue may say where its pods are to run: the template without that.
    private static func fixedPart(of template: JSON) -> JSON {
        var template = template
        for field in ["labels", "annotations"] { remove(field, from: &template["metadata"]) }
        for field in ["nodeSelector", "tolerations", "schedulingGates"] { remove(field, from: &template["spec"]) }
        if template["spec"]["affinity"].exists {
            remove("nodeAffinity", from: &template["spec"]["affinity"])
            if template["spec"]["affinity"].isEmpty { remove("affinity", from: &template["spec"]) }
        }
        if template["metadata"].isEmpty { template.removeValue(forKey: "metadata") }
        return template
    }

    private static func remove(_ field: String, from object: inout JSON) {
        if object[field].exists { object.removeValue(forKey: field) }
    }
}
