import Objects
import Synchronization

/// The flow schemas and priority levels that are in force. Another one takes its place when one of them changes.
final class FlowTable: Sendable {
    let schemas: [FlowSchema]
    let levels: [PriorityLevel]
    /// By schema, the position of its level.
    private let levelOf: [Int]
    /// What its answers tell, by schema.
    private let headers: [[(name: String, value: String)]]
    let dispatched: [Counter]

    /// Counts requests of a schema that began to run.
    final class Counter: Sendable {
        let value = Atomic<UInt64>(0)

        /// A request of the schema begins to run at a level.
        func count(_ level: PriorityLevel) {
            value.add(1, ordering: .relaxed)
            level.begins()
        }
    }

    /// Users as schemas see them.
    private struct Subject: Hashable, Sendable {
        var name: String
        var groups: [String]

        // Names tell users apart, and most have the same groups.
        func hash(into hasher: inout Hasher) { hasher.combine(name) }
    }

    private struct Candidate: Sendable {
        var schema: Int
        var rules: [FlowSchema.Rule]
    }

    private static let cacheLimit = 4096
    /// The rules that are about a user, in the order in which schemas are looked at.
    private let candidates = Mutex<[Subject: [Candidate]]>([:])

    /// - Parameters:
    ///   - totalSeats: Of the server, for all levels together.
    init(schemas: [FlowSchema], levels settings: [PriorityLevelSettings], totalSeats: Int) {
        let settings = Self.complete(settings)
        let positions = Dictionary(uniqueKeysWithValues: settings.enumerated().map { ($1.name, $0) })
        // A schema without its level is as if it were not there.
        let known = schemas.filter { positions[$0.level] != nil }
        let hasLast = known.contains { $0.name == "catch-all" }
        self.schemas =
            known.sorted { ($0.precedence, $0.name) < ($1.precedence, $1.name) }
            + (hasLast ? [] : [FlowSchema(FlowObjects.catchAllSchema)])
        levelOf = self.schemas.map { positions[$0.level] ?? 0 }
        let limits = Self.limits(settings, totalSeats: totalSeats)
        let seats = SeatPool(limits)
        let levels = zip(settings, limits).enumerated().map { index, entry in
            PriorityLevel(entry.0, entry.1, seats: seats, index: index)
        }
        self.levels = levels
        seats.onFree(levels.map { level in { level.startWaiting() } })
        headers = zip(self.schemas, levelOf).map { schema, level in
            [
                ("X-Kubernetes-PF-FlowSchema-UID", schema.uid),
                ("X-Kubernetes-PF-PriorityLevel-UID", settings[level].uid),
            ]
        }
        dispatched = self.schemas.map { _ in Counter() }
    }

    /// With the two levels that are always there.
    private static func complete(_ settings: [PriorityLevelSettings]) -> [PriorityLevelSettings] {
        var all = settings
        for object in FlowObjects.mandatoryLevels where !all.contains(where: { $0.name == object.name }) {
            all.append(PriorityLevelSettings(object))
        }
        return all.sorted { $0.name < $1.name }
    }

    /// Each level's part of the seats, rounded up, as Kubernetes divides them.
    static func limits(_ settings: [PriorityLevelSettings], totalSeats: Int) -> [PriorityLevel.Limits] {
        let shares = settings.reduce(0) { $0 + $1.shares }
        return settings.map { level in
            let nominal = shares == 0 ? 0 : (totalSeats * level.shares + shares - 1) / shares
            return .init(
                nominal: nominal, lendable: (nominal * level.lendablePercent + 50) / 100,
                borrowable: level.borrowingLimitPercent.map { (nominal * $0 + 50) / 100 })
        }
    }

    struct Match: Sendable {
        let schema: Int
        let level: PriorityLevel
        let headers: [(name: String, value: String)]
    }

    /// The flow that a request belongs to. What no schema is about goes to the last, which is for everything.
    func match(_ info: RequestInfo, _ user: UserInfo) -> Match {
        let found = candidates(user).first { candidate in candidate.rules.contains { $0.matches(info) } }
        let schema = found?.schema ?? schemas.firstIndex { $0.name == "catch-all" } ?? schemas.count - 1
        return Match(schema: schema, level: levels[levelOf[schema]], headers: headers[schema])
    }

    private func candidates(_ user: UserInfo) -> [Candidate] {
        let subject = Subject(name: user.name, groups: user.groups)
        return candidates.withLock { known in
            if let found = known[subject] { return found }
            let found = schemas.enumerated().compactMap { index, schema -> Candidate? in
                let rules = schema.rules.filter { $0.isAbout(user) }
                return rules.isEmpty ? nil : Candidate(schema: index, rules: rules)
            }
            if known.count >= Self.cacheLimit { known.removeAll() }
            known[subject] = found
            return found
        }
    }
}
