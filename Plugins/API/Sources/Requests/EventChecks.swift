import Objects

/// What `events.k8s.io/v1` asks of events beyond what every event is held to (`EventValidation`): they are whole, have nothing of
/// the older form, and of one that was written only its series and metadata change. Pure. Fields are named as they are stored.
/// See https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/.
enum EventChecks {
    static let group = "events.k8s.io"

    /// - Parameter event: As it is stored, in `v1`.
    static func faults(in event: JSON) -> [APIStatus.Cause] {
        var causes = NameChecks.dns1123Subdomain(event.name).map {
            APIStatus.Cause.invalid("metadata.name", .string(event.name), $0)
        }
        causes += seriesFaults(event["series"])
        if event["eventTime"].isNull { causes.append(.required("eventTime")) }
        let type = event["type"].stringValue ?? ""
        if type != "Normal", type != "Warning" {
            causes.append(.invalid("type", "", "has invalid value: \(type)"))
        }
        for field in ["firstTimestamp", "lastTimestamp", "count", "source"] where !isUnset(event[field]) {
            causes.append(.invalid(field, "", "needs to be unset"))
        }
        return causes
    }

    private static let fixed = [
        "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type",
        "eventTime", "action", "related", "reportingComponent", "reportingInstance",
    ]

    static func faults(in event: JSON, from old: JSON) -> [APIStatus.Cause] {
        var causes = event["series"] == old["series"] ? [] : seriesFaults(event["series"])
        for field in fixed where event[field] != old[field] {
            if isUnset(event[field]), isUnset(old[field]) { continue }
            let name = field == "reportingComponent" ? "reportingController" : field
            causes.append(.invalid(name, event[field], "field is immutable"))
        }
        return causes
    }

    private static func seriesFaults(_ series: JSON) -> [APIStatus.Cause] {
        guard series.exists else { return [] }
        var causes: [APIStatus.Cause] = []
        if series["count"].integerValue ?? 0 < 2 {
            causes.append(.invalid("series.count", "", "should be at least 2"))
        }
        if series["lastObservedTime"].isNull { causes.append(.required("series.lastObservedTime")) }
        return causes
    }

    private static func isUnset(_ value: JSON) -> Bool { value.isEmpty || value == 0 }
}
