import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// How rounds follow each other: what is checked while the disk works for another, and what becomes of it when that fails.
final class CommitterTests: XCTestCase {
    /// A disk that can be held up before a write or before the end of an fdatasync, and can fail then.
    private final class Gate: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var isShut = false
        private var isArmed = false
        private var error: Int32 = 0
        private var waiting = 0
        private var threads: Set<UInt> = []

        func shut() {
            monitor.locked {
                isShut = true
                isArmed = true
            }
        }

        /// Lets those go that wait; the first of them fails with `error` unless it is 0.
        func open(failing error: Int32 = 0) {
            monitor.locked {
                isShut = false
                self.error = error
                monitor.broadcast()
            }
        }

        func waitForOne() { monitor.locked { while waiting == 0 { monitor.wait() } } }

        /// Which threads came by.
        var visitors: Set<UInt> { monitor.locked { threads } }

        /// - Returns: the error of the call, 0 when it goes on.
        func pass() -> Int32 {
            monitor.locked {
                threads.insert(KernelThread.current)
                guard isArmed else { return 0 }
                waiting += 1
                monitor.broadcast()
                while isShut { monitor.wait() }
                waiting -= 1
                defer { error = 0 }
                return error
            }
        }
    }

    /// Outcomes of writes that were handed to the committer, by name.
    private final class Outcomes: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var all: [String: Outcome] = [:]

        func put(
            _ name: String, _ kind: Int32, _ key: String, expected: UInt64 = 0, into store: StateStore
        ) throws {
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            let step = try Array(key.utf8).withUnsafeBytes { key in
                try Write.make(
                    kind: kind, key: key, index: none, value: none, lease: 0, expected: expected,
                    limits: store.parts.options.writeLimits)
            }
            let write = Write(.transaction, steps: [step])
            write.completion = .call { [self] outcome in
                monitor.locked {
                    all[name] = outcome
                    monitor.broadcast()
                }
            }
            try store.committer.enqueue(write)
        }

        var count: Int { monitor.locked { all.count } }

        func wait(for count: Int) -> [String: Outcome] {
            monitor.locked {
                while all.count < count { monitor.wait() }
                return all
            }
        }
    }

    /// Counts the rounds that the committer takes up: each has a time.
    private final class Rounds: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var count = 0

        func begin() {
            monitor.locked {
                count += 1
                monitor.broadcast()
            }
        }

        /// Waits until one more than by now has begun, after `body`.
        func waitForOne(_ body: () throws -> Void) rethrows {
            let before = monitor.locked { count }
            try body()
            monitor.locked { while count == before { monitor.wait() } }
        }
    }

    private func open(
        _ directory: TemporaryDirectory, synchronize: Gate? = nil, write: Gate? = nil, rounds: Rounds? = nil,
        writesPerRound: Int = 1
    ) throws -> StateStore {
        var options = StateStoreOptions()
        options.wallClock = {
            rounds?.begin()
            return wallClockMilliseconds()
        }
        options.writesPerRound = writesPerRound
        options.files.synchronize = { descriptor in
            errno = synchronize?.pass() ?? 0
            return errno == 0 ? fdatasync(descriptor) : -1
        }
        options.files.write = { descriptor, vectors, count, offset in
            errno = write?.pass() ?? 0
            return errno == 0 ? pwritev(descriptor, vectors, count, offset) : -1
        }
        return try StateStore(directory: directory.path, options: options)
    }

    func testWhatIsOnItsWayToTheDiskCountsForChecksAndIsNotSeen() throws {
        let directory = TemporaryDirectory()
        let gate = Gate()
        let store = try open(directory, synchronize: gate)
        defer { store.close() }
        let outcomes = Outcomes()
        gate.shut()
        try outcomes.put("first", HOSTD_STORE_CREATE, "pods/d/a", into: store)
        gate.waitForOne()
        try outcomes.put("again", HOSTD_STORE_CREATE, "pods/d/a", into: store)
        try outcomes.put("update", HOSTD_STORE_UPDATE, "pods/d/a", expected: 1, into: store)
        try outcomes.put("stale", HOSTD_STORE_UPDATE, "pods/d/a", expected: 1, into: store)
        try outcomes.put("check", HOSTD_STORE_CHECK, "pods/d/a", expected: 2, into: store)
        XCTAssertEqual(try store.names(), [], "nothing is seen before it is on disk")
        XCTAssertEqual(outcomes.count, 0, "and nobody hears of it")
        gate.open()
        let ended = outcomes.wait(for: 5)
        XCTAssertEqual(ended["first"]?.revision, 1)
        XCTAssertEqual(ended["again"]?.error?.code, HOSTD_ERROR_ALREADY_EXISTS)
        XCTAssertEqual(ended["update"]?.revision, 2)
        XCTAssertEqual(ended["stale"]?.error?.code, HOSTD_ERROR_CONFLICT)
        XCTAssertEqual(ended["check"]?.revision, 2)
        XCTAssertEqual(try store.value("pods/d/a").version, 2)
    }

    func testAFailedSynchronizationTakesDownWhatWasCheckedOnTopOfIt() throws {
        let directory = TemporaryDirectory()
        let gate = Gate()
        let store = try open(directory, synchronize: gate)
        defer { store.close() }
        let outcomes = Outcomes()
        gate.shut()
        try outcomes.put("first", HOSTD_STORE_CREATE, "pods/d/a", into: store)
        gate.waitForOne()
        try outcomes.put("second", HOSTD_STORE_CREATE, "pods/d/b", into: store)
        try outcomes.put("refused", HOSTD_STORE_CREATE, "pods/d/a", into: store)
        gate.open(failing: EIO)
        let ended = outcomes.wait(for: 3)
        for (name, outcome) in ended {
            XCTAssertEqual(outcome.error?.code, HOSTD_ERROR_UNAVAILABLE, name)
            XCTAssertEqual(outcome.revision, 0, name)
        }
        XCTAssertEqual(try store.names(), [])
        XCTAssertTrue(store.status().contains("\"healthy\":false"))
        assertFails(HOSTD_ERROR_UNAVAILABLE) { try store.put("pods/d/c") }
    }

    func testAFullDiskRefusesAllThatIsUnderWayAndLeavesNoGap() throws {
        let directory = TemporaryDirectory()
        let gate = Gate()
        let rounds = Rounds()
        let store = try open(directory, write: gate, rounds: rounds)
        let outcomes = Outcomes()
        try store.put("pods/d/before")
        gate.shut()
        try outcomes.put("first", HOSTD_STORE_CREATE, "pods/d/a", into: store)
        gate.waitForOne()
        try rounds.waitForOne { try outcomes.put("second", HOSTD_STORE_CREATE, "pods/d/b", into: store) }
        try rounds.waitForOne { try outcomes.put("conflict", HOSTD_STORE_CREATE, "pods/d/a", into: store) }
        gate.open(failing: ENOSPC)
        for (name, outcome) in outcomes.wait(for: 3) {
            XCTAssertEqual(outcome.error?.code, HOSTD_ERROR_NO_SPACE, name)
        }
        XCTAssertEqual(try store.put("pods/d/after"), 2, "the revisions of what was refused are given again")
        store.close()
        let again = try open(directory)
        defer { again.close() }
        XCTAssertEqual(try again.names(), ["pods/d/after", "pods/d/before"])
    }

    func testOnlyManyWritesAreWorthAnotherThread() throws {
        let directory = TemporaryDirectory()
        let gate = Gate()
        let store = try open(directory, synchronize: gate, writesPerRound: 16)
        defer { store.close() }
        let own = KernelThread.current
        for number in 0..<5 { try store.put("pods/d/\(number)") }
        let alone = gate.visitors.subtracting([own])
        let outcomes = Outcomes()
        gate.shut()
        try outcomes.put("first", HOSTD_STORE_CREATE, "pods/e/first", into: store)
        gate.waitForOne()
        for number in 0..<40 { try outcomes.put("\(number)", HOSTD_STORE_CREATE, "pods/e/\(number)", into: store) }
        gate.open()
        XCTAssertTrue(outcomes.wait(for: 41).values.allSatisfy { $0.error == nil })
        XCTAssertEqual(gate.visitors.subtracting(alone).subtracting([own]).count, 1, "the disk's own thread")
        XCTAssertEqual(try store.names("pods/e/").count, 41)
    }

    func testOfWritersThatRaceEachWinsItsRevision() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        let arrival = Monitor()
        let seen = Mutex<[UInt64]>([])
        let watch = try store.watch { kind, data in
            guard kind == HOSTD_SINK_DATA else { return }
            seen.withLock { $0 += Stored.all(in: data).map(\.revision) }
            arrival.locked { arrival.broadcast() }
        }
        try store.put("pods/d/shared", "0")
        let won = Mutex<[UInt64]>([])
        let failures = Mutex<[String]>([])
        let threads = try (0..<6).map { writer in
            try KernelThread(name: "writer") {
                for number in 0..<60 {
                    do {
                        try store.put("pods/\(writer)/\(number)")
                        let before = try store.value("pods/d/shared")
                        let revision = try store.update("pods/d/shared", "\(writer)", expected: before.revision)
                        won.withLock { $0.append(revision) }
                    } catch let error as StoreError where error.code == HOSTD_ERROR_CONFLICT {
                        continue
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(failures.withLock { $0 }, [])
        let revisions = won.withLock { $0 }
        XCTAssertGreaterThan(revisions.count, 0)
        XCTAssertEqual(Set(revisions).count, revisions.count)
        XCTAssertEqual(try store.value("pods/d/shared").version, UInt64(1 + revisions.count))
        let last = UInt64(1 + 6 * 60 + revisions.count)
        XCTAssertEqual(try store.page().revision, last, "no revision is given to a write that lost")
        let deadline = monotonicNow() + 60_000_000_000
        arrival.locked { while seen.withLock({ $0.count }) < Int(last), arrival.wait(until: deadline) {} }
        XCTAssertEqual(seen.withLock { $0 }, Array(1...last), "a watch sees each once, in order")
        store.parts.hub.cancel(watch)
    }
}
