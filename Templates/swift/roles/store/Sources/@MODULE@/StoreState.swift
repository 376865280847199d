import PluginAPI
import PluginKit

/// What the store knows, and how it changes. Time and watches are looked after by Watches.swift.
struct StoreState {
    struct Change {
        let record: Record
        let previous: Record?
    }
    struct Lease {
        let timeToLive: UInt64
        var expires: UInt64  // Monotonic nanoseconds, as `timeToLive`.
    }
    /// Why a transaction did not happen.
    struct Refusal: Error {
        let step: UInt32
        /// Of the key that failed the precondition; 0 = absent.
        let revision: UInt64
        let failure: any Error
    }

    /// Changes that can be watched from and read at; older ones are given up.
    private static let historyLimit = 20_000
    private let log: LogFile
    private(set) var revision: UInt64 = 0
    private(set) var compacted: UInt64 = 0
    /// Each key's records, deletes included, oldest first; the first may be from before `compacted`.
    private var histories: [[UInt8]: [Record]] = [:]
    /// The keys of `histories` in their order.
    private var keys: [[UInt8]] = []
    private(set) var changes: [Change] = []
    var leases: [UInt64: Lease] = [:]
    private var lastLease: UInt64 = 0

    /// Reads the log, and begins a new one without history.
    init(path: String) throws {
        var latest: [[UInt8]: Record] = [:]
        for record in try LogFile.read(path) {
            revision = max(revision, record.revision)
            lastLease = max(lastLease, record.lease)
            if record.kind == Record.logLease {
                leases[record.lease] = record.version > 0 ? Self.lease(record.version) : nil
            } else if !record.key.isEmpty {
                latest[record.key] = record.isPut ? record : nil
            }
        }
        compacted = revision
        keys = latest.keys.sorted { $0.lexicographicallyPrecedes($1) }
        histories = latest.mapValues { [$0] }
        log = try LogFile(path: path, entries: Self.snapshot(revision, leases, Array(latest.values)))
    }

    private static func lease(_ milliseconds: UInt64) -> Lease {
        let timeToLive = min(milliseconds, 1 << 40) * 1_000_000
        return Lease(timeToLive: timeToLive, expires: monotonicNanoseconds() + timeToLive)
    }

    /// All that is needed to begin again from here, as entries of a log.
    private static func snapshot(_ revision: UInt64, _ leases: [UInt64: Lease], _ records: [Record]) -> [UInt8] {
        var mark = Record(kind: Record.logRevision)
        mark.revision = revision
        let ends = leases.map { id, lease in LogFile.entry([leaseRecord(id, lease.timeToLive / 1_000_000)]) }
        return LogFile.entry([mark]) + ends.flatMap { $0 } + records.flatMap { LogFile.entry([$0]) }
    }

    func snapshot() -> [UInt8] { Self.snapshot(revision, leases, keys.compactMap { current($0) }) }

    private static func leaseRecord(_ id: UInt64, _ milliseconds: UInt64) -> Record {
        var record = Record(kind: Record.logLease)
        (record.lease, record.version) = (id, milliseconds)
        return record
    }

    // MARK: Reading

    private func current(_ key: [UInt8]) -> Record? { record(key, at: .max) }

    private func record(_ key: [UInt8], at revision: UInt64) -> Record? {
        let found = histories[key]?.last { $0.revision <= revision }
        return found?.isPut == true ? found : nil
    }

    private func checked(_ revision: UInt64) throws -> UInt64 {
        if revision == 0 { return self.revision }
        guard revision <= self.revision else { throw PluginError.invalid("revision \(revision) is not reached yet") }
        guard revision >= compacted else {
            throw PluginError(code: HOSTD_ERROR_COMPACTED, message: "revision \(revision) is no longer kept")
        }
        return revision
    }

    func get(_ key: [UInt8], at revision: UInt64) throws -> Record {
        try StoreText.checkKey(key)
        guard let found = record(key, at: try checked(revision)) else {
            throw PluginError.notFound("there is no \(String(decoding: key, as: UTF8.self))")
        }
        return found
    }

    /// A page as it crosses: hostd_store_page.
    func list(_ prefix: [UInt8], _ selector: Selector, at wanted: UInt64, limit: UInt64, after: [UInt8]) throws
        -> [UInt8]
    {
        let revision = try checked(wanted)
        var (records, count, remaining): ([UInt8], UInt64, UInt64) = ([], 0, 0)
        let start = prefix.lexicographicallyPrecedes(after) ? after : prefix
        for key in keys[position(of: start)...] {
            guard key.starts(with: prefix) else { break }
            guard key != after, let record = record(key, at: revision) else { continue }
            if limit > 0, count == limit {
                remaining += 1
            } else if selector.matches(record.index) {
                record.encode(into: &records)
                count += 1
            }
        }
        var page: [UInt8] = []
        page.append(UInt32(32))
        page.append(UInt32(remaining > 0 ? 1 : 0))
        for number in [revision, count, remaining] { page.append(number) }
        return page + records
    }

    /// Where a key is or would be.
    private func position(of key: [UInt8]) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    var size: (keys: Int, bytes: Int) {
        keys.reduce((0, 0)) { sum, key in
            guard let record = current(key) else { return sum }
            return (sum.0 + 1, sum.1 + record.value.count)
        }
    }

    // MARK: Writing

    /// All steps under one revision, or none. Returns the revision.
    mutating func commit(_ steps: [Operation]) throws(Refusal) -> UInt64 {
        var staged: [Change] = []
        for (place, step) in steps.enumerated() {
            // What an earlier step of the same transaction has done counts.
            let earlier = staged.last { $0.record.key == step.key }?.record
            let before = earlier.map { $0.isPut ? $0 : nil } ?? current(step.key)
            do {
                if let record = try record(of: step, before) { staged.append(Change(record: record, previous: before)) }
            } catch {
                throw Refusal(step: UInt32(place), revision: before?.revision ?? 0, failure: error)
            }
        }
        if staged.isEmpty { return revision }
        do { try log.append(LogFile.entry(staged.map(\.record))) } catch {
            throw Refusal(step: .max, revision: 0, failure: error)
        }
        revision += 1
        for change in staged {
            let key = change.record.key
            if histories[key] == nil { keys.insert(key, at: position(of: key)) }
            histories[key, default: []].append(change.record)
            changes.append(change)
        }
        if changes.count > Self.historyLimit { forget(before: changes[Self.historyLimit / 2].record.revision - 1) }
        return revision
    }

    mutating func commit(one step: Operation) throws -> UInt64 {
        do { return try commit([step]) } catch { throw error.failure }
    }

    /// What a step writes, if anything.
    private func record(of step: Operation, _ before: Record?) throws -> Record? {
        try step.check()
        let present = before?.revision ?? 0
        let changes = step.kind == HOSTD_STORE_UPDATE || step.kind == HOSTD_STORE_DELETE
        if step.kind == HOSTD_STORE_CREATE, before != nil { throw PluginError.alreadyExists("\(step.name) exists") }
        if changes, before == nil { throw PluginError.notFound("there is no \(step.name)") }
        if (changes && step.expected != 0) || step.kind == HOSTD_STORE_CHECK, step.expected != present {
            throw PluginError.conflict("\(step.name) is at revision \(present), not \(step.expected)")
        }
        guard step.lease == 0 || leases[step.lease] != nil else {
            throw PluginError.notFound("there is no lease \(step.lease)")
        }
        if step.kind == HOSTD_STORE_CHECK { return nil }
        let isDelete = step.kind == HOSTD_STORE_DELETE
        var record = Record(kind: UInt32(isDelete ? HOSTD_STORE_RECORD_DELETE : HOSTD_STORE_RECORD_PUT))
        record.key = step.key
        record.revision = revision + 1
        record.createRevision = before?.createRevision ?? revision + 1
        if !isDelete {
            record.version = (before?.version ?? 0) + 1
            (record.lease, record.index, record.value) = (step.lease, step.index, step.value)
        }
        return record
    }

    mutating func compact(_ revision: UInt64) throws {
        guard revision <= self.revision else { throw PluginError.invalid("revision \(revision) is not reached yet") }
        forget(before: revision)
    }

    private mutating func forget(before revision: UInt64) {
        changes.removeAll { $0.record.revision <= revision }
        for (key, history) in histories {
            var needed = history.lastIndex { $0.revision <= revision } ?? 0
            if !history[needed].isPut, history[needed].revision <= revision { needed += 1 }
            if needed == 0 { continue }
            histories[key] = needed == history.count ? nil : Array(history[needed...])
        }
        keys.removeAll { histories[$0] == nil }
        compacted = max(compacted, revision)
    }

    // MARK: Leases

    mutating func grant(milliseconds: UInt64) throws -> UInt64 {
        guard milliseconds > 0 else { throw PluginError.invalid("a lease needs a time to live") }
        try log.append(LogFile.entry([Self.leaseRecord(lastLease + 1, milliseconds)]))
        lastLease += 1
        leases[lastLease] = Self.lease(milliseconds)
        return lastLease
    }

    mutating func keepAlive(_ id: UInt64) throws {
        guard let lease = leases[id] else { throw PluginError.notFound("there is no lease \(id)") }
        leases[id]?.expires = monotonicNanoseconds() + lease.timeToLive
    }

    /// Ends a lease, and deletes what was written under it.
    mutating func revoke(_ id: UInt64) throws {
        guard leases[id] != nil else { throw PluginError.notFound("there is no lease \(id)") }
        let held = keys.filter { current($0)?.lease == id }
        do { _ = try commit(held.map { Operation(HOSTD_STORE_DELETE, key: $0) }) } catch { throw error.failure }
        try log.append(LogFile.entry([Self.leaseRecord(id, 0)]))
        leases[id] = nil
    }
}
