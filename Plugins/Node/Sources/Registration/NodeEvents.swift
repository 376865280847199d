import Objects

/// What a kubelet tells the event log about its node, in its reasons and sentences. Pure.
struct NodeEvent: Equatable {
    var isWarning = false
    var reason: String
    var message: String

    /// The node begins to work.
    static let starting = NodeEvent(reason: "Starting", message: "Starting kubelet.")

    /// That the node has, or has not, come to a state.
    private static func status(_ node: String, _ state: String) -> NodeEvent {
        NodeEvent(reason: state, message: "Node \(node) status is now: \(state)")
    }

    /// The types of conditions, with what is told when one comes to hold and when it ceases to.
    private static let conditions: [(type: String, holds: String, holdsNot: String)] = [
        ("MemoryPressure", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
        ("DiskPressure", "NodeHasDiskPressure", "NodeHasNoDiskPressure"),
        ("PIDPressure", "NodeHasInsufficientPID", "NodeHasSufficientPID"), ("Ready", "NodeReady", "NodeNotReady"),
    ]

    /// - Parameters:
    ///   - old: the status that the API shows; null for a node that is new.
    ///   - new: the status that takes its place.
    static func between(_ old: JSON, _ new: JSON, node: String) -> [NodeEvent] {
        var events: [NodeEvent] = []
        let (before, now) = (old["nodeInfo"]["bootID"].stringValue ?? "", new["nodeInfo"]["bootID"].stringValue ?? "")
        if !before.isEmpty, before != now {
            events.append(
                NodeEvent(
                    isWarning: true, reason: "Rebooted", message: "Node \(node) has been rebooted, boot id: \(now)"))
        }
        for (type, holds, holdsNot) in conditions {
            guard let status = state(type, in: new) else { continue }
            let known = state(type, in: old)
            // A node that is new and ready says nothing: as of any other, the change is told.
            if known == status || known == nil && type == "Ready" { continue }
            events.append(self.status(node, status == "True" ? holds : holdsNot))
        }
        return events
    }

    private static func state(_ type: String, in status: JSON) -> String? {
        status["conditions"].arrayValue.first { $0["type"].stringValue == type }?["status"].stringValue
    }

    /// Whether pods may be scheduled to it has changed.
    static func schedulable(_ node: String, _ isSchedulable: Bool) -> NodeEvent {
        status(node, isSchedulable ? "NodeSchedulable" : "NodeNotSchedulable")
    }
}
