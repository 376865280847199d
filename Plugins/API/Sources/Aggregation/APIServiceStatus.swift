import Objects

/// The condition of APIService objects: whether the API is to be had. Pure.
enum APIServiceStatus {
    private static let type = "Available"

    /// A new object's status: a group version of this server's own is there at once.
    static func prepare(_ object: inout JSON) {
        object["status"] = [:]
        guard !object["spec"]["service"].exists else { return }
        object["status"]["conditions"] = [local(.now())]
    }

    private static func local(_ now: Timestamp) -> JSON {
        condition(nil, now)
    }

    /// The conditions of an object of this server's own group versions; nil when they say so already.
    static func local(_ present: JSON, now: Timestamp) -> JSON? {
        replaced(present, by: local(now))
    }

    /// The conditions after a check; nil when they say so already.
    /// - Parameter failure: nil when all is well.
    static func checked(_ present: JSON, _ failure: AggregationFailure?, now: Timestamp) -> JSON? {
        replaced(present, by: condition(failure ?? AggregationFailure("Passed", "all checks passed"), now))
    }

    private static func condition(_ finding: AggregationFailure?, _ now: Timestamp) -> JSON {
        let isAvailable = finding == nil || finding?.reason == "Passed"
        return [
            "type": .string(type), "status": isAvailable ? "True" : "False",
            "reason": .string(finding?.reason ?? "Local"),
            "message": .string(finding?.message ?? "Local APIServices are always available"),
            "lastTransitionTime": .string(now.formatted()),
        ]
    }

    /// The time of a condition is that of the last change of its status.
    private static func replaced(_ present: JSON, by wanted: JSON) -> JSON? {
        var wanted = wanted
        var conditions = present.arrayValue
        guard let index = conditions.firstIndex(where: { $0["type"].stringValue == type }) else {
            return .array(conditions + [wanted])
        }
        let old = conditions[index]
        if old["status"] == wanted["status"] {
            if old["reason"] == wanted["reason"], old["message"] == wanted["message"] { return nil }
            wanted["lastTransitionTime"] = old["lastTransitionTime"]
        }
        conditions[index] = wanted
        return .array(conditions)
    }
}
