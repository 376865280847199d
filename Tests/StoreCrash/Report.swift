/// One watch of a child as it reported it.
struct Stream {
    struct Event: Hashable {
        var revision: UInt64
        var flags: StreamFlags
        var change: Change
    }

    var filter: StreamFilter
    var from: UInt64
    var events: [Event] = []
    /// A progress mark: all up to the revision had been delivered when this many events had.
    var marks: [(revision: UInt64, count: Int)] = []

    /// `expected` is in the order of revision and key.
    func check(against expected: [Event]) throws {
        var position = 0
        while position < events.count {
            let revision = events[position].revision
            let end = events[position...].firstIndex { $0.revision != revision } ?? events.count
            let seen = events[position..<end].sorted { $0.change.key < $1.change.key }
            let wanted = expected.dropFirst(position).prefix { $0.revision <= revision }
            // The kill may have cut the last transaction.
            let isSame = end == events.count ? Set(seen).isSubset(of: wanted) : seen.elementsEqual(wanted)
            guard isSame, wanted.first?.revision == revision else {
                let missed = wanted.first { !seen.contains($0) } ?? seen.first
                throw CrashFailure(
                    "watch \(filter.text) from \(from) has a gap or too much: event \(position) is \(seen), "
                        + "expected was \(missed.map { "\($0)" } ?? "nothing")")
            }
            position = end
        }
        for mark in marks {
            let wanted = expected.count { $0.revision <= mark.revision }
            guard mark.count == wanted else {
                throw CrashFailure(
                    "watch \(filter.text) from \(from) was told that all up to \(mark.revision) was delivered after "
                        + "\(mark.count) events of \(wanted)")
            }
        }
    }
}

/// What a child reported until it was killed.
struct Report {
    private struct Identity: Hashable {
        var writer: Int
        var number: Int
    }

    /// Whether it got as far as having the store open.
    private(set) var isOpened = false
    private(set) var acknowledged: [UInt64: [Change]] = [:]
    private(set) var acknowledgedCount = 0
    private(set) var refusedCount = 0
    private(set) var readsWhileFull = 0
    private(set) var eventCount = 0
    /// Writes that had neither been acknowledged nor refused.
    private(set) var doubtful: [[Change]] = []
    /// The changes of acknowledged revokes, whose revision nobody was told.
    private(set) var revoked: [[Change]] = []
    private(set) var granted: Set<UInt64> = []
    private(set) var revokedLeases: Set<UInt64> = []
    /// Leases whose revoke was at least asked for.
    private(set) var ended: Set<UInt64> = []
    private(set) var streams: [Stream] = []

    private var pending: [Identity: JournalLine.Intent] = [:]

    init(_ lines: [JournalLine]) throws {
        var numbers: [Int: Int] = [:]
        for line in lines { try take(line, &numbers) }
        for intent in pending.values {
            switch intent {
            case .changes(let changes): doubtful.append(changes)
            case .revoke(_, let changes): if !changes.isEmpty { doubtful.append(changes) }
            case .grant: break
            }
        }
    }

    private mutating func take(_ line: JournalLine, _ numbers: inout [Int: Int]) throws {
        switch line {
        case .opened: isOpened = true
        case .failure(let message): throw CrashFailure("a child reports: \(message)")
        case .readWhileFull: readsWhileFull += 1
        case .intent(let writer, let number, let intent):
            pending[Identity(writer: writer, number: number)] = intent
            if case .revoke(let lease, _) = intent { ended.insert(lease) }
        case .acknowledged(let writer, let number, let result):
            try settle(pending.removeValue(forKey: Identity(writer: writer, number: number)), result)
        case .refused(let writer, let number, _, _):
            refusedCount += 1
            if case .revoke(let lease, _) = pending.removeValue(forKey: Identity(writer: writer, number: number)) {
                ended.remove(lease)
            }
        case .watching(let stream, let from, let filter):
            numbers[stream] = streams.count
            streams.append(Stream(filter: filter, from: from))
        case .event(let stream, let revision, let flags, let change):
            eventCount += 1
            if let place = numbers[stream] {
                streams[place].events.append(.init(revision: revision, flags: flags, change: change))
            }
        case .progress(let stream, let revision):
            if let place = numbers[stream] { streams[place].marks.append((revision, streams[place].events.count)) }
        case .ended(_, let reason):
            guard reason == "resync" || reason == "compacted" else {
                throw CrashFailure("a watch ended by itself: \(reason)")
            }
        }
    }

    private mutating func settle(_ intent: JournalLine.Intent?, _ result: UInt64) throws {
        acknowledgedCount += 1
        switch intent {
        case .changes(let changes):
            guard acknowledged.updateValue(changes, forKey: result) == nil else {
                throw CrashFailure("revision \(result) was acknowledged to two writers")
            }
        case .grant: granted.insert(result)
        case .revoke(let lease, let changes):
            revokedLeases.insert(lease)
            revoked.append(changes)
        case nil: throw CrashFailure("a write was acknowledged that was not announced")
        }
    }

    /// What the watch of everything saw, by revision, but for the last one, which the kill may have cut.
    var streamed: [UInt64: [Change]] {
        var result: [UInt64: [Change]] = [:]
        for stream in streams where stream.filter == .everything {
            guard let last = stream.events.last?.revision else { continue }
            for event in stream.events where event.revision < last {
                result[event.revision, default: []].append(event.change)
            }
        }
        return result
    }
}
