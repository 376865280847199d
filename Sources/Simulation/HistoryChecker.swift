import PluginAPI

/// Holds a history against the specification: what the store promises in `hostd/roles/store.h`.
///
/// The observers' events give the sequence of transactions, and with it (`StateModel`) what each key holds at each
/// revision. Everything else that anybody saw must agree with that sequence, at some revision within the time that the
/// request took: not before what had been seen by anybody when it began, not after what had been asked for when it ended.
public struct HistoryChecker {
    let history: History
    private(set) var model = StateModel()
    public private(set) var problems: [String] = []

    /// Which operation made a transaction; index = revision - 1. nil: a lease that ended, or one that was not answered.
    var makers: [Int?] = []
    /// When each transaction was first seen, virtual nanoseconds.
    var seenTimes: [UInt64] = []
    /// After each moment, the newest revision that somebody had seen.
    private var floors: [UInt64] = []
    /// After each moment, the newest revision that can have existed.
    private var ceilings: [UInt64] = []

    /// Checks all of it; `problems` is empty when the history is as it must be.
    public static func problems(of history: History) -> [String] {
        var checker = HistoryChecker(history)
        checker.check()
        return checker.problems
    }

    init(_ history: History) { self.history = history }

    mutating func fail(_ problem: String) { if problems.count < 20 { problems.append(problem) } }

    private mutating func check() {
        collectTransactions()
        guard problems.isEmpty else { return }
        findMakers()
        bound()
        checkRequests()
        checkWatches()
        checkLeases()
        checkEnd()
    }

    // MARK: The sequence

    /// Builds the model from what the observers saw: revisions from 1 on, none missing, none twice.
    private mutating func collectTransactions() {
        if let seen = history.first.first {
            // A list has the order of keys, the transaction that of its steps.
            let steps = history.operations.lazy.compactMap { operation -> [WriteStep]? in
                guard case .write(let steps) = operation.request else { return nil }
                return steps.contains { $0.tag == seen.tag } ? steps : nil
            }.first
            let order = steps?.map(\.key) ?? []
            let changes = history.first.sorted { left, right in
                (order.firstIndex(of: left.key) ?? 0) < (order.firstIndex(of: right.key) ?? 0)
            }
            append(changes, at: 0, named: "the first list")
        }
        for observer in history.observers {
            for message in observer.messages {
                switch message.content {
                case .events(let events):
                    var changes: [Seen] = []
                    for event in events {
                        if let last = changes.last, last.revision != event.record.revision {
                            append(changes, at: message.time, named: observer.name)
                            changes = []
                        }
                        changes.append(event.record)
                    }
                    append(changes, at: message.time, named: observer.name)
                case .resync: fail("\(observer.name) is told to list again, but nothing that it needs was given up")
                case .progress(let revision):
                    if revision > model.revision {
                        fail(
                            "\(observer.name) is told that it has all up to \(revision), it has up to \(model.revision)"
                        )
                    }
                case .end: break
                }
            }
        }
    }

    private mutating func append(_ changes: [Seen], at time: UInt64, named observer: String) {
        guard let first = changes.first else { return }
        guard first.revision == model.revision + 1 else {
            return fail("\(observer) gets revision \(first.revision) after \(model.revision)")
        }
        for change in changes {
            let before = model.value(change.key, at: model.revision)
            if change.tag == .max { fail("revision \(change.revision) of \(change.key) has a value that nobody wrote") }
            if change.isDelete {
                if before == nil { fail("revision \(change.revision) deletes \(change.key), which does not exist") }
                continue
            }
            let created = before?.createRevision ?? change.revision
            let version = (before?.version ?? 0) + 1
            if change.createRevision != created || change.version != version {
                fail(
                    "revision \(change.revision) of \(change.key) says creation \(change.createRevision), version "
                        + "\(change.version); it is \(created), \(version)")
            }
        }
        model.append(Transaction(changes: changes))
        seenTimes.append(time)
    }

    /// The operation of each transaction, found by its values, or for deletions by its answer.
    private mutating func findMakers() {
        makers = Array(repeating: nil, count: Int(model.revision))
        var byTag: [UInt64: Int] = [:]
        for (position, operation) in history.operations.enumerated() {
            guard case .write(let steps) = operation.request else { continue }
            for step in steps where step.isPut { byTag[step.tag] = position }
            guard case .done(let revision)? = operation.response, steps.contains(where: { $0.kind != .check }) else {
                continue
            }
            guard revision >= 1, revision <= model.revision else {
                fail("operation \(position) was acknowledged at revision \(revision), the last is \(model.revision)")
                continue
            }
            if let other = makers[Int(revision - 1)] {
                fail("operations \(other) and \(position) were both acknowledged at revision \(revision)")
            }
            makers[Int(revision - 1)] = position
        }
        guard model.revision > 0 else { return }
        for revision in 1...model.revision { findMaker(of: revision, byTag) }
    }

    private mutating func findMaker(of revision: UInt64, _ byTag: [UInt64: Int]) {
        let changes = model.transaction(revision).changes
        for change in changes where !change.isDelete {
            guard let maker = byTag[change.tag] else {
                fail("revision \(revision) has a value that nobody asked for")
                continue
            }
            if let known = makers[Int(revision - 1)], known != maker {
                fail("revision \(revision) was acknowledged to operation \(known) and has a value of \(maker)")
            }
            makers[Int(revision - 1)] = maker
        }
        guard let maker = makers[Int(revision - 1)] else { return checkDeletion(revision, changes) }
        compare(revision, changes, with: maker)
    }

    /// A transaction is whole, was not refused, and its preconditions hold.
    private mutating func compare(_ revision: UInt64, _ changes: [Seen], with maker: Int) {
        guard case .write(let steps) = history.operations[maker].request else { return }
        switch history.operations[maker].response {
        case .done(let acknowledged) where acknowledged != revision:
            fail("operation \(maker) was acknowledged at revision \(acknowledged) and happened at \(revision)")
        case .failed(let code, _, _, let message) where code != HOSTD_ERROR_UNAVAILABLE:
            fail("operation \(maker) was refused (\(message)) and happened at revision \(revision)")
        default: break
        }
        let wanted = steps.filter { $0.kind != .check }
        let isWhole =
            wanted.count == changes.count
            && zip(wanted, changes).allSatisfy { step, change in
                step.key == change.key && step.isPut != change.isDelete
                    && (change.isDelete || step.tag == change.tag && step.lease == change.lease)
            }
        if !isWhole { fail("revision \(revision) is not what operation \(maker) asked for: \(changes) for \(steps)") }
        if let refusal = model.refusal(of: steps, at: revision - 1) {
            fail(
                "operation \(maker) happened at revision \(revision) although step \(refusal.step) must fail: \(refusal)"
            )
        }
        checkLease(of: steps, maker, at: revision)
    }

    /// Deletions that nobody was acknowledged: by a lease, or by a request without an answer.
    private mutating func checkDeletion(_ revision: UInt64, _ changes: [Seen]) {
        let leases = Set(changes.map { model.value($0.key, at: revision - 1)?.lease ?? 0 })
        if leases.count == 1, leases != [0] { return }  // See `checkLeases`.
        let isAsked = history.operations.contains { operation in
            guard case .write(let steps) = operation.request, operation.isOpen else { return false }
            let wanted = steps.filter { $0.kind != .check }
            return wanted.allSatisfy { $0.kind == .delete } && wanted.map(\.key) == changes.map(\.key)
        }
        if !isAsked { fail("revision \(revision) deletes \(changes.map(\.key)), which nobody asked for") }
    }

    // MARK: Bounds

    /// For each moment, which revisions can be the present one.
    private mutating func bound() {
        let last = history.operations.reduce(0) { max($0, $1.end ?? $1.begin) }
        let moments =
            1 + (history.observers + history.watches).reduce(last) { max($0, $1.messages.last?.moment ?? $1.begin) }
        floors = Array(repeating: 0, count: moments + 1)
        ceilings = Array(repeating: 0, count: moments + 1)
        for operation in history.operations {
            guard let end = operation.end else { continue }
            switch operation.response {
            case .done(let revision): raise(&floors, end, revision)
            case .record(let seen): raise(&floors, end, seen.revision)
            case .page(let revision, _, _, _): raise(&floors, end, revision)
            default: break
            }
        }
        for message in (history.observers + history.watches).flatMap(\.messages) {
            switch message.content {
            case .events(let events): raise(&floors, message.moment, events.last?.record.revision ?? 0)
            case .progress(let revision): raise(&floors, message.moment, revision)
            default: break
            }
        }
        for (index, maker) in makers.enumerated() {
            raise(&ceilings, maker.map { history.operations[$0].begin } ?? 0, UInt64(index + 1))
        }
        for moment in floors.indices.dropFirst() {
            floors[moment] = max(floors[moment], floors[moment - 1])
            ceilings[moment] = max(ceilings[moment], ceilings[moment - 1])
        }
        var newest = 0
        for (index, maker) in makers.enumerated() {
            guard let maker else { continue }
            // What was not answered before a crash happened before all that was asked after it, or never.
            let epoch = history.epochs.lastIndex { $0.begin < history.operations[maker].begin } ?? 0
            if epoch < newest {
                fail(
                    "operation \(maker) of life \(epoch) happens at revision \(index + 1), after one of life \(newest)")
            }
            newest = max(newest, epoch)
            let floor = floors[history.operations[maker].begin]
            if floor >= UInt64(index + 1) {
                fail("operation \(maker) happened at revision \(index + 1), but began after revision \(floor) was seen")
            }
        }
    }

    private func raise(_ bounds: inout [UInt64], _ moment: Int, _ revision: UInt64) {
        bounds[moment] = max(bounds[moment], revision)
    }

    /// The revisions of which one was the present one while a request ran.
    func window(_ begin: Int, _ end: Int?) -> ClosedRange<UInt64> {
        let floor = floors[min(begin, floors.count - 1)]
        let ceiling = ceilings[min(end ?? ceilings.count - 1, ceilings.count - 1)]
        return floor...max(floor, min(ceiling, model.revision))
    }

    /// Whether history after `revision` may have been given up when a request ended.
    func mayBeCompacted(_ revision: UInt64, by end: Int) -> Bool {
        let asked = history.operations.contains {
            if case .compact(let target) = $0.request { $0.begin < end && target > revision } else { false }
        }
        if asked { return true }
        let last = window(end, end).upperBound
        guard history.historyCount > 0, revision < last else { return false }
        return ((revision + 1)...last).reduce(0) { $0 + model.transaction($1).changes.count } > history.historyCount
    }

    // MARK: The end

    private mutating func checkEnd() {
        guard history.isFinished else { return }
        if history.finalRevision != model.revision {
            fail("the last list shows revision \(history.finalRevision), the last transaction is \(model.revision)")
        }
        let expected = model.list(prefix: "", app: nil, at: model.revision)
        if history.finalRecords != expected { fail("the last list shows \(history.finalRecords), not \(expected)") }
        for record in expected where record.lease != 0 {
            fail("\(record.key) is still there at the end, although its lease \(record.lease) is long over")
        }
    }
}

extension Operation {
    /// Whether nobody was told how it ended: it may have happened or not.
    var isOpen: Bool {
        switch response {
        case nil: true
        case .failed(let code, _, _, _): code == HOSTD_ERROR_UNAVAILABLE
        default: false
        }
    }
}
