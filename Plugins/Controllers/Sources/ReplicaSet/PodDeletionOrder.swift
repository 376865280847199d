import Objects

/// The order in which surplus pods go, Kubernetes' ranking: what is least useful first.
struct PodDeletionOrder {
    private struct Entry {
        var pod: JSON
        var isAssigned: Bool
        var phaseRank: Int
        var isReady: Bool
        var cost: Int32
        /// How many related pods share the node.
        var crowd: Int
        /// Logarithm of the seconds since ready and since creation: near ages count as equal.
        var readyAge: Int
        var restarts: Int64
        var age: Int
        var uid: String
    }

    /// The `count` pods to delete.
    /// - Parameters:
    ///   - pods: active pods of the ReplicaSet.
    ///   - related: active pods of all ReplicaSets of the same owner, these included; they tell how crowded a node is.
    static func choose(_ count: Int, of pods: [JSON], related: [JSON], now: Timestamp) -> [JSON] {
        if count >= pods.count { return pods }
        var crowds: [String: Int] = [:]
        for pod in related where PodState(pod).isActive { crowds[PodState(pod).nodeName, default: 0] += 1 }
        let entries = pods.map { entry($0, crowds, now) }
        return entries.sorted(by: goesBefore).prefix(count).map(\.pod)
    }

    private static func entry(_ pod: JSON, _ crowds: [String: Int], _ now: Timestamp) -> Entry {
        let state = PodState(pod)
        let phaseRank =
            switch state.phase {
            case "Pending", "": 0
            case "Unknown": 1
            default: 2
            }
        return Entry(
            pod: pod, isAssigned: !state.nodeName.isEmpty, phaseRank: phaseRank, isReady: state.isReady,
            cost: state.deletionCost, crowd: crowds[state.nodeName] ?? 0, readyAge: ageRank(state.readySince, now),
            restarts: state.restarts, age: ageRank(pod["metadata"]["creationTimestamp"].timestamp, now),
            uid: pod["metadata"]["uid"].stringValue ?? "")
    }

    private static func ageRank(_ since: Timestamp?, _ now: Timestamp) -> Int {
        guard let since else { return 0 }
        let seconds = max(0, now.seconds - since.seconds)
        return Int64.bitWidth - (seconds + 1).leadingZeroBitCount
    }

    private static func goesBefore(_ one: Entry, _ other: Entry) -> Bool {
        if one.isAssigned != other.isAssigned { return !one.isAssigned }
        if one.phaseRank != other.phaseRank { return one.phaseRank < other.phaseRank }
        if one.isReady != other.isReady { return !one.isReady }
        if one.cost != other.cost { return one.cost < other.cost }
        if one.crowd != other.crowd { return one.crowd > other.crowd }
        if one.readyAge != other.readyAge { return one.readyAge < other.readyAge }
        if one.restarts != other.restarts { return one.restarts > other.restarts }
        if one.age != other.age { return one.age < other.age }
        return one.uid < other.uid
    }
}
