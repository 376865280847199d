import Glibc
import PluginAPI
import PluginKit

/// One writer of the child. Its keys are its own, so it knows what each must hold; only `Load.sharedKey` is everyone's.
struct Writer {
    private static let keyLimit = 150

    private let load: Load
    private let number: Int
    private let store: StoreClient
    private var random: SeededGenerator
    private var count = 0
    /// What it wrote and was acknowledged: key to revision.
    private var revisions: [String: UInt64] = [:]
    private var keys: [String] = []
    /// A lease that is not revoked yet, and what lies under it.
    private var lease: (identity: UInt64, keys: [String])?

    init(load: Load, number: Int, store: StoreClient) {
        self.load = load
        self.number = number
        self.store = store
        random = SeededGenerator(load.seed &+ UInt64(number) &* 7919)
    }

    private var prefix: String { "objects/w\(number)/" }

    /// Writes until the process is killed or something is wrong, which it reports.
    mutating func run() {
        do throws(PluginError) {
            for record in try store.list(prefix: prefix).records {
                revisions[record.key] = record.revision
                keys.append(record.key)
            }
            while true { try step() }
        } catch {
            Journal.report(.failure("writer \(number), write \(count): \(error) (code \(error.code))"))
        }
    }

    private mutating func step() throws(PluginError) {
        count += 1
        if keys.count > Self.keyLimit && !load.isGrowing { return try remove(some: 1 + random.number(0..<5)) }
        switch random.number(0..<100) {
        case ..<35: try create()
        case ..<60: try update()
        case ..<70: try load.isGrowing ? create() : remove(some: 1)
        case ..<85: try several()
        case ..<95: try share()
        default: try number == 0 ? useLease() : update()
        }
    }

    // MARK: Kinds of writes

    private mutating func newKey() -> String { "\(prefix)r\(load.round)-\(count)-\(random.number(0..<1000))" }

    private mutating func value(_ part: Int = 0) -> ValueName {
        let size = load.isGrowing ? 4000 : random.chance(6) ? 24_000 : 1500
        return ValueName(
            round: load.round, writer: number, number: count, part: part, size: 64 + random.number(0..<size))
    }

    private mutating func existing() -> String? { keys.randomElement(using: &random) }

    private mutating func create() throws(PluginError) {
        let change = Change(newKey(), value())
        try attempt([change]) { store throws(PluginError) in
            try store.create(change.key, value: change.value?.bytes ?? [], index: change.value?.index ?? [])
        }
    }

    private mutating func update() throws(PluginError) {
        guard let key = existing() else { return try create() }
        let change = Change(key, value())
        let expected = random.chance(50) ? revisions[key] ?? 0 : 0
        try attempt([change]) { store throws(PluginError) in
            try store.update(
                key, value: change.value?.bytes ?? [], index: change.value?.index ?? [], expected: expected)
        }
    }

    private mutating func remove(some wanted: Int) throws(PluginError) {
        for _ in 0..<wanted {
            guard let key = existing() else { return }
            let expected = revisions[key] ?? 0
            try attempt([Change(key, nil)]) { store throws(PluginError) in
                try store.remove(key, expected: expected)
            }
            count += 1
        }
    }

    /// A transaction over several keys of its own: puts, deletes, and a check of one that stays.
    private mutating func several() throws(PluginError) {
        var transaction = StoreTransaction()
        var changes: [Change] = []
        var used: Set<String> = []
        if let kept = existing() { transaction.check(kept, expected: revisions[kept] ?? 0) }
        for part in 0..<2 + random.number(0..<6) {
            let key = random.chance(50) ? existing() ?? newKey() : newKey()
            guard used.insert(key).inserted else { continue }
            if let revision = revisions[key], random.chance(40), !load.isGrowing {
                transaction.delete(key, expected: revision)
                changes.append(Change(key, nil))
            } else {
                let new = value(part)
                transaction.put(key, value: new.bytes, index: new.index)
                changes.append(Change(key, new))
            }
        }
        try attempt(changes) { store throws(PluginError) in try store.commitAndWait(transaction) }
    }

    /// Writes the key that all writers share, at the revision that it read, and one of its own with it.
    private mutating func share() throws(PluginError) {
        let found = try store.get(Load.sharedKey)
        let (shared, own) = (value(0), value(1))
        let key = newKey()
        var transaction = StoreTransaction()
        if let found {
            transaction.update(Load.sharedKey, value: shared.bytes, index: shared.index, expected: found.revision)
        } else {
            transaction.create(Load.sharedKey, value: shared.bytes, index: shared.index)
        }
        transaction.create(key, value: own.bytes, index: own.index)
        let conflicts = [HOSTD_ERROR_CONFLICT, HOSTD_ERROR_ALREADY_EXISTS]
        try attempt([Change(Load.sharedKey, shared), Change(key, own)], mayFailWith: conflicts) {
            store throws(PluginError) in try store.commitAndWait(transaction)
        }
    }

    /// Grants a lease and writes under it, or revokes the one that it has.
    private mutating func useLease() throws(PluginError) {
        if let lease {
            let left = lease.keys.filter { revisions[$0] != nil }
            Journal.report(
                .intent(writer: number, number: count, .revoke(lease.identity, left.map { Change($0, nil) })))
            let revoked = try untilThereIsRoom { store throws(PluginError) in
                try store.leaseRevoke(lease.identity)
                return 0
            }
            guard revoked != nil else { return }
            for key in left { forget(key) }
            self.lease = nil
            return
        }
        Journal.report(.intent(writer: number, number: count, .grant))
        let granted = try untilThereIsRoom { store throws(PluginError) in
            try store.leaseGrant(timeToLiveMilliseconds: 3_600_000)
        }
        guard let granted else { return }
        count += 1
        let change = Change("leased/w\(number)/r\(load.round)-\(count)", value())
        let written = try attempt([change]) { store throws(PluginError) in
            try store.create(
                change.key, value: change.value?.bytes ?? [], index: change.value?.index ?? [], lease: granted)
        }
        keys.removeAll { $0 == change.key }
        lease = (granted, written ? [change.key] : [])
    }

    // MARK: Reporting

    private typealias Attempt = (StoreClient) throws(PluginError) -> UInt64

    /// Announces a write, makes it, and reports how it ended. False when it was refused.
    @discardableResult
    private mutating func attempt(
        _ changes: [Change], mayFailWith allowed: [Int32] = [], _ body: Attempt
    ) throws(PluginError) -> Bool {
        Journal.report(.intent(writer: number, number: count, .changes(changes)))
        guard let revision = try untilThereIsRoom(mayFailWith: allowed, body) else { return false }
        for change in changes where change.key.hasPrefix(prefix) || change.key.hasPrefix("leased/") {
            if change.value == nil {
                forget(change.key)
            } else if revisions.updateValue(revision, forKey: change.key) == nil {
                keys.append(change.key)
            }
        }
        return true
    }

    private mutating func forget(_ key: String) {
        revisions[key] = nil
        keys.removeAll { $0 == key }
    }

    /// Reports how a write ended. A full disk is answered as a client should: reads go on, and after the delay that the
    /// error asks for (here at most 20 ms) the next write is tried. nil when it was refused.
    private mutating func untilThereIsRoom(
        mayFailWith allowed: [Int32] = [], _ body: Attempt
    ) throws(PluginError) -> UInt64? {
        do throws(PluginError) {
            let result = try body(store)
            Journal.report(.acknowledged(writer: number, number: count, result))
            return result
        } catch {
            let isFull = error.code == HOSTD_ERROR_NO_SPACE && load.isGrowing
            guard isFull || allowed.contains(error.code) else { throw error }
            Journal.report(
                .refused(writer: number, number: count, code: Int(error.code), message: error.message))
            if isFull {
                try readAll()
                usleep(min(error.retryDelay, 20) * 1000)
            }
            return nil
        }
    }

    private func readAll() throws(PluginError) {
        let found = try store.list(prefix: prefix).records
        let isSame =
            found.count == revisions.keys.count { $0.hasPrefix(prefix) }
            && found.allSatisfy { revisions[$0.key] == $0.revision }
        Journal.report(
            isSame
                ? .readWhileFull(writer: number)
                : .failure("writer \(number) reads something else than it wrote while the disk is full"))
    }
}

extension StoreClient {
    /// Commits and sleeps until the completion has run.
    func commitAndWait(_ transaction: StoreTransaction) throws(PluginError) -> UInt64 {
        let wait = CommitWait()
        try commit(transaction) { wait.finish($0) }
        let commit = wait.result()
        if let error = commit.error { throw error }
        return commit.revision
    }
}

private final class CommitWait: Sendable {
    private let monitor = Monitor()
    // SAFETY: behind `monitor`.
    nonisolated(unsafe) private var commit: StoreCommit?

    func finish(_ commit: StoreCommit) {
        monitor.locked { self.commit = commit }
        monitor.broadcast()
    }

    func result() -> StoreCommit {
        monitor.locked {
            while true {
                if let commit { return commit }
                monitor.wait()
            }
        }
    }
}
