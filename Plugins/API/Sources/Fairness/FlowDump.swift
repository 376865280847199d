import Objects

/// What priority and fairness is doing, as text in columns under /debug/api_priority_and_fairness.
/// See https://kubernetes.io/docs/reference/debug-cluster/flow-control/.
enum FlowDump {
    static let path = "/debug/api_priority_and_fairness/"

    /// The document of a path; nil for another path.
    static func text(_ path: String, _ query: Query, _ table: FlowTable) -> String? {
        switch path {
        case Self.path + "dump_priority_levels": levels(table)
        case Self.path + "dump_queues": queues(table)
        case Self.path + "dump_requests":
            requests(table, withDetails: !(query["includeRequestDetails"] ?? "").isEmpty)
        default: nil
        }
    }

    private static func levels(_ table: FlowTable) -> String {
        var rows = [
            [
                "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
                "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
            ]
        ]
        for level in table.levels {
            let states = level.queueStates ?? []
            let active = states.count { !$0.waiting.isEmpty }
            let (waiting, executing) = (states.reduce(0) { $0 + $1.waiting.count }, level.executing)
            let refused = level.refused
            func count(_ isCounted: (PriorityLevel.Refusal) -> Bool) -> UInt64 {
                refused.reduce(0) { isCounted($1.key.reason) ? $0 + $1.value : $0 }
            }
            // Levels that are no more have let go what waited, and nobody takes back a request that waits.
            rows.append([
                level.settings.name, "\(active)", "\(waiting + executing == 0)", "false", "\(waiting)", "\(executing)",
                "\(level.dispatched)", "\(count { $0 != .timeOut })", "\(count { $0 == .timeOut })", "0",
            ])
        }
        return columns(rows)
    }

    private static func queues(_ table: FlowTable) -> String {
        let names = [
            "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
            "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
        ]
        var rows = [names]
        for level in table.levels {
            guard let states = level.queueStates else {
                rows.append([level.settings.name] + names.dropFirst().map { _ in "<none>" })
                continue
            }
            for state in states {
                rows.append([
                    level.settings.name, "\(state.number)", "\(state.waiting.count)", "\(state.running)",
                    "\(state.runningSeats)", seatSeconds(state.nextStart), "\(state.waitingSeats)",
                    "\(state.waitingSeats)", seatSeconds(Double(state.waitingSeats) * FairQueues.estimate),
                ])
            }
        }
        return columns(rows)
    }

    private static func requests(_ table: FlowTable, withDetails: Bool) -> String {
        var names = [
            "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
            "InitialSeats", "FinalSeats", "AdditionalLatency",
        ]
        if withDetails {
            names += ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]
        }
        var rows = [names]
        for level in table.levels {
            for state in level.queueStates ?? [] {
                for (position, request) in state.waiting.enumerated() {
                    let origin = request.origin
                    var row = [
                        level.settings.name, origin.schema, "\(state.number)", "\(position)", origin.flow,
                        origin.arrival.formatted(fraction: .nano), "\(request.seats)", "0", "0s",
                    ]
                    if withDetails { row += details(origin) }
                    rows.append(row)
                }
            }
        }
        return columns(rows)
    }

    private static func details(_ origin: FlowOrigin) -> [String] {
        let info = origin.info
        let version = info.group.isEmpty ? info.version : "\(info.group)/\(info.version)"
        return [
            origin.user, info.verb, origin.path, info.namespace, info.name, version, info.resource, info.subresource,
        ]
    }

    /// Rows of equally many cells, with a comma and at least a blank between them, so that columns stand below each other.
    static func columns(_ rows: [[String]]) -> String {
        let count = rows.first?.count ?? 0
        let widths = (0..<count).map { column in
            max(rows.reduce(0) { max($0, $1[column].unicodeScalars.count) } + 2, 8)
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                guard column < count - 1 else { return cell }
                let text = cell + ","
                return text + String(repeating: " ", count: widths[column] - text.unicodeScalars.count)
            }.joined() + "\n"
        }.joined()
    }

    /// Seconds of one seat, with eight digits of their fraction.
    private static func seatSeconds(_ value: Double) -> String {
        let units = Int64((max(value, 0) * 1e8).rounded())
        let fraction = String(units % 100_000_000)
        return "\(units / 100_000_000)." + String(repeating: "0", count: 8 - fraction.count) + fraction + "ss"
    }
}
