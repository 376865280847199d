import Objects

/// One PriorityLevelConfiguration, read.
/// See https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#prioritylevelconfiguration.
struct PriorityLevelSettings: Sendable, Equatable {
    /// How requests wait for seats.
    struct Queuing: Sendable, Equatable {
        var queues: Int
        /// Of how many queues a flow takes the shortest.
        var handSize: Int
        var lengthLimit: Int
    }

    let name: String
    let uid: String
    /// Whether requests run at once, whatever else runs.
    let isExempt: Bool
    /// Of the server's seats, in proportion to those of all levels.
    let shares: Int
    let lendablePercent: Int
    /// Of its own seats; nil = as many as others lend.
    let borrowingLimitPercent: Int?
    /// Nil: what finds no seat is refused.
    let queuing: Queuing?

    init(_ object: JSON) {
        name = object.name
        uid = object.uid
        let spec = object["spec"]
        isExempt = spec["type"].stringValue == "Exempt"
        let limits = spec[isExempt ? "exempt" : "limited"]
        func count(_ json: JSON, _ fallback: Int) -> Int { json.integerValue.map { Int(clamping: $0) } ?? fallback }
        shares = max(count(limits["nominalConcurrencyShares"], isExempt ? 0 : 30), 0)
        lendablePercent = min(max(count(limits["lendablePercent"], 0), 0), 100)
        borrowingLimitPercent = limits["borrowingLimitPercent"].integerValue.map { Int(clamping: max($0, 0)) }
        let response = limits["limitResponse"]
        guard response["type"].stringValue == "Queue" else {
            queuing = nil
            return
        }
        let queues = min(max(count(response["queuing"]["queues"], 64), 1), 10_000_000)
        queuing = Queuing(
            queues: queues, handSize: min(max(count(response["queuing"]["handSize"], 8), 1), queues),
            lengthLimit: max(count(response["queuing"]["queueLengthLimit"], 50), 1))
    }
}
