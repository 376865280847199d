import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class LeaseTests: XCTestCase {
    func testKeysGoWhenTheirLeaseEnds() throws {
        let directory = TemporaryDirectory()
        let store = try StateStore(directory: directory.path, options: smallOptions())
        defer { store.close() }
        let collector = Collector()
        _ = try store.watch("events/", collector.sink)
        let short = try store.grantLease(timeToLive: 3_600_000)
        let long = try store.grantLease(timeToLive: 3_600_000)
        try store.create("events/d/a", lease: short)
        try store.create("events/d/b", lease: short)
        try store.create("events/d/c", lease: long)
        try store.write(HOSTD_STORE_PUT, "events/d/b", "moved", lease: long)
        try store.endEarly(short)
        let all = collector.wait(count: 6)
        XCTAssertEqual(all[4].kind, Record.Kind.delete)
        XCTAssertEqual(all[4].key, "events/d/a")
        XCTAssertEqual(try store.names("events/"), ["events/d/b", "events/d/c"])
        assertFails(HOSTD_ERROR_NOT_FOUND, naming: "lease") { try store.keepAlive(lease: short) }
        assertFails(HOSTD_ERROR_NOT_FOUND, naming: "lease") { try store.create("events/d/x", lease: short) }
        try store.revokeLease(long)
        XCTAssertEqual(try store.names("events/"), [])
        assertFails(HOSTD_ERROR_NOT_FOUND) { try store.revokeLease(long) }
        for wrong: UInt64 in [0, .max] {
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try store.grantLease(timeToLive: wrong) }
        }
    }

    func testLeasesSurviveARestartAndStillEnd() throws {
        let directory = TemporaryDirectory()
        var store = try StateStore(directory: directory.path, options: smallOptions())
        let kept = try store.grantLease(timeToLive: 3_600_000)
        let ending = try store.grantLease(timeToLive: 60_000)
        try store.create("a//kept", lease: kept)
        try store.create("a//ending", lease: ending)
        store.close()
        store = try StateStore(directory: directory.path, options: smallOptions())
        try store.keepAlive(lease: kept)
        XCTAssertEqual(store.parts.leases.keys(of: ending)?.count, 1)
        let collector = Collector()
        _ = try store.watch("a/", collector.sink)
        collector.waitForProgress()
        try store.endEarly(ending)
        collector.wait(count: 2)
        XCTAssertEqual(try store.names("a/"), ["a//kept"])
        store.close()
        store = try StateStore(directory: directory.path, options: smallOptions())
        defer { store.close() }
        XCTAssertEqual(try store.names("a/"), ["a//kept"])
        XCTAssertGreaterThan(try store.grantLease(timeToLive: 1000), ending)
    }

    /// Leases that are granted while a snapshot is written change no revision, so their segment looks as old as the snapshot.
    func testLeasesOfASegmentThatTheSnapshotDidNotSeeSurvive() throws {
        let directory = TemporaryDirectory()
        let gate = Monitor()
        let appends = Mutex(0)
        let isHeld = Mutex(true)
        let retired = Mutex<Set<String>>([])
        var options = smallOptions()
        options.snapshotThreshold = 64 << 10
        options.files.synchronize = { _ in 0 }
        options.files.append = { file, bytes, count in
            // The first is the head; what comes then has the leases of before.
            if appends.withLock({
                $0 += 1; return $0
            }) == 2 {
                gate.locked {
                    gate.broadcast()
                    while isHeld.withLock({ $0 }) { gate.wait() }
                }
            }
            return Glibc.write(file, bytes, count)
        }
        options.files.rename = { from, to in
            gate.locked {
                retired.withLock { _ = $0.insert(String(from.suffix(24))) }
                gate.broadcast()
            }
            return Glibc.rename(from, to)
        }
        var store = try StateStore(directory: directory.path, options: options)
        var revision: UInt64 = 0
        let value = String(repeating: "v", count: 4000)
        while directory.names("log-").count < 2 || revision < 20 { revision = try store.put("a//a", value) }
        try store.compact(to: revision)
        let deadline = monotonicNow() + 60_000_000_000
        gate.locked { while appends.withLock({ $0 }) < 2 && gate.wait(until: deadline) {} }
        XCTAssertEqual(appends.withLock { $0 }, 2, "a snapshot is being written")

        let active = try XCTUnwrap(directory.names("log-").last { !$0.hasSuffix(".tmp") })
        var leases: [UInt64] = []
        while directory.names("log-").filter({ $0 > active && !$0.hasSuffix(".tmp") }).count < 2 {
            leases.append(try store.grantLease(timeToLive: 3_600_000))
        }
        isHeld.withLock { $0 = false }
        gate.locked {
            gate.broadcast()
            while !retired.withLock({ $0.contains(LogFormat.segmentName(1)) }) && gate.wait(until: deadline) {}
        }
        XCTAssertTrue(retired.withLock { $0.contains(LogFormat.segmentName(1)) }, "the log before the snapshot goes")
        store.close()

        store = try StateStore(directory: directory.path, options: smallOptions())
        defer { store.close() }
        for lease in leases { try store.keepAlive(lease: lease) }
        XCTAssertEqual(try store.value("a//a").revision, revision)
        XCTAssertGreaterThan(try store.grantLease(timeToLive: 1000), try XCTUnwrap(leases.last))
    }

    func testAKeptLeaseDoesNotEnd() throws {
        let table = LeaseTable()
        table.insert(1, timeToLive: 100, now: 0)
        XCTAssertEqual(table.nextDeadline, 100_000_000)
        XCTAssertTrue(table.keepAlive(1, now: 60_000_000))
        XCTAssertEqual(table.expired(100_000_000), [])
        XCTAssertEqual(table.nextDeadline, 160_000_000)
        XCTAssertEqual(table.expired(160_000_000), [1])
        XCTAssertFalse(table.keepAlive(1, now: 160_000_000))
    }
}

extension StateStore {
    /// Lets the time of a lease be over: the same one with a shorter time to live, and a write that wakes the committer.
    func endEarly(_ lease: UInt64) throws {
        parts.leases.insert(lease, timeToLive: 1, now: monotonicNow())
        try put("wake//\(lease)")
    }
}
