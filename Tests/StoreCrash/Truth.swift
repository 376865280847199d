import Kernel
import PluginKit

/// What must be so, from what children reported and from what was checked before: the state at some past revision, and
/// every commit after it.
struct Truth {
    private(set) var floor: UInt64 = 0
    /// Key to revision and value at `floor`.
    private(set) var state: [String: (revision: UInt64, value: ValueName)] = [:]
    private(set) var commits: [UInt64: [Change]] = [:]
    /// Revision of the last commit.
    private(set) var revision: UInt64 = 0
    private(set) var leases: Set<UInt64> = []

    /// Makes a store whose first revision is given up: from revision 0 a watch would mean "from now on".
    init(making directory: String) throws {
        let store: StateStore
        do throws(StoreError) {
            store = try StateStore(directory: directory, options: CrashStore.options())
        } catch {
            throw CrashFailure(error.message)
        }
        defer { store.close() }
        let client = StoreClient(CrashStore.table(of: store))
        let first = ValueName(round: 0, writer: 0, number: 0, part: 0, size: 0)
        revision = try client.create(Load.sharedKey, value: first.bytes, index: first.index)
        try client.compact(revision)
        floor = revision
        state[Load.sharedKey] = (revision, first)
    }

    /// Takes in what one child reported and what the store shows now, or throws what contradicts it.
    mutating func accept(_ report: Report, _ reopened: Reopened) throws {
        let acknowledged = report.acknowledged
        guard reopened.revision >= max(revision, acknowledged.keys.max() ?? 0) else {
            throw CrashFailure(
                "acknowledged writes are lost: the store is at \(reopened.revision), acknowledged was up to "
                    + "\(max(revision, acknowledged.keys.max() ?? 0))")
        }
        var unplaced = Unplaced(doubtful: report.doubtful, revoked: report.revoked)
        for number in revision..<reopened.revision {
            let number = number + 1
            commits[number] = try unplaced.commit(
                number, acknowledged: acknowledged[number], streamed: report.streamed[number],
                history: number > reopened.compacted ? reopened.history[number] ?? [] : nil)
        }
        try unplaced.fillHoles(&commits, upTo: reopened.revision)
        try agree(reopened)
        revision = reopened.revision
        try accept(leases: report, reopened)
        for stream in report.streams { try check(stream) }
        advance(to: reopened.compacted)
    }

    /// The history and the records that the store shows are those that follow from the commits.
    private func agree(_ reopened: Reopened) throws {
        for (number, changes) in reopened.history {
            guard number > floor else { continue }
            guard Set(commits[number] ?? []) == Set(changes) else {
                throw CrashFailure(
                    "revision \(number) was \(describe(commits[number] ?? [])), the history shows \(describe(changes))")
            }
        }
        var expected = state
        for number in floor..<reopened.revision {
            for change in commits[number + 1] ?? [] { expected[change.key] = change.value.map { (number + 1, $0) } }
        }
        for (key, entry) in expected {
            guard let found = reopened.records[key] else {
                throw CrashFailure("\(key), acknowledged at revision \(entry.revision), is not there")
            }
            guard found == entry else {
                throw CrashFailure("\(key) shows \(found), not what was acknowledged last: \(entry)")
            }
        }
        for key in reopened.records.keys where expected[key] == nil {
            throw CrashFailure("\(key) is there, but was deleted or never written")
        }
    }

    private mutating func accept(leases report: Report, _ reopened: Reopened) throws {
        leases.formUnion(report.granted)
        leases.subtract(report.ended)
        guard leases.isSubset(of: reopened.leases) else {
            throw CrashFailure("granted leases are gone: \(leases.subtracting(reopened.leases).sorted())")
        }
        for lease in report.revokedLeases where reopened.leases.contains(lease) {
            throw CrashFailure("lease \(lease) was revoked and lives")
        }
    }

    /// A stream is a gapless prefix of what its filter shows of the commits after where it began.
    private func check(_ stream: Stream) throws {
        guard stream.from >= floor else {
            throw CrashFailure("stream \(stream.filter.text) began at \(stream.from), before the known \(floor)")
        }
        var values = state.mapValues(\.value)
        var expected: [Stream.Event] = []
        for number in floor..<revision {
            for change in commits[number + 1] ?? [] {
                let flags = stream.filter.sees(change, previous: values[change.key])
                values[change.key] = change.value
                if let flags, number + 1 > stream.from {
                    expected.append(.init(revision: number + 1, flags: flags, change: change))
                }
            }
        }
        // Within a revision the order of records is the transaction's, which a revoked lease does not tell.
        let order = { (left: Stream.Event, right: Stream.Event) in
            (left.revision, left.change.key) < (right.revision, right.change.key)
        }
        try stream.check(against: expected.sorted(by: order))
    }

    private func describe(_ changes: [Change]) -> String { changes.map(\.text).sorted().joined(separator: " ") }

    private mutating func advance(to compacted: UInt64) {
        while floor < compacted {
            floor += 1
            for change in commits.removeValue(forKey: floor) ?? [] {
                state[change.key] = change.value.map { (floor, $0) }
            }
        }
    }
}

/// Writes whose revision nobody was told: those in doubt when the process was killed, and revoked leases.
private struct Unplaced {
    var doubtful: [[Change]]
    /// In the order in which the one writer that uses leases revoked them.
    var revoked: [[Change]]
    private var holes: [UInt64] = []

    init(doubtful: [[Change]], revoked: [[Change]]) {
        self.doubtful = doubtful
        self.revoked = revoked.filter { !$0.isEmpty }
    }

    /// What revision `number` was, of which each source knows all, or nothing (nil).
    mutating func commit(
        _ number: UInt64, acknowledged: [Change]?, streamed: [Change]?, history: [Change]?
    ) throws -> [Change] {
        if let acknowledged { return acknowledged }
        guard let seen = history ?? streamed else {
            holes.append(number)
            return []
        }
        let set = Set(seen)
        if let place = doubtful.firstIndex(where: { Set($0) == set }) {
            doubtful.remove(at: place)
        } else if let place = revoked.firstIndex(where: { Set($0) == set }) {
            revoked.remove(at: place)
        } else {
            let text = seen.map(\.text).joined(separator: " ")
            throw CrashFailure("revision \(number) is nobody's write: \(text.isEmpty ? "nothing" : text)")
        }
        return seen
    }

    /// Revisions of which no source knows must be the revoked leases that are left.
    func fillHoles(_ commits: inout [UInt64: [Change]], upTo revision: UInt64) throws {
        guard holes.count == revoked.count else {
            throw CrashFailure(
                "revisions \(holes) are unaccounted for, and \(revoked.count) acknowledged revokes were not seen")
        }
        for (hole, changes) in zip(holes, revoked) { commits[hole] = changes }
    }
}
