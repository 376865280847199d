import Dispatch
import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import Etcd
@testable import Kernel

/// Elections over etcd: control planes that share nothing but the cluster, each with a connection of its own.
final class ElectionTests: XCTestCase {
    private static let key = "leases.coordination.k8s.io/kube-system/controllers"

    /// A control plane that stands for election.
    private final class Plane: @unchecked Sendable {  // What changes is behind `monitor`.
        let store: StoreClient
        private let engine: EtcdStore
        private let workers = Kernel.WorkerPool(name: "test-worker", maximum: 2)
        private let timers: Kernel.Timers
        private let election: Kernel.LeaderElection
        private let monitor = PluginKit.Monitor()
        private var messages: [String] = []
        private var candidacy: UInt64 = 0

        init(_ server: EtcdServer) throws {
            engine = try server.open()
            let table = RoleTable.store(engine)
            store = StoreClient(UnsafeRawPointer(table).assumingMemoryBound(to: hostd_store_1.self))
            timers = Kernel.Timers(workers: workers)
            election = Kernel.LeaderElection(workers: workers, timers: timers)
            election.use(store: table)
        }

        /// `whenLeading` runs when it is told to lead, before anybody else sees that.
        func stand(
            _ name: String, milliseconds: UInt64, whenLeading: @escaping @Sendable () -> Void = {}
        ) throws {
            let stand = Candidacy.Stand(
                key: Array(ElectionTests.key.utf8), value: Array("{\"holder\":\"\(name)\"}".utf8), index: [],
                milliseconds: milliseconds)
            candidacy = try election.campaign(stand) { [self] _, data in
                let text = String(decoding: data, as: UTF8.self)
                if text.hasPrefix("{\"leading\":true") { whenLeading() }
                monitor.locked {
                    messages.append(text)
                    monitor.broadcast()
                }
            }
        }

        /// The first message that begins so.
        @discardableResult
        func wait(_ prefix: String, file: StaticString = #filePath, line: UInt = #line) -> String {
            let deadline = monotonicNanoseconds() + 60_000_000_000
            return monitor.locked {
                while true {
                    if let found = messages.first(where: { $0.hasPrefix(prefix) }) { return found }
                    if !monitor.wait(until: deadline), monotonicNanoseconds() >= deadline {
                        XCTFail("\(prefix) did not come: \(messages)", file: file, line: line)
                        return ""
                    }
                }
            }
        }

        var isSilent: Bool { monitor.locked { messages.isEmpty } }
        func token() throws -> UInt64 { try election.token(candidacy) }
        func resign() { election.resign(candidacy) }

        /// A write of who believes to lead with this token.
        func write(_ value: String, fencedBy token: UInt64) throws -> StoreCommit {
            var transaction = StoreTransaction()
            transaction.check(ElectionTests.key, expected: token)
            transaction.put("configmaps/default/led", value: Array(value.utf8))
            let done = DispatchSemaphore(value: 0)
            let answer = Answer()
            try store.commit(transaction) { commit in
                answer.commit = commit
                done.signal()
            }
            XCTAssertEqual(done.wait(timeout: .now() + 60), .success, "a transaction has an outcome")
            return try XCTUnwrap(answer.commit)
        }

        private final class Answer: @unchecked Sendable {  // Written before the signal, read after it.
            var commit: StoreCommit?
        }

        /// Its way to the cluster is gone.
        func cut() { engine.client.close() }

        func close() {
            election.close()
            timers.close()
            workers.close()
            engine.close()
        }
    }

    private func assertRefused(
        _ commit: StoreCommit, _ reason: String, file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertEqual(commit.error?.code, HOSTD_ERROR_CONFLICT, reason, file: file, line: line)
        XCTAssertEqual(commit.failedOperation, 0, "the check is what failed", file: file, line: line)
    }

    private func led(_ plane: Plane) throws -> String? {
        try plane.store.get("configmaps/default/led")?.withValue { String(decoding: $0, as: UTF8.self) }
    }

    func testWhoResignedCannotWriteAnyMore() throws {
        let server = try EtcdServer()
        let (first, second) = (try Plane(server), try Plane(server))
        defer { [first, second].forEach { $0.close() } }
        try first.stand("a", milliseconds: 60_000)
        first.wait("{\"leading\":true")
        let token = try first.token()
        let record = try XCTUnwrap(try second.store.get(Self.key))
        XCTAssertEqual(record.withValue { String(decoding: $0, as: UTF8.self) }, "{\"holder\":\"a\"}")
        XCTAssertEqual(record.revision, token, "the token is the revision of the key")
        XCTAssertNotEqual(record.lease, 0, "which lives under a lease")
        try second.stand("b", milliseconds: 60_000)
        XCTAssertNil(try first.write("by a", fencedBy: token).error)
        XCTAssertThrowsError(try second.token(), "it does not lead")
        XCTAssertTrue(second.isSilent, "who never led is told nothing")

        first.resign()
        second.wait("{\"leading\":true")
        let newer = try second.token()
        XCTAssertGreaterThan(newer, token)
        assertRefused(try first.write("by a, too late", fencedBy: token), "a was deposed")
        XCTAssertEqual(try led(second), "by a", "nothing of a refused transaction happens")
        XCTAssertNil(try second.write("by b", fencedBy: newer).error)
        XCTAssertEqual(try led(first), "by b")
    }

    func testWhoIsCutOffStopsBeforeTheNextOneLeadsAndCannotWrite() throws {
        let server = try EtcdServer()
        let (first, second) = (try Plane(server), try Plane(server))
        defer { [first, second].forEach { $0.close() } }
        try first.stand("a", milliseconds: 2000)
        let token = try XCTUnwrap(
            try JSON(parsing: Array(first.wait("{\"leading\":true").utf8))["token"].integerValue.map(UInt64.init))
        // What counts is what the first one would answer at that moment; it may be told so later, on a busy machine.
        let isAlone = Mutex(false)
        try second.stand("b", milliseconds: 600_000) { isAlone.withLock { $0 = (try? first.token()) == nil } }
        first.cut()
        second.wait("{\"leading\":true")
        XCTAssertTrue(isAlone.withLock { $0 }, "never two at once")
        first.wait("{\"leading\":false")
        XCTAssertThrowsError(try first.token())
        // What a sent before it was cut off, and what comes late.
        assertRefused(try second.write("by a, too late", fencedBy: token), "a was deposed")
        XCTAssertNil(try led(second))
        XCTAssertNil(try second.write("by b", fencedBy: try second.token()).error)
        XCTAssertEqual(try led(second), "by b")
    }
}
