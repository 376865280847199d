import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// Which thread runs sinks and completions, by what their owners have promised.
final class PromptSinkTests: XCTestCase {
    /// Notes in which order what happened, and on which threads.
    private final class Journal: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var entries: [(what: String, thread: UInt)] = []

        func note(_ what: String) {
            monitor.locked {
                entries.append((what, KernelThread.current))
                monitor.broadcast()
            }
        }

        func sink(_ name: String) -> Watch.Sink {
            { [self] kind, data in
                switch kind {
                case HOSTD_SINK_DATA: for record in Stored.all(in: data) { note("\(name) \(record.key)") }
                case HOSTD_SINK_PROGRESS: note("\(name) progress")
                default: note("\(name) end")
                }
            }
        }

        /// The thread on which something happened, which is waited for.
        func thread(of what: String, file: StaticString = #filePath, line: UInt = #line) -> UInt {
            let deadline = monotonicNow() + 60_000_000_000
            return monitor.locked {
                while true {
                    if let entry = entries.first(where: { $0.what == what }) { return entry.thread }
                    guard monitor.wait(until: deadline) else { break }
                }
                XCTFail("\(what) did not happen, but \(entries.map(\.what))", file: file, line: line)
                return 0
            }
        }

        var order: [String] { monitor.locked { entries.map(\.what) } }
    }

    private let directory = TemporaryDirectory()
    private let journal = Journal()

    private func open() throws -> StateStore {
        try StateStore(directory: directory.path + "/store", options: smallOptions())
    }

    /// Writes keys in one transaction and notes when it is complete.
    private func commit(_ store: StateStore, _ name: String, keys: [String], isPrompt: Bool) throws {
        let bytes = keys.enumerated().flatMap { position, key in
            operation(
                HOSTD_STORE_PUT, key, "v", flags: position == 0 && isPrompt ? HOSTD_STORE_OPERATION_PROMPT : 0)
        }
        try bytes.withUnsafeBytes { bytes in
            try store.transaction(bytes) { [journal] outcome in journal.note("\(name) \(outcome.status)") }
        }
    }

    /// Begins a watch of pods and waits until it is up to date, and the thread that brought it there has left it.
    private func watch(_ store: StateStore, _ name: String, isPrompt: Bool) throws -> UInt64 {
        let handle = try store.watch("pods/", journal.sink(name))
        if isPrompt { store.parts.hub.setPrompt(handle) }
        _ = journal.thread(of: "\(name) progress")
        waitForRest(store, handle)
        return handle
    }

    private func waitForRest(_ store: StateStore, _ watch: UInt64) {
        let deadline = monotonicNow() + 60_000_000_000
        while !store.parts.hub.isAtRest(watch) {
            guard monotonicNow() < deadline else { return XCTFail("the watch does not come to rest") }
            sched_yield()
        }
    }

    func testTheCommitterServesThoseWhoPromiseToReturn() throws {
        let store = try open()
        defer { store.close() }
        _ = try watch(store, "prompt", isPrompt: true)
        _ = try watch(store, "other", isPrompt: false)
        try commit(store, "quick", keys: ["pods/d/a"], isPrompt: true)
        let committer = journal.thread(of: "quick 0")
        XCTAssertEqual(journal.thread(of: "prompt pods/d/a"), committer)
        XCTAssertNotEqual(journal.thread(of: "other pods/d/a"), committer)
        let order = journal.order.filter { $0.hasPrefix("prompt pods") || $0.hasPrefix("quick") }
        XCTAssertEqual(order, ["prompt pods/d/a", "quick 0"], "watches hear of a write no later than who wrote")
        try commit(store, "slow", keys: ["pods/d/b"], isPrompt: false)
        XCTAssertNotEqual(journal.thread(of: "slow 0"), committer)
        XCTAssertEqual(journal.thread(of: "prompt pods/d/b"), committer)
    }

    func testManyEventsAreLeftToTheDispatchers() throws {
        let store = try open()
        defer { store.close() }
        _ = try watch(store, "prompt", isPrompt: true)
        try commit(store, "many", keys: (0..<40).map { "pods/d/\($0)" }, isPrompt: true)
        let committer = journal.thread(of: "many 0")
        XCTAssertNotEqual(journal.thread(of: "prompt pods/d/39"), committer)
        try commit(store, "one", keys: ["pods/d/last"], isPrompt: true)
        _ = journal.thread(of: "prompt pods/d/last")
        let events = journal.order.filter { $0.hasPrefix("prompt pods") }
        XCTAssertEqual(events, (0..<40).map { "prompt pods/d/\($0)" } + ["prompt pods/d/last"], "in order all the same")
    }

    func testWhoBreaksNoPromiseIsNotHeldUpByWhoMadeNone() throws {
        let store = try open()
        defer { store.close() }
        let gate = Monitor()
        nonisolated(unsafe) var isOpen = false  // Under `gate`.
        let stuck = try store.watch("pods/") { kind, _ in
            if kind == HOSTD_SINK_DATA { gate.locked { while !isOpen { gate.wait() } } }
        }
        _ = try watch(store, "prompt", isPrompt: true)
        for number in 0..<20 {
            try commit(store, "quick \(number)", keys: ["pods/d/\(number)"], isPrompt: true)
            _ = journal.thread(of: "prompt pods/d/\(number)")
            _ = journal.thread(of: "quick \(number) 0")
        }
        gate.locked {
            isOpen = true
            gate.broadcast()
        }
        store.parts.hub.cancel(stuck)
    }

    func testAPromptSinkMayEndItsWatch() throws {
        let store = try open()
        defer { store.close() }
        let handle = Mutex<UInt64>(0)
        let (hub, journal) = (store.parts.hub, journal)
        let watch = try store.watch("pods/") { kind, _ in
            if kind == HOSTD_SINK_PROGRESS { return journal.note("begun") }
            hub.cancel(handle.withLock { $0 })
            journal.note("ended")
        }
        handle.withLock { $0 = watch }
        store.parts.hub.setPrompt(watch)
        _ = journal.thread(of: "begun")
        waitForRest(store, watch)
        try commit(store, "first", keys: ["pods/d/a"], isPrompt: true)
        XCTAssertEqual(journal.thread(of: "ended"), journal.thread(of: "first 0"))
        try commit(store, "second", keys: ["pods/d/b"], isPrompt: true)
        _ = journal.thread(of: "second 0")
        XCTAssertEqual(journal.order, ["begun", "ended", "first 0", "second 0"])
        XCTAssertEqual(store.parts.hub.count, 0)
    }

    func testAWatchOfEverythingGathersWhatComes() throws {
        let store = try open()
        defer { store.close() }
        store.parts.hub.gathering = 1_000_000_000
        let all = try store.watch("", journal.sink("all"))
        _ = journal.thread(of: "all progress")
        try commit(store, "first", keys: ["pods/d/a"], isPrompt: true)
        let thread = journal.thread(of: "all pods/d/a")
        XCTAssertFalse(store.parts.hub.isAtRest(all), "it waits for more")
        try commit(store, "second", keys: ["pods/d/b"], isPrompt: true)
        XCTAssertEqual(journal.thread(of: "all pods/d/b"), thread, "and needs no other thread for it")
        waitForRest(store, all)
        try commit(store, "third", keys: ["pods/d/c"], isPrompt: true)
        _ = journal.thread(of: "all pods/d/c")
        XCTAssertEqual(journal.order.filter { $0.hasPrefix("all pods") }, ["a", "b", "c"].map { "all pods/d/\($0)" })
    }

    func testAWatchThatGathersEndsAtOnce() throws {
        let store = try open()
        defer { store.close() }
        store.parts.hub.gathering = .max / 4
        let all = try store.watch("", journal.sink("all"))
        _ = journal.thread(of: "all progress")
        try commit(store, "first", keys: ["pods/d/a"], isPrompt: true)
        _ = journal.thread(of: "all pods/d/a")
        store.parts.hub.cancel(all)
        try commit(store, "second", keys: ["pods/d/b"], isPrompt: true)
        _ = journal.thread(of: "second 0")
        XCTAssertFalse(journal.order.contains("all pods/d/b"))
    }
}
