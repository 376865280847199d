import Objects

/// The next steps from pods of an old template to pods of the present one: first an old one goes, or, where pods may surge,
/// first a new one comes.
/// See https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/.
struct DaemonRollout {
    /// Nodes that get a new pod beside their old one.
    private(set) var create: [String] = []
    private(set) var delete: [JSON] = []

    /// One node with its active pods.
    private struct Place {
        var node: String
        var old: JSON?
        var new: JSON?
    }

    private let minimum: Int64
    private let now: Timestamp

    /// - Parameters:
    ///   - wanted: the nodes that are to run the daemon.
    ///   - labels: what pods of the present template may be labelled with.
    init(_ set: JSON, wanted: [String], _ byNode: [String: [JSON]], labels: Set<String>, now: Timestamp) {
        minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        self.now = now
        let strategy = set["spec"]["updateStrategy"]
        guard strategy["type"].stringValue != "OnDelete" else { return }
        let places = wanted.map { node in
            let active = (byNode[node] ?? []).filter { PodState($0).isActive }
            return Place(
                node: node, old: active.first { !DaemonPlan.isCurrent($0, labels) },
                new: active.first { DaemonPlan.isCurrent($0, labels) })
        }
        let surge = Self.surge(set, nodes: wanted.count)
        if surge > 0 {
            surgeOver(places, limit: surge)
        } else {
            let limit = strategy["rollingUpdate"]["maxUnavailable"]
            let room = DeploymentSpec.amount(limit.exists ? limit : 1, of: Int64(wanted.count), roundUp: true)
            replace(places, room: max(1, room))
        }
    }

    /// How many nodes may have two pods at once.
    static func surge(_ set: JSON, nodes: Int) -> Int64 {
        let limit = set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"]
        return limit.exists ? DeploymentSpec.amount(limit, of: Int64(nodes), roundUp: true) : 0
    }

    private func isAvailable(_ pod: JSON) -> Bool { PodState(pod).isAvailable(minReadySeconds: minimum, now: now) }

    /// Deletes old pods, as many as may be unavailable at once. Those that do not serve anyway cost nothing.
    private mutating func replace(_ places: [Place], room: Int64) {
        var room = room
        var serving: [JSON] = []
        for place in places {
            if let old = place.old {
                if isAvailable(old) {
                    serving.append(old)
                } else {
                    delete.append(old)
                    room -= 1
                }
            } else if place.new.map({ !isAvailable($0) }) ?? true {
                room -= 1
            }
        }
        delete += serving.prefix(Int(max(0, room)))
    }

    /// Adds new pods, on as many nodes as may have two, and deletes the old ones beside those that serve.
    private mutating func surgeOver(_ places: [Place], limit: Int64) {
        var room = limit
        var candidates: [String] = []
        for place in places {
            guard let old = place.old else { continue }
            if let new = place.new {
                // One that does not serve has nothing to hand over.
                if isAvailable(new) || !PodState(old).isReady { delete.append(old) } else { room -= 1 }
            } else if isAvailable(old) {
                candidates.append(place.node)
            } else {
                create.append(place.node)
            }
        }
        create += candidates.prefix(Int(max(0, room)))
    }
}
