import Objects

/// A pod's row: what is ready, the one word that says how it is, restarts, age, address, node.
enum PodTable {
    static let layout: TableLayout = {
        var layout = TableLayout("Name Ready Status Restarts Age IP+ Node+ Nominated_Node+ Readiness_Gates+", cells)
        layout.conditions = completion
        return layout
    }()

    @Sendable private static func cells(_ pod: JSON, _ now: Timestamp) -> [JSON] {
        let status = pod["status"]
        let summary = Summary(pod)
        let total = pod["spec"]["containers"].count + pod["spec"]["initContainers"].arrayValue.count(where: isSidecar)
        var restarts = "\(summary.restarts.count)"
        if summary.restarts.count > 0, let last = summary.restarts.last {
            restarts += " (\(HumanDuration.since(last, now: now)) ago)"
        }
        return [
            .string(pod.name), .string("\(summary.ready)/\(total)"), .string(summary.word), .string(restarts),
            Cell.age(pod, now), Cell.text(status["podIP"]), Cell.text(pod["spec"]["nodeName"]),
            Cell.text(status["nominatedNodeName"]), gates(pod),
        ]
    }

    fileprivate static func isSidecar(_ container: JSON) -> Bool { container["restartPolicy"].stringValue == "Always" }

    private static func gates(_ pod: JSON) -> JSON {
        let gates = pod["spec"]["readinessGates"].arrayValue
        guard !gates.isEmpty else { return "<none>" }
        let met = gates.count { gate in
            hasCondition(gate["conditionType"].stringValue ?? "", pod["status"])
        }
        return .string("\(met)/\(gates.count)")
    }

    fileprivate static func hasCondition(_ type: String, _ status: JSON) -> Bool {
        let condition = status["conditions"].arrayValue.first { $0["type"].stringValue == type } ?? .null
        return condition["status"].stringValue == "True"
    }

    /// What is said of the row of a pod that has ended.
    @Sendable private static func completion(_ pod: JSON) -> JSON? {
        let message: JSON
        switch pod["status"]["phase"].stringValue {
        case "Succeeded": message = "The pod has completed successfully."
        case "Failed": message = "The pod failed."
        default: return nil
        }
        return [["type": "Completed", "status": "True", "reason": pod["status"]["phase"], "message": message]]
    }
}

extension PodTable {
    /// How often containers were restarted, and when the last one was.
    struct Restarts {
        var count: Int64 = 0
        /// RFC 3339, in whole seconds.
        var last: String?

        fileprivate mutating func add(_ container: JSON) {
            count += container["restartCount"].integerValue ?? 0
            guard let finished = container["lastState"]["terminated"]["finishedAt"].stringValue else { return }
            if last.map({ $0 < finished }) ?? true { last = finished }
        }
    }

    /// What the states of a pod's containers come to.
    struct Summary {
        private(set) var word: String
        /// Containers and sidecars that are ready.
        private(set) var ready = 0
        /// Of the init containers while those run; of containers and sidecars after that.
        private(set) var restarts = Restarts()

        init(_ pod: JSON) {
            let status = pod["status"]
            word = status["phase"].stringValue ?? "Unknown"
            if let reason = status["reason"].stringValue, !reason.isEmpty { word = reason }
            let isGated = status["conditions"].arrayValue.contains {
                $0["type"].stringValue == "PodScheduled" && $0["reason"].stringValue == "SchedulingGated"
            }
            if isGated { word = "SchedulingGated" }
            var sidecars = Restarts()
            let isInitializing = addInitial(pod, &sidecars)
            if !isInitializing || PodTable.hasCondition("Initialized", status) {
                restarts = sidecars
                addContainers(status)
            }
            guard pod.deletionTimestamp != nil else { return }
            if status["reason"].stringValue == "NodeLost" {
                word = "Unknown"
            } else if !["Succeeded", "Failed"].contains(status["phase"].stringValue ?? "") {
                word = "Terminating"
            }
        }

        /// Takes in the init containers, up to the first that holds the others up.
        /// - Returns: whether one does.
        private mutating func addInitial(_ pod: JSON, _ sidecars: inout Restarts) -> Bool {
            let containers = pod["spec"]["initContainers"].arrayValue
            let sidecarNames = Set(containers.filter(PodTable.isSidecar).compactMap { $0["name"].stringValue })
            for (index, status) in pod["status"]["initContainerStatuses"].arrayValue.enumerated() {
                let isSidecar = sidecarNames.contains(status["name"].stringValue ?? "")
                restarts.add(status)
                if isSidecar { sidecars.add(status) }
                let terminated = status["state"]["terminated"]
                if terminated.exists, terminated["exitCode"].integerValue ?? 0 == 0 { continue }
                if isSidecar, status["started"].boolValue == true {
                    if status["ready"].boolValue == true { ready += 1 }
                    continue
                }
                let waiting = status["state"]["waiting"]["reason"].stringValue ?? ""
                if terminated.exists {
                    word = "Init:" + Self.reason(terminated)
                } else if !waiting.isEmpty, waiting != "PodInitializing" {
                    word = "Init:" + waiting
                } else {
                    word = "Init:\(index)/\(containers.count)"
                }
                return true
            }
            return false
        }

        private mutating func addContainers(_ pod: JSON) {
            var hasRunning = false
            for status in pod["containerStatuses"].arrayValue.reversed() {
                restarts.add(status)
                let state = status["state"]
                if let waiting = state["waiting"]["reason"].stringValue, !waiting.isEmpty {
                    word = waiting
                } else if state["terminated"].exists {
                    word = Self.reason(state["terminated"])
                } else if status["ready"].boolValue == true, state["running"].exists {
                    hasRunning = true
                    ready += 1
                }
            }
            guard word == "Completed", hasRunning else { return }
            word = PodTable.hasCondition("Ready", pod) ? "Running" : "NotReady"
        }

        private static func reason(_ terminated: JSON) -> String {
            if let reason = terminated["reason"].stringValue, !reason.isEmpty { return reason }
            if let signal = terminated["signal"].integerValue, signal != 0 { return "Signal:\(signal)" }
            return "ExitCode:\(terminated["exitCode"].integerValue ?? 0)"
        }
    }
}
