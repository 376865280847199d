import PluginAPI
import XCTest

@testable import Kernel

final class LeaseTests: XCTestCase {
    func testKeysGoWhenTheirLeaseEnds() throws {
        let directory = TemporaryDirectory()
        let store = try StateStore(directory: directory.path, options: smallOptions())
        defer { store.close() }
        let collector = Collector()
        _ = try store.watch("events/", collector.sink)
        let short = try store.grantLease(timeToLive: 30)
        let long = try store.grantLease(timeToLive: 3_600_000)
        try store.create("events/d/a", lease: short)
        try store.create("events/d/b", lease: short)
        try store.create("events/d/c", lease: long)
        try store.write(HOSTD_STORE_PUT, "events/d/b", "moved", lease: long)
        let all = collector.wait(count: 6)
        XCTAssertEqual(all[4].kind, Record.Kind.delete)
        XCTAssertEqual(all[4].key, "events/d/a")
        XCTAssertEqual(try store.names(), ["events/d/b", "events/d/c"])
        assertFails(HOSTD_ERROR_NOT_FOUND, naming: "lease") { try store.keepAlive(lease: short) }
        assertFails(HOSTD_ERROR_NOT_FOUND, naming: "lease") { try store.create("events/d/x", lease: short) }
        try store.revokeLease(long)
        XCTAssertEqual(try store.names(), [])
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
        // As if its time were over: the same lease with a shorter time to live.
        store.parts.leases.insert(ending, timeToLive: 1, now: monotonicNow())
        try store.put("b//wake")
        collector.wait(count: 2)
        XCTAssertEqual(try store.names("a/"), ["a//kept"])
        store.close()
        store = try StateStore(directory: directory.path, options: smallOptions())
        defer { store.close() }
        XCTAssertEqual(try store.names("a/"), ["a//kept"])
        XCTAssertGreaterThan(try store.grantLease(timeToLive: 1000), ending)
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
