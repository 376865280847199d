import Objects

/// Rules of Jobs and of the templates of Jobs.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/job/.
enum JobValidation {
    private static let ruleLimit = 20
    private static let valueLimit = 255
    private static let indexLimit: Int64 = 100_000
    /// With more completions than `indexLimit` that each may fail on their own.
    private static let manyLimit: Int64 = 10_000
    private static let indexTextLimit = 65_536
    private static let managerLimit = 63

    /// What holds for a Job's specification and for that of a CronJob's Jobs.
    static func specification(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        if spec["maxFailedIndexes"].exists, spec["backoffLimitPerIndex"].isNull {
            errors.append(.required("\(place).backoffLimitPerIndex", "when maxFailedIndexes is specified"))
        }
        if let manager = spec["managedBy"].stringValue {
            DomainPrefixedPath.check(spec["managedBy"], "\(place).managedBy", &errors)
            if manager.utf8.count > managerLimit {
                errors.append(.tooLong("\(place).managedBy", limit: managerLimit))
            }
        }
        indexes(spec, place, &errors)
        if spec["podFailurePolicy"].exists { failurePolicy(spec, place, &errors) }
        successPolicy(spec, place, &errors)
        replacementPolicy(spec, place, &errors)
        restarts(spec, place, &errors)
    }

    private static func restarts(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let policy = spec["template"]["spec"]["restartPolicy"]
        let path = "\(place).template.spec.restartPolicy"
        if policy == "Always" || policy.isEmpty {
            errors.append(.required(path, "valid values: \"OnFailure\", \"Never\""))
        } else if policy != "OnFailure", policy != "Never" {
            errors.append(.notSupported(path, policy, ["OnFailure", "Never"]))
        } else if spec["podFailurePolicy"].exists, policy != "Never" {
            errors.append(.invalid(path, policy, "only \"Never\" is supported when podFailurePolicy is specified"))
        }
    }

    private static func replacementPolicy(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let policy = spec["podReplacementPolicy"].stringValue else { return }
        let allowed = spec["podFailurePolicy"].exists ? ["Failed"] : ["Failed", "TerminatingOrFailed"]
        if !allowed.contains(policy) {
            errors.append(.notSupported("\(place).podReplacementPolicy", .string(policy), allowed))
        }
    }

    // MARK: - Indexes

    private static func indexes(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard spec["completionMode"] == "Indexed" else {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes"] where spec[field].exists {
                errors.append(.invalid("\(place).\(field)", spec[field], "requires indexed completion mode"))
            }
            return
        }
        let completions = spec["completions"].integerValue
        if completions == nil { errors.append(.required("\(place).completions", "when completion mode is Indexed")) }
        func limit(_ field: String, _ most: Int64, _ detail: String) {
            guard let value = spec[field].integerValue, value > most else { return }
            errors.append(.invalid("\(place).\(field)", .integer(value), "must be less than or equal to \(detail)"))
        }
        limit("parallelism", indexLimit, "\(indexLimit) when completion mode is Indexed")
        if let completions { limit("maxFailedIndexes", completions, "completions") }
        limit("maxFailedIndexes", indexLimit, "\(indexLimit)")
        guard spec["backoffLimitPerIndex"].exists, completions ?? 0 > indexLimit else { return }
        if spec["maxFailedIndexes"].isNull {
            errors.append(
                .required("\(place).maxFailedIndexes", "must be specified when completions is above \(indexLimit)"))
        }
        for field in ["parallelism", "maxFailedIndexes"] {
            limit(
                field, manyLimit,
                "\(manyLimit) when completions are above \(indexLimit) and used with backoff limit per index")
        }
    }

    private static func successPolicy(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let policy = spec["successPolicy"]
        guard policy.exists else { return }
        guard spec["completionMode"] == "Indexed" else {
            errors.append(.invalid("\(place).successPolicy", policy, "requires indexed completion mode"))
            return
        }
        let path = "\(place).successPolicy.rules"
        let rules = policy["rules"].arrayValue
        if rules.isEmpty {
            errors.append(
                .required(path, "at least one rules must be specified when the successPolicy is specified"))
        }
        if rules.count > ruleLimit { errors.append(.tooMany(path, rules.count, limit: ruleLimit)) }
        for (index, rule) in rules.enumerated() {
            successRule(rule, "\(path)[\(index)]", spec["completions"].integerValue ?? 0, &errors)
        }
    }

    private static func successRule(
        _ rule: JSON, _ path: String, _ completions: Int64, _ errors: inout [FieldError]
    ) {
        let (count, indexes) = (rule["succeededCount"], rule["succeededIndexes"])
        if count.isNull, indexes.isNull {
            errors.append(
                .required(path, "at least one of succeededCount or succeededIndexes must be specified"))
        }
        var named: Int64 = 0
        if let text = indexes.stringValue {
            let place = "\(path).succeededIndexes"
            if text.utf8.count > indexTextLimit { errors.append(.tooLong(place, limit: indexTextLimit)) }
            do throws(JobIndexes.Mistake) { named = try JobIndexes(text, below: completions).count } catch {
                errors.append(.invalid(place, indexes, "error parsing succeededIndexes: \(error.text)"))
            }
        }
        guard let number = count.integerValue else { return }
        let place = "\(path).succeededCount"
        errors += FieldError.negative(place, count)
        if number > completions {
            errors.append(
                .invalid(
                    place, count,
                    "must be less than or equal to \(completions) (the number of specified completions)"))
        }
        if indexes.exists, number > named {
            errors.append(
                .invalid(
                    place, count,
                    "must be less than or equal to \(named) (the number of indexes in the specified succeededIndexes field)"
                ))
        }
    }

    // MARK: - Failures

    private static func failurePolicy(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let rules = spec["podFailurePolicy"]["rules"].arrayValue
        let path = "\(place).podFailurePolicy.rules"
        if rules.count > ruleLimit { errors.append(.tooMany(path, rules.count, limit: ruleLimit)) }
        let pod = spec["template"]["spec"]
        let containers = (pod["containers"].arrayValue + pod["initContainers"].arrayValue).map { $0["name"] }
        for (index, rule) in rules.enumerated() {
            failureRule(rule, "\(path)[\(index)]", containers, spec["backoffLimitPerIndex"].exists, &errors)
        }
    }

    /// As Go shows a list of texts.
    private static func listed(_ values: [String]) -> String {
        "valid values: [\(values.map { "\"\($0)\"" }.joined(separator: " "))]"
    }

    /// A text that is one of a few.
    private static func check(
        _ value: JSON, _ path: String, _ allowed: [String], _ errors: inout [FieldError]
    ) {
        if value.isEmpty {
            errors.append(.required(path, listed(allowed)))
        } else if !allowed.contains(value.stringValue ?? "") {
            errors.append(.notSupported(path, value, allowed))
        }
    }

    private static func failureRule(
        _ rule: JSON, _ path: String, _ containers: [JSON], _ hasIndexLimit: Bool, _ errors: inout [FieldError]
    ) {
        check(rule["action"], "\(path).action", ["Count", "FailIndex", "FailJob", "Ignore"], &errors)
        if rule["action"] == "FailIndex", !hasIndexLimit {
            errors.append(
                .invalid("\(path).action", rule["action"], "requires the backoffLimitPerIndex to be set"))
        }
        let (codes, conditions) = (rule["onExitCodes"], rule["onPodConditions"].arrayValue)
        if codes.exists { exitCodes(codes, "\(path).onExitCodes", containers, &errors) }
        if conditions.count > ruleLimit {
            errors.append(.tooMany("\(path).onPodConditions", conditions.count, limit: ruleLimit))
        }
        for (index, condition) in conditions.enumerated() {
            let place = "\(path).onPodConditions[\(index)]"
            errors += NameChecks.qualifiedName(condition["type"].stringValue ?? "").map {
                .invalid("\(place).type", condition["type"], $0)
            }
            check(condition["status"], "\(place).status", ["False", "True", "Unknown"], &errors)
        }
        if codes.exists, !conditions.isEmpty {
            errors.append(.invalid(path, "specifying both OnExitCodes and OnPodConditions is not supported"))
        } else if !codes.exists, conditions.isEmpty {
            errors.append(.invalid(path, "specifying one of OnExitCodes and OnPodConditions is required"))
        }
    }

    private static func exitCodes(
        _ codes: JSON, _ path: String, _ containers: [JSON], _ errors: inout [FieldError]
    ) {
        check(codes["operator"], "\(path).operator", ["In", "NotIn"], &errors)
        if codes["containerName"].exists, !containers.contains(codes["containerName"]) {
            errors.append(
                .invalid(
                    "\(path).containerName", codes["containerName"],
                    "must be one of the container or initContainer names in the pod template"))
        }
        let values = codes["values"].arrayValue.map { $0.integerValue ?? 0 }
        if values.isEmpty {
            errors.append(.invalid("\(path).values", codes["values"], "at least one value is required"))
        } else if values.count > valueLimit {
            errors.append(.tooMany("\(path).values", values.count, limit: valueLimit))
        }
        var seen: Set<Int64> = []
        for (index, value) in values.enumerated() {
            let place = "\(path).values[\(index)]"
            if codes["operator"] == "In", value == 0 {
                errors.append(.invalid(place, 0, "must not be 0 for the In operator"))
            }
            if !seen.insert(value).inserted { errors.append(.duplicate(place, .integer(value))) }
        }
        if zip(values, values.dropFirst()).contains(where: { $0 > $1 }) {
            errors.append(.invalid("\(path).values", codes["values"], "must be ordered"))
        }
    }

    // MARK: - Jobs

    /// What holds for Jobs alone, whose selector the server has made unless the Job chooses its pods itself.
    static func job(_ job: JSON, _ errors: inout [FieldError]) {
        let spec = job["spec"]
        if spec["manualSelector"].boolValue != true, spec["selector"].exists { generatedSelector(job, &errors) }
        if spec["selector"].isNull { errors.append(.required("spec.selector")) }
        let labels = spec["template"]["metadata"]["labels"]
        if spec["selector"].isNull || !WorkloadValidation.matches(spec["selector"], labels) {
            errors.append(
                .invalid(
                    "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
        }
        guard spec["completionMode"] == "Indexed", let completions = spec["completions"].integerValue,
            completions > 0
        else { return }
        // Such is the name of the last pod's host.
        let host = "\(job.name)-\(completions - 1)"
        if !NameChecks.dns1123Label(host).isEmpty {
            errors.append(
                .invalid(
                    "metadata.name", .string(job.name),
                    "will not able to create pod with invalid DNS label: \(host)"))
        }
    }

    private static func generatedSelector(_ job: JSON, _ errors: inout [FieldError]) {
        if job.uid.isEmpty { errors.append(.required("metadata.uid")) }
        let expected: [(String, String)] = [
            ("batch.kubernetes.io/controller-uid", job.uid), ("batch.kubernetes.io/job-name", job.name),
            ("controller-uid", job.uid), ("job-name", job.name),
        ]
        let labels = job["spec"]["template"]["metadata"]["labels"]
        for (key, value) in [expected[2], expected[3], expected[0], expected[1]] {
            let place = "spec.template.metadata.labels[\(key)]"
            if labels[key].isNull {
                errors.append(.required(place, "must be '\(value)'"))
            } else if labels[key] != .string(value) {
                errors.append(.invalid(place, labels, "must be '\(value)'"))
            }
        }
        let own = JSON.object(JSONObject(expected.map { ($0.0, JSON.string($0.1)) }))
        if !WorkloadValidation.matches(job["spec"]["selector"], own) {
            errors.append(.invalid("spec.selector", job["spec"]["selector"], "`selector` not auto-generated"))
        }
    }
}
