import Objects
import PluginAPI
import PluginKit

/// Where one clause works: an engine, and resources of its own in it.
final class ContractSpace: @unchecked Sendable {
    // SAFETY: `watches` is behind `monitor`; the rest is immutable.
    let engine: StoreEngine
    /// The engine's status when the clause began.
    let before: JSON
    /// Resources that nobody else uses: revisions only grow, and every clause writes.
    let resource: String
    private let monitor = Monitor()
    private var watches: [(handle: UInt64, log: WatchLog)] = []

    init(_ engine: StoreEngine, _ status: JSON) {
        self.engine = engine
        before = status
        resource = "contract\(status["revision"].integerValue ?? 0)"
    }

    var patience: UInt64 { engine.patience }
    var prefix: String { "\(resource)/" }
    func key(_ name: String, _ namespace: String = "n") -> String { "\(resource)/\(namespace)/\(name)" }

    // MARK: What must succeed, and what must not

    @discardableResult
    func done<Value>(_ answer: Result<Value, Refusal>, _ what: @autoclosure () -> String) throws(Violation) -> Value {
        switch answer {
        case .success(let value): return value
        case .failure(let refusal):
            throw Violation("\(what()) fails: \(statusName(refusal.status)): \(refusal.message)")
        }
    }

    func refused<Value>(
        _ answer: Result<Value, Refusal>, with status: Int32, _ what: @autoclosure () -> String, rule: Int? = nil
    ) throws(Violation) {
        switch answer {
        case .success: throw Violation("\(what()) succeeds, where \(statusName(status)) is due", rule: rule)
        case .failure(let refusal):
            try require(
                refusal.status == status,
                "\(what()) answers \(statusName(refusal.status)), where \(statusName(status)) is due: \(refusal.message)",
                rule: rule)
        }
    }

    @discardableResult
    func create(_ name: String, _ value: String, index: [UInt8] = [], lease: UInt64 = 0) throws(Violation) -> UInt64 {
        try done(
            try engine.create(key(name), Array(value.utf8), index: index, lease: lease), "create of \(name)")
    }

    @discardableResult
    func update(
        _ name: String, _ value: String, index: [UInt8] = [], lease: UInt64 = 0, expected: UInt64 = 0
    ) throws(Violation) -> UInt64 {
        try done(
            try engine.update(key(name), Array(value.utf8), index: index, lease: lease, expected: expected),
            "update of \(name)")
    }

    @discardableResult
    func remove(_ name: String, expected: UInt64 = 0) throws(Violation) -> UInt64 {
        try done(try engine.remove(key(name), expected: expected), "remove of \(name)")
    }

    func get(_ name: String, revision: UInt64 = 0) throws(Violation) -> ContractRecord {
        try done(try engine.get(key(name), revision: revision), "get of \(name) at revision \(revision)")
    }

    /// The value of a key, nil when it does not exist.
    func value(_ name: String, revision: UInt64 = 0) throws(Violation) -> String? {
        let answer = try engine.get(key(name), revision: revision)
        if case .success(let record) = answer { return record.text }
        try refused(answer, with: HOSTD_ERROR_NOT_FOUND, "get of \(name) at revision \(revision)")
        return nil
    }

    func list(
        _ prefix: String? = nil, selector: String = "", revision: UInt64 = 0, limit: UInt64 = 0, after: String = ""
    ) throws(Violation) -> ContractPage {
        let prefix = prefix ?? self.prefix
        return try done(
            try engine.list(prefix, selector: selector, revision: revision, limit: limit, after: after),
            "list of \(prefix) with the selector \"\(selector)\" at revision \(revision)")
    }

    func commit(_ steps: Steps) throws(Violation) -> ContractCommit {
        try done(try engine.commit(steps.bytes), "a transaction")
    }

    /// A transaction that must succeed; its revision.
    @discardableResult
    func committed(_ steps: Steps) throws(Violation) -> UInt64 {
        let commit = try commit(steps)
        try require(
            commit.status == HOSTD_OK,
            "a transaction fails at step \(commit.failedStep ?? 0): \(statusName(commit.status))")
        return commit.revision
    }

    /// A watch that ends with the clause.
    func watch(_ prefix: String? = nil, selector: String = "", from: UInt64 = 0) throws(Violation) -> WatchLog {
        let log = WatchLog()
        let handle = try done(
            try engine.watch(prefix ?? self.prefix, selector: selector, from: from, into: log),
            "watch of \(prefix ?? self.prefix) from revision \(from)")
        monitor.locked { watches.append((handle, log)) }
        return log
    }

    /// Ends one watch: nothing comes any more.
    func cancel(_ log: WatchLog) throws(Violation) {
        let handles = monitor.locked { watches.filter { $0.log === log }.map(\.handle) }
        for handle in handles { try done(try engine.cancel(watch: handle), "watch_cancel") }
        log.cancelled()
        for handle in handles { try done(try engine.cancel(watch: handle), "watch_cancel of an ended watch") }
        monitor.locked { watches.removeAll { $0.log === log } }
    }

    /// Ends the clause's watches and takes its keys away. What goes wrong here shows in the next clause.
    func clear() {
        for watch in monitor.locked({ watches }) {
            watch.log.release()
            _ = try? engine.cancel(watch: watch.handle)
        }
        for prefix in [prefix, "\(resource)s/"] {
            guard case .success(let page)? = try? engine.list(prefix) else { continue }
            for key in page.keys { _ = try? engine.remove(key) }
        }
    }

    // MARK: Many at once

    /// Runs `body` with the numbers from 0 in as many threads at once; the first violation of them.
    func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws(Violation) -> Void) throws(Violation) {
        let first = FirstViolation()
        var threads: [PluginThread] = []
        for number in 0..<count {
            let run: @Sendable () -> Void = {
                do throws(Violation) { try body(number) } catch { first.note(error) }
            }
            // The machine is at its limit: one after the other, then.
            do throws(PluginError) { threads.append(try PluginThread(name: "contract", run)) } catch { run() }
        }
        for thread in threads { thread.join() }
        if let violation = first.violation { throw violation }
    }
}

/// The first violation that any of several threads met.
private final class FirstViolation: @unchecked Sendable {
    // SAFETY: `kept` is behind `monitor`.
    private let monitor = Monitor()
    private var kept: Violation?

    var violation: Violation? { monitor.locked { kept } }
    func note(_ violation: Violation) { monitor.locked { kept = kept ?? violation } }
}

/// Index bytes of pairs.
func index(_ pairs: KeyValuePairs<String, String>) -> [UInt8] {
    pairs.flatMap { Array($0.key.utf8) + [0] + Array($0.value.utf8) + [0] }
}
