import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// Cases that the simulation found, each by itself.
final class DurabilityTests: XCTestCase {
    func testOpeningMakesTheStoresOwnNameDurable() throws {
        let directory = TemporaryDirectory()
        let synchronized = Mutex<[String]>([])
        var options = StateStoreOptions()
        options.files.synchronizeDirectory = { path in
            synchronized.withLock { $0.append(path) }
            return FileOperations.system.synchronizeDirectory(path)
        }
        let path = directory.path + "/store"
        try StateStore(directory: path, options: options).close()
        XCTAssertTrue(synchronized.withLock { $0.contains(directory.path) }, "the parent of a new store")
        synchronized.withLock { $0.removeAll() }
        try StateStore(directory: path, options: options).close()
        XCTAssertEqual(synchronized.withLock { $0.first }, path, "the names that opening goes by")
    }

    func testOpeningWritesTheLastBatchAgainAfterAFailedSynchronization() throws {
        let directory = TemporaryDirectory()
        let fails = Mutex(false)
        var options = StateStoreOptions()
        options.files.synchronize = { descriptor in
            guard fails.withLock({ $0 }) else { return fdatasync(descriptor) }
            errno = EIO
            return -1
        }
        let store = try StateStore(directory: directory.path, options: options)
        try store.put("pods/d/a", "safe")
        fails.withLock { $0 = true }
        assertFails(HOSTD_ERROR_UNAVAILABLE) { try store.put("pods/d/b", "in the page cache only") }
        store.close()

        let written = Mutex<[(offset: Int, size: Int)]>([])
        let order = Mutex<[String]>([])
        options = StateStoreOptions()
        options.files.write = { descriptor, vectors, count, offset in
            let size = (0..<Int(count)).reduce(0) { $0 + vectors[$1].iov_len }
            if offset > 0 {
                written.withLock { $0.append((offset, size)) }
                order.withLock { $0.append("write") }
            }
            return pwritev(descriptor, vectors, count, offset)
        }
        options.files.synchronize = { descriptor in
            order.withLock { $0.append("synchronize") }
            return fdatasync(descriptor)
        }
        let again = try StateStore(directory: directory.path, options: options)
        defer { again.close() }
        XCTAssertEqual(try again.names(), ["pods/d/a", "pods/d/b"])
        let writes = written.withLock { $0 }
        let first = try XCTUnwrap(writes.first)
        XCTAssertGreaterThan(first.offset, LogFormat.headSize, "the last batch, not the one before")
        XCTAssertEqual(writes.dropFirst().first?.offset, first.offset + first.size, "and zeros from its end on")
        XCTAssertEqual(order.withLock { $0.last }, "synchronize")
    }

    func testABatchKnowsTheLeasesThatItEnds() throws {
        let directory = TemporaryDirectory()
        let gate = Monitor()
        let isShut = Mutex(false)
        var options = StateStoreOptions()
        options.files.synchronize = { descriptor in
            gate.locked { while isShut.withLock({ $0 }) { gate.wait() } }
            return fdatasync(descriptor)
        }
        let store = try StateStore(directory: directory.path, options: options)
        defer { store.close() }
        for revokesFirst in [false, true] {
            let lease = try store.grantLease(timeToLive: 3_600_000)
            let outcomes = Mutex<[String: Outcome]>([:])
            let done = Monitor()
            func enqueue(_ name: String, _ write: Write) throws {
                write.completion = .call { outcome in
                    outcomes.withLock { $0[name] = outcome }
                    done.locked { done.broadcast() }
                }
                try store.committer.enqueue(write)
            }
            func put(_ key: String, lease: UInt64) throws -> Write {
                let bytes = Array(key.utf8)
                let none = UnsafeRawBufferPointer(start: nil, count: 0)
                return try bytes.withUnsafeBytes { key in
                    Write(
                        .transaction,
                        steps: [
                            try Write.make(
                                kind: HOSTD_STORE_PUT, key: key, index: none, value: none, lease: lease, expected: 0,
                                limits: store.parts.options.writeLimits)
                        ])
                }
            }
            // While the first waits for the disk, the next two gather in one batch.
            isShut.withLock { $0 = true }
            try enqueue("first", try put("pods/d/first", lease: 0))
            if revokesFirst { try enqueue("revoke", Write(.revoke(lease: lease))) }
            try enqueue("put", try put("pods/d/leased", lease: lease))
            if !revokesFirst { try enqueue("revoke", Write(.revoke(lease: lease))) }
            gate.locked {
                isShut.withLock { $0 = false }
                gate.broadcast()
            }
            done.locked { while outcomes.withLock({ $0.count }) < 3 { done.wait() } }
            let ended = outcomes.withLock { $0 }
            XCTAssertNil(ended["revoke"]?.error)
            XCTAssertEqual(ended["put"]?.error?.code, revokesFirst ? HOSTD_ERROR_NOT_FOUND : nil)
            XCTAssertEqual(try store.names(), ["pods/d/first"], "the key goes with its lease")
        }
    }

    func testARenewalNeverMovesADeadlineBack() {
        let leases = LeaseTable()
        let millisecond: UInt64 = 1_000_000
        leases.insert(1, timeToLive: 100, now: 0)
        XCTAssertTrue(leases.keepAlive(1, now: 50 * millisecond))
        XCTAssertTrue(leases.keepAlive(1, now: 10 * millisecond), "one that was held up on its way")
        XCTAssertEqual(leases.expired(149 * millisecond), [])
        XCTAssertEqual(leases.expired(150 * millisecond), [1])
    }
}
