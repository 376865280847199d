import Objects

/// The row of an event, of either group: both shapes of events are shown alike.
enum EventTable {
    static let layout = TableLayout(
        "Last_Seen Type Reason Object Subobject+ Source+ Message First_Seen+ Count+ Name+"
    ) { event, now in
        let involved = present(event, "involvedObject", "regarding")
        let began = present(event, "firstTimestamp", "deprecatedFirstTimestamp")
        let first = HumanDuration.since((began.exists ? began : event["eventTime"]).stringValue, now: now)
        let series = event["series"]
        let seen =
            series.exists ? series["lastObservedTime"] : present(event, "lastTimestamp", "deprecatedLastTimestamp")
        let last = seen.exists || series.exists ? HumanDuration.since(seen.stringValue, now: now) : first
        // An event that stands for itself has no count.
        let counted = (series.exists ? series["count"] : present(event, "count", "deprecatedCount")).integerValue ?? 0
        return [
            .string(last), Cell.text(event["type"], ""), Cell.text(event["reason"], ""), .string(target(involved)),
            Cell.text(involved["fieldPath"], ""), .string(source(event)),
            .string(trimmed(present(event, "message", "note").stringValue ?? "")), .string(first),
            .integer(series.exists ? counted : max(1, counted)), .string(event.name),
        ]
    }

    /// A field by its name in the core group, or else by that in `events.k8s.io`.
    private static func present(_ event: JSON, _ core: String, _ other: String) -> JSON {
        event[core].exists ? event[core] : event[other]
    }

    private static func target(_ involved: JSON) -> String {
        let kind = (involved["kind"].stringValue ?? "").lowercased()
        let name = involved["name"].stringValue ?? ""
        return name.isEmpty ? kind : "\(kind)/\(name)"
    }

    /// Who reports it, and from where: "kubelet, node-1".
    private static func source(_ event: JSON) -> String {
        let source = present(event, "source", "deprecatedSource")
        func first(_ values: JSON...) -> String? { values.compactMap(\.stringValue).first { !$0.isEmpty } }
        let component = first(source["component"], event["reportingComponent"], event["reportingController"]) ?? ""
        guard let host = first(source["host"], event["reportingInstance"]) else { return component }
        return "\(component), \(host)"
    }

    private static func trimmed(_ message: String) -> String {
        var text = message[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        while text.first?.isWhitespace == true { text.removeFirst() }
        return String(text)
    }
}
