/// A transaction as the store committed it.
public struct Transaction: Equatable, Sendable {
    public var changes: [Seen]
    public init(changes: [Seen]) { self.changes = changes }
}

/// The specification: what each key holds at each revision, given the sequence of all transactions.
public struct StateModel: Sendable {
    /// Index = revision - 1.
    public private(set) var transactions: [Transaction] = []
    /// Of each key all records in order, deletions included.
    private var versions: [String: [Seen]] = [:]
    private var sortedKeys: [String] = []

    public init() {}

    public var revision: UInt64 { UInt64(transactions.count) }
    public func transaction(_ revision: UInt64) -> Transaction { transactions[Int(revision - 1)] }

    public mutating func append(_ transaction: Transaction) {
        for change in transaction.changes {
            if versions[change.key] == nil {
                let place = sortedKeys.firstIndex { StateModel.isBefore(change.key, $0) } ?? sortedKeys.count
                sortedKeys.insert(change.key, at: place)
            }
            versions[change.key, default: []].append(change)
        }
        transactions.append(transaction)
    }

    /// Byte by byte.
    static func isBefore(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

    /// What a key holds at a revision, nil when it does not exist then.
    public func value(_ key: String, at revision: UInt64) -> Seen? {
        guard let found = versions[key]?.last(where: { $0.revision <= revision }), !found.isDelete else { return nil }
        return found
    }

    /// All records of a key, oldest first.
    public func versions(of key: String) -> [Seen] { versions[key] ?? [] }

    /// The whole state under a prefix in key order.
    public func list(prefix: String, app: String?, at revision: UInt64) -> [Seen] {
        sortedKeys.filter { $0.utf8.starts(with: prefix.utf8) }.compactMap { value($0, at: revision) }
            .filter { app == nil || $0.app == app }
    }

    /// The events that a watch is to get after a revision.
    public func events(prefix: String, app: String?, after: UInt64) -> [SeenEvent] {
        var result: [SeenEvent] = []
        guard after < revision else { return [] }
        for number in (after + 1)...revision {
            for change in transaction(number).changes where change.key.utf8.starts(with: prefix.utf8) {
                if let event = event(change, app: app) { result.append(event) }
            }
        }
        return result
    }

    private func event(_ change: Seen, app: String?) -> SeenEvent? {
        let previous = value(change.key, at: change.revision - 1)
        guard let app else { return SeenEvent(record: change, previous: change.isDelete ? previous : nil) }
        let did = previous?.app == app
        if change.isDelete { return did ? SeenEvent(record: change, previous: previous) : nil }
        switch (did, change.app == app) {
        case (false, false): return nil
        case (true, false): return SeenEvent(record: change, entry: .left, previous: previous)
        case (false, true): return SeenEvent(record: change, entry: previous == nil ? .none : .entered)
        case (true, true): return SeenEvent(record: change)
        }
    }

    /// How a write ends at a revision: nil = it happens, otherwise the code, the failed step and the key's revision then.
    public func refusal(of steps: [WriteStep], at revision: UInt64) -> (code: Refusal, step: Int, revision: UInt64)? {
        for (position, step) in steps.enumerated() {
            let current = value(step.key, at: revision)
            let present = current?.revision ?? 0
            switch step.kind {
            case .create where current != nil: return (.exists, position, present)
            case .update, .delete:
                if current == nil { return (.notFound, position, 0) }
                if step.expected != 0 && step.expected != present { return (.conflict, position, present) }
            case .check where step.expected != present: return (.conflict, position, present)
            default: break
            }
        }
        return nil
    }

    public enum Refusal: Sendable { case exists, notFound, conflict }
}
