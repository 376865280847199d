import PluginAPI
import XCTest

@testable import Kernel

/// hostd.election/1 as a plugin in a child process gets it.
final class ElectionGateTests: XCTestCase {
    private let directory = TemporaryDirectory()
    private let workers = WorkerPool(name: "test-worker", maximum: 4)
    private lazy var timers = Timers(workers: workers)

    override func tearDown() {
        timers.close()
        workers.close()
    }

    /// One plugin's elections.
    private struct Client {
        let gates: PluginGates
        let table: UnsafePointer<hostd_election_1>

        init(_ election: LeaderElection, _ grants: String) throws {
            gates = PluginGates(
                plugin: "guest",
                policy: GrantPolicy(try grants.split(separator: " ").map { try Grant(parsing: String($0)) }))
            guard case .table(let table) = gates.answer(HOSTD_ELECTION_1, base: election.makeInterface()) else {
                throw Spawned.Failure(message: "no table for \(grants)")
            }
            self.table = UnsafeRawPointer(table).assumingMemoryBound(to: hostd_election_1.self)
        }

        /// "ok", or the status' name and the message.
        private func run(
            _ body: (hostd_election_1, UnsafeMutableRawPointer?, UnsafeMutablePointer<hostd_error>) -> Int32
        ) -> String {
            var error = ForeignBytes.emptyError()
            let status = body(table.pointee, table.pointee.interface.`self`, &error)
            return status == HOSTD_OK ? "ok" : "\(statusName(status)): \(ForeignBytes.message(of: error))"
        }

        func campaign(_ key: String) -> (answer: String, candidacy: UInt64) {
            var candidacy: UInt64 = 0
            let answer = run {
                $0.campaign(
                    $1, Array(key.utf8), UInt64(key.utf8.count), nil, 0, nil, 0, 60_000, { _, _, _, _ in }, nil,
                    &candidacy, $2)
            }
            return (answer, candidacy)
        }

        func token(_ candidacy: UInt64) -> String {
            var token: UInt64 = 0
            return run { $0.token($1, candidacy, &token, $2) }
        }

        func resign(_ candidacy: UInt64) -> String { run { $0.resign($1, candidacy, $2) } }
    }

    private func open() throws -> (StateStore, LeaderElection) {
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        let election = LeaderElection(workers: workers, timers: timers)
        election.use(store: store.makeInterface())
        return (store, election)
    }

    func testWhoMayStandWhere() throws {
        let (store, election) = try open()
        defer { store.close() }
        let rows: [(grants: String, key: String, missing: String?, why: String)] = [
            ("election store.write:leases", "leases//a", nil, "both rights"),
            ("election store.write", "leases//b", nil, "the right to write everything"),
            ("election", "leases//c", "store.write:leases", "whoever leads writes the key"),
            ("election store.write:pods", "leases//d", "store.write:leases", "another resource"),
            ("election store.write:leases/spec", "leases//e", "store.write:leases", "a member is not the whole"),
            ("election store.read", "leases//f", "store.write:leases", "reading is not writing"),
        ]
        for row in rows {
            let (answer, candidacy) = try Client(election, row.grants).campaign(row.key)
            guard let missing = row.missing else {
                XCTAssertEqual(answer, "ok", row.why)
                election.resign(candidacy)
                continue
            }
            XCTAssertTrue(answer.hasPrefix("FORBIDDEN"), "\(row.why): \(answer)")
            XCTAssertTrue(answer.contains("add \(missing) "), "\(row.why): \(answer)")
        }
        election.close()
        XCTAssertEqual(try store.names(), [], "who was refused wrote nothing, who resigned left nothing")
    }

    func testWithoutTheGrantEveryCallIsRefused() throws {
        let (store, election) = try open()
        defer { store.close() }
        let gates = PluginGates(plugin: "guest", policy: GrantPolicy([try Grant(parsing: "store.write")]))
        guard case .refused(let message, _) = gates.answer(HOSTD_ELECTION_1, base: election.makeInterface()) else {
            return XCTFail("a plugin without the grant got the service")
        }
        XCTAssertTrue(message.contains("add election "), message)
    }

    func testACandidacyOfAnotherPluginIsNobodys() throws {
        let (store, election) = try open()
        defer { store.close() }
        let (one, other) = (
            try Client(election, "election store.write"), try Client(election, "election store.write")
        )
        let (_, candidacy) = one.campaign("leases//a")
        let deadline = monotonicNow() + 60_000_000_000
        while one.token(candidacy) != "ok", monotonicNow() < deadline { sched_yield() }
        XCTAssertEqual(one.token(candidacy), "ok")
        XCTAssertTrue(other.token(candidacy).hasPrefix("NOT_FOUND"), other.token(candidacy))
        XCTAssertEqual(other.resign(candidacy), "ok", "ending what is not there is no mistake")
        XCTAssertEqual(one.token(candidacy), "ok", "and it ended nothing")
        XCTAssertEqual(one.resign(candidacy), "ok")
        XCTAssertEqual(one.resign(candidacy), "ok")
        XCTAssertTrue(one.token(candidacy).hasPrefix("NOT_FOUND"))
        election.close()
    }
}
