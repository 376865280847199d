import Objects

/// A pod's row: what is ready, the one word that says how it is, restarts, age, address, node.
enum PodTable {
    static let layout = TableLayout(
        "Name Ready Status Restarts Age IP+ Node+ Nominated_Node+ Readiness_Gates+"
    ) { pod, now in
        let status = pod["status"]
        let (word, restarts, last) = summary(pod)
        let containers = pod["spec"]["containers"].arrayValue
        let sidecars = pod["spec"]["initContainers"].arrayValue.filter(isSidecar)
        let ready =
            readyCount(status["containerStatuses"], containers) + readyCount(status["initContainerStatuses"], sidecars)
        var restartText = "\(restarts)"
        if restarts > 0, let last { restartText += " (\(HumanDuration.since(last, now: now)) ago)" }
        return [
            .string(pod.name), .string("\(ready)/\(containers.count + sidecars.count)"), .string(word),
            .string(restartText), Cell.age(pod, now), Cell.text(status["podIP"]), Cell.text(pod["spec"]["nodeName"]),
            Cell.text(status["nominatedNodeName"]), gates(pod),
        ]
    }

    private static func isSidecar(_ container: JSON) -> Bool { container["restartPolicy"].stringValue == "Always" }

    private static func readyCount(_ statuses: JSON, _ containers: [JSON]) -> Int {
        let names = Set(containers.compactMap { $0["name"].stringValue })
        return statuses.arrayValue.count { status in
            names.contains(status["name"].stringValue ?? "") && status["ready"].boolValue == true
                && (status["state"]["running"].exists || status["state"].isNull)
        }
    }

    private static func gates(_ pod: JSON) -> JSON {
        let gates = pod["spec"]["readinessGates"].arrayValue
        guard !gates.isEmpty else { return "<none>" }
        let conditions = pod["status"]["conditions"].arrayValue
        let met = gates.count { gate in
            conditions.contains { $0["type"] == gate["conditionType"] && $0["status"].stringValue == "True" }
        }
        return .string("\(met)/\(gates.count)")
    }

    /// The word for a pod's state, its restarts, and when the last one was.
    static func summary(_ pod: JSON) -> (word: String, restarts: Int64, last: String?) {
        let status = pod["status"]
        var word = status["reason"].stringValue ?? status["phase"].stringValue ?? "Unknown"
        if word.isEmpty { word = "Unknown" }
        if status["conditions"].arrayValue.contains(where: {
            $0["type"].stringValue == "PodScheduled" && $0["reason"].stringValue == "SchedulingGated"
        }) {
            word = "SchedulingGated"
        }
        var restarts: Int64 = 0
        var last: String?
        let initial = initState(pod, &restarts, &last)
        if let initial { word = initial }
        if initial == nil || initial?.isEmpty == true || hasStarted(pod) {
            if initial == nil { restarts = sidecarRestarts(pod, &last) }
            word = containerState(pod, word, &restarts, &last)
        }
        if pod.deletionTimestamp != nil {
            if status["reason"].stringValue == "NodeLost" {
                word = "Unknown"
            } else if !["Succeeded", "Failed"].contains(status["phase"].stringValue ?? "") {
                word = "Terminating"
            }
        }
        return (word, restarts, last)
    }

    private static func hasStarted(_ pod: JSON) -> Bool {
        pod["status"]["conditions"].arrayValue.contains {
            $0["type"].stringValue == "Initialized" && $0["status"].stringValue == "True"
        }
    }

    private static func noteRestart(_ status: JSON, _ last: inout String?) {
        guard let finished = status["lastState"]["terminated"]["finishedAt"].stringValue else { return }
        if last.map({ $0 < finished }) ?? true { last = finished }
    }

    private static func sidecarRestarts(_ pod: JSON, _ last: inout String?) -> Int64 {
        let names = Set(
            pod["spec"]["initContainers"].arrayValue.filter(isSidecar).compactMap { $0["name"].stringValue })
        var restarts: Int64 = 0
        for status in pod["status"]["initContainerStatuses"].arrayValue
        where names.contains(status["name"].stringValue ?? "") {
            restarts += status["restartCount"].integerValue ?? 0
            noteRestart(status, &last)
        }
        return restarts
    }

    /// The state while init containers are not done; nil when they are.
    private static func initState(_ pod: JSON, _ restarts: inout Int64, _ last: inout String?) -> String? {
        let specifications = pod["spec"]["initContainers"].arrayValue
        let sidecars = Set(specifications.filter(isSidecar).compactMap { $0["name"].stringValue })
        for (index, status) in pod["status"]["initContainerStatuses"].arrayValue.enumerated() {
            restarts += status["restartCount"].integerValue ?? 0
            noteRestart(status, &last)
            let state = status["state"]
            let terminated = state["terminated"]
            if terminated.exists, terminated["exitCode"].integerValue == 0 { continue }
            if sidecars.contains(status["name"].stringValue ?? ""), status["started"].boolValue == true { continue }
            if terminated.exists { return "Init:" + reason(terminated) }
            if let waiting = state["waiting"]["reason"].stringValue, !waiting.isEmpty, waiting != "PodInitializing" {
                return "Init:" + waiting
            }
            return "Init:\(index)/\(specifications.count)"
        }
        return nil
    }

    private static func reason(_ terminated: JSON) -> String {
        if let reason = terminated["reason"].stringValue, !reason.isEmpty { return reason }
        if let signal = terminated["signal"].integerValue, signal != 0 { return "Signal:\(signal)" }
        return "ExitCode:\(terminated["exitCode"].integerValue ?? 0)"
    }

    private static func containerState(
        _ pod: JSON, _ before: String, _ restarts: inout Int64, _ last: inout String?
    ) -> String {
        var word = before
        var hasRunning = false
        for status in pod["status"]["containerStatuses"].arrayValue.reversed() {
            restarts += status["restartCount"].integerValue ?? 0
            noteRestart(status, &last)
            let state = status["state"]
            if let waiting = state["waiting"]["reason"].stringValue, !waiting.isEmpty {
                word = waiting
            } else if state["terminated"].exists {
                word = reason(state["terminated"])
            } else if status["ready"].boolValue == true, state["running"].exists {
                hasRunning = true
            }
        }
        if word == "Completed", hasRunning {
            let isReady = pod["status"]["conditions"].arrayValue.contains {
                $0["type"].stringValue == "Ready" && $0["status"].stringValue == "True"
            }
            word = isReady ? "Running" : "NotReady"
        }
        return word
    }
}
