import Objects

/// Facts of a Pod object that several controllers decide by.
struct PodState {
    let pod: JSON

    init(_ pod: JSON) { self.pod = pod }

    var phase: String { pod["status"]["phase"].stringValue ?? "" }
    var nodeName: String { pod["spec"]["nodeName"].stringValue ?? "" }
    var isTerminating: Bool { pod["metadata"]["deletionTimestamp"].exists }
    var isFinished: Bool { phase == "Succeeded" || phase == "Failed" }
    /// Neither ended nor about to be: what counts for a controller's replicas.
    var isActive: Bool { !isFinished && !isTerminating }

    func condition(_ type: String) -> JSON { pod["status"]["conditions"].condition(type) }

    var isReady: Bool { condition("Ready")["status"].stringValue == "True" }

    /// When the pod became ready; nil when it is not.
    var readySince: Timestamp? {
        let ready = condition("Ready")
        guard ready["status"].stringValue == "True" else { return nil }
        return ready["lastTransitionTime"].timestamp
    }

    /// Ready for at least so many seconds.
    func isAvailable(minReadySeconds: Int64, now: Timestamp) -> Bool {
        guard isReady else { return false }
        if minReadySeconds == 0 { return true }
        guard let since = readySince else { return false }
        return since.seconds + minReadySeconds <= now.seconds
    }

    var restarts: Int64 {
        pod["status"]["containerStatuses"].arrayValue.map { $0["restartCount"].integerValue ?? 0 }.max() ?? 0
    }

    /// The annotation controller.kubernetes.io/pod-deletion-cost; 0 when absent or not a 32-bit number.
    var deletionCost: Int32 {
        Int32(pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].stringValue ?? "") ?? 0
    }
}

extension JSON {
    /// The member of an array of conditions with this type; null when there is none.
    func condition(_ type: String) -> JSON { arrayValue.first { $0["type"].stringValue == type } ?? .null }

    /// The RFC 3339 time that this string holds, nil when it holds none.
    var timestamp: Timestamp? {
        guard let stringValue else { return nil }
        // A time that does not parse means the same to every caller as no time.
        return try? Timestamp(parsing: stringValue)
    }

    /// Sets a condition in this array of conditions, keeping lastTransitionTime when the status stays the same.
    mutating func setCondition(_ condition: JSON) {
        var conditions = arrayValue
        let type = condition["type"].stringValue ?? ""
        var replacement = condition
        if let index = conditions.firstIndex(where: { $0["type"].stringValue == type }) {
            if conditions[index]["status"] == condition["status"], conditions[index]["lastTransitionTime"].exists {
                replacement["lastTransitionTime"] = conditions[index]["lastTransitionTime"]
            }
            conditions[index] = replacement
        } else {
            conditions.append(replacement)
        }
        self = .array(conditions)
    }

    mutating func removeCondition(_ type: String) {
        self = .array(arrayValue.filter { $0["type"].stringValue != type })
    }

    /// A copy with one member set.
    func with(_ key: String, _ value: JSON) -> JSON {
        var copy = self
        copy[key] = value
        return copy
    }
}
