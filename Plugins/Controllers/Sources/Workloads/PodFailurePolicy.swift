import Objects

/// What the podFailurePolicy of a Job makes of a failed pod: the first rule that matches decides.
/// See https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy.
struct PodFailurePolicy {
    enum Verdict: Equatable {
        /// It counts towards the limits.
        case count
        /// It is replaced without being counted.
        case ignore
        /// Its completion index is not tried again.
        case failIndex
        case failJob(message: String)
    }

    private let rules: [JSON]
    private let hasIndexLimit: Bool

    init(_ job: JSON) {
        rules = job["spec"]["podFailurePolicy"]["rules"].arrayValue
        hasIndexLimit = job["spec"]["backoffLimitPerIndex"].exists
    }

    /// - Parameter pod: in phase Failed.
    func verdict(on pod: JSON) -> Verdict {
        for (position, rule) in rules.enumerated() {
            guard let finding = Self.finding(rule, pod) else { continue }
            let action = rule["action"].stringValue ?? ""
            switch action {
            case "Ignore": return .ignore
            case "FailIndex": return hasIndexLimit ? .failIndex : .count
            case "FailJob": return .failJob(message: "\(finding) matching \(action) rule at index \(position)")
            default: return .count
            }
        }
        return .count
    }

    /// What of the pod a rule is about, in words; nil when it does not match.
    private static func finding(_ rule: JSON, _ pod: JSON) -> String? {
        let place = "\(pod.namespace)/\(pod.name)"
        if rule["onExitCodes"].exists {
            guard let (container, code) = matchingExit(rule["onExitCodes"], pod) else { return nil }
            return "Container \(container) for pod \(place) failed with exit code \(code)"
        }
        let patterns = rule["onPodConditions"].arrayValue
        for condition in pod["status"]["conditions"].arrayValue
        where patterns.contains(where: { $0["type"] == condition["type"] && $0["status"] == condition["status"] }) {
            return "Pod \(place) has condition \(condition["type"].stringValue ?? "")"
        }
        return nil
    }

    private static func matchingExit(_ requirement: JSON, _ pod: JSON) -> (container: String, code: Int64)? {
        let wanted = requirement["containerName"].stringValue
        let values = Set(requirement["values"].arrayValue.compactMap(\.integerValue))
        let isListed = requirement["operator"].stringValue != "NotIn"
        let statuses =
            pod["status"]["containerStatuses"].arrayValue + pod["status"]["initContainerStatuses"].arrayValue
        for status in statuses {
            let name = status["name"].stringValue ?? ""
            // Success is no failure, whatever is listed.
            guard wanted == nil || wanted == name, let code = status["state"]["terminated"]["exitCode"].integerValue,
                code != 0, values.contains(code) == isListed
            else { continue }
            return (name, code)
        }
        return nil
    }
}

/// Which rule of a Job's successPolicy the completed indexes satisfy.
enum SuccessPolicy {
    /// The position of the first rule that is satisfied; nil when none is, or when there is no policy.
    static func match(_ job: JSON, completed: CompletionIndexes) -> Int? {
        let limit = job["spec"]["completions"].integerValue ?? 0
        return job["spec"]["successPolicy"]["rules"].arrayValue.firstIndex { rule in
            let count = rule["succeededCount"].integerValue
            guard let text = rule["succeededIndexes"].stringValue else {
                return count.map { completed.count >= $0 } ?? false
            }
            let wanted = CompletionIndexes(parsing: text, below: limit)
            return wanted.intersection(completed).count >= count ?? wanted.count
        }
    }
}
