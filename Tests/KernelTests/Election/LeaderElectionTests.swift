import Objects
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// Two control planes that share one store.
final class LeaderElectionTests: XCTestCase {
    private var directory = TemporaryDirectory()
    private let workers = WorkerPool(name: "test-worker", maximum: 8)
    private lazy var timers = Timers(workers: workers)
    private static let key = Array("leases/kube-system/controllers".utf8)

    override func setUp() { directory = TemporaryDirectory() }

    override func tearDown() {
        timers.close()
        workers.close()
    }

    /// What a candidate was told.
    private final class Messages: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var all: [String] = []

        var sink: @Sendable (Int32, UnsafeBufferPointer<UInt8>) -> Void {
            { [self] _, data in
                monitor.locked {
                    all.append(String(decoding: data, as: UTF8.self))
                    monitor.broadcast()
                }
            }
        }

        var count: Int { monitor.locked { all.count } }

        /// The first token above one that the candidate was told to lead with.
        func token(above last: UInt64 = 0, file: StaticString = #filePath, line: UInt = #line) throws -> UInt64 {
            let deadline = monotonicNow() + 60_000_000_000
            return try monitor.locked {
                while true {
                    let tokens = all.compactMap { text in (try? JSON(parsing: Array(text.utf8)))?["token"].integerValue
                    }
                    if let found = tokens.map(UInt64.init).first(where: { $0 > last }) { return found }
                    if !monitor.wait(until: deadline) {
                        XCTFail("no token above \(last): \(all)", file: file, line: line)
                        throw StoreError(HOSTD_ERROR_DEADLINE_EXCEEDED, "no token came")
                    }
                }
            }
        }

        @discardableResult
        func wait(_ prefix: String, file: StaticString = #filePath, line: UInt = #line) -> String {
            let deadline = monotonicNow() + 60_000_000_000
            return monitor.locked {
                while !(all.last ?? "").hasPrefix(prefix) {
                    if !monitor.wait(until: deadline) {
                        XCTFail("\(prefix) did not come: \(all)", file: file, line: line)
                        break
                    }
                }
                return all.last ?? ""
            }
        }
    }

    /// A store's table whose lease_keep_alive can be made to fail, as when the network to it is gone.
    private final class Cut: @unchecked Sendable {  // The table is written once.
        private let base: UnsafePointer<hostd_store_1>

        init(_ store: StateStore) {
            base = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self)
            var copy = base.pointee
            copy.lease_keep_alive = { _, _, error in
                report(StoreError(HOSTD_ERROR_UNAVAILABLE, "the network is gone", retryable: true), to: error)
            }
            copy.lease_revoke = copy.lease_keep_alive
            cutTable.initialize(to: copy)
        }

        let cutTable = UnsafeMutablePointer<hostd_store_1>.allocate(capacity: 1)
        deinit { cutTable.deallocate() }
        var interface: UnsafePointer<hostd_interface> {
            UnsafePointer(UnsafeRawPointer(cutTable).assumingMemoryBound(to: hostd_interface.self))
        }
    }

    private func controlPlane(_ interface: UnsafePointer<hostd_interface>) -> LeaderElection {
        let election = LeaderElection(workers: workers, timers: timers)
        election.use(store: interface)
        return election
    }

    private func campaign(_ election: LeaderElection, _ name: String, _ messages: Messages, life: UInt64) throws
        -> UInt64
    {
        try election.campaign(
            Candidacy.Stand(key: Self.key, value: Array(name.utf8), index: [], milliseconds: life), sink: messages.sink)
    }

    private func fencedWrite(_ store: StateStore, _ token: UInt64) throws -> Outcome {
        let bytes =
            operation(HOSTD_STORE_CHECK, String(decoding: Self.key, as: UTF8.self), expected: token)
            + operation(HOSTD_STORE_PUT, "pods/d/fenced", "by \(token)")
        let write = try bytes.withUnsafeBytes { try Write(operations: $0, limits: store.parts.options.writeLimits) }
        return try store.perform(write)
    }

    func testOneLeadsAndTheOtherFollowsAtOnceWhenItResigns() throws {
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        defer { store.close() }
        let (first, second) = (controlPlane(store.makeInterface()), controlPlane(store.makeInterface()))
        let (one, two) = (Messages(), Messages())
        let a = try campaign(first, "a", one, life: 60_000)
        one.wait("{\"leading\":true")
        let b = try campaign(second, "b", two, life: 60_000)
        let token = try first.token(a)
        XCTAssertEqual(try store.value("leases/kube-system/controllers").value, "a", "the holder can be seen")
        _ = try fencedWrite(store, token)
        assertFails(HOSTD_ERROR_WRONG_STATE) { try second.token(b) }
        XCTAssertEqual(two.count, 0, "who never led is told nothing")
        first.resign(a)
        first.resign(a)
        two.wait("{\"leading\":true")
        XCTAssertGreaterThan(try second.token(b), token, "tokens grow")
        assertFails(HOSTD_ERROR_CONFLICT) { try self.fencedWrite(store, token) }
        _ = try fencedWrite(store, try second.token(b))
        assertFails(HOSTD_ERROR_NOT_FOUND) { try first.token(a) }
        second.close()
        assertFails(HOSTD_ERROR_NOT_FOUND) { try store.value("leases/kube-system/controllers") }
    }

    func testALeaderThatIsCutOffStopsBeforeTheOtherBegins() throws {
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        defer { store.close() }
        let cut = Cut(store)
        let (first, second) = (controlPlane(cut.interface), controlPlane(store.makeInterface()))
        let (one, two) = (Messages(), Messages())
        let a = try campaign(first, "a", one, life: 500)
        let token = try one.token()
        // What counts is what the first one would answer at that moment; it may be told so later, on a busy machine.
        let isAlone = Mutex(false)
        let sink = two.sink
        let b = try second.campaign(
            Candidacy.Stand(key: Self.key, value: Array("b".utf8), index: [], milliseconds: 600_000)
        ) { kind, data in
            if String(decoding: data, as: UTF8.self).hasPrefix("{\"leading\":true") {
                isAlone.withLock { $0 = (try? first.token(a)) == nil }
            }
            sink(kind, data)
        }
        two.wait("{\"leading\":true")
        XCTAssertTrue(isAlone.withLock { $0 }, "never two at once")
        one.wait("{\"leading\":false")
        assertFails(HOSTD_ERROR_WRONG_STATE) { try first.token(a) }
        assertFails(HOSTD_ERROR_CONFLICT) { try self.fencedWrite(store, token) }
        _ = try fencedWrite(store, try second.token(b))
        first.close()
        second.close()
    }

    func testAKeyWithoutALeaseIsTakenOverWhenItRests() throws {
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        defer { store.close() }
        try store.put("leases/kube-system/controllers", "left by someone")
        let election = controlPlane(store.makeInterface())
        let messages = Messages()
        let start = monotonicNow()
        _ = try campaign(election, "a", messages, life: 200)
        let token = try messages.token()
        XCTAssertGreaterThanOrEqual(monotonicNow() - start, 200_000_000, "not before it rested for a term")
        XCTAssertEqual(try store.value("leases/kube-system/controllers", at: token).value, "a")
        // Someone writes the key, as an operator with an editor would: whoever led does not any more.
        let edited = try store.put("leases/kube-system/controllers", "edited")
        assertFails(HOSTD_ERROR_CONFLICT) { try self.fencedWrite(store, token) }
        XCTAssertGreaterThan(try messages.token(above: edited), edited, "it leads again, by a key of its own")
        election.close()
    }

    func testOfManyCandidatesOneLeadsAtAnyTime() throws {
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        defer { store.close() }
        let planes = (0..<6).map { _ in controlPlane(store.makeInterface()) }
        let messages = (0..<6).map { _ in Messages() }
        var handles: [UInt64] = []
        for (number, plane) in planes.enumerated() {
            handles.append(try campaign(plane, "\(number)", messages[number], life: 60_000))
        }
        var tokens: [UInt64] = []
        for _ in 0..<6 {
            let deadline = monotonicNow() + 60_000_000_000
            var leader: Int?
            while leader == nil, monotonicNow() < deadline {
                leader = (0..<6).first { (try? planes[$0].token(handles[$0])) != nil }
            }
            let found = try XCTUnwrap(leader)
            tokens.append(try planes[found].token(handles[found]))
            XCTAssertEqual((0..<6).count { (try? planes[$0].token(handles[$0])) != nil }, 1)
            planes[found].resign(handles[found])
        }
        XCTAssertEqual(tokens, tokens.sorted())
        XCTAssertEqual(Set(tokens).count, 6)
    }

    func testWhatIsRefused() throws {
        let election = LeaderElection(workers: workers, timers: timers)
        let messages = Messages()
        assertFails(HOSTD_ERROR_UNAVAILABLE) { try self.campaign(election, "a", messages, life: 1000) }
        let store = try StateStore(directory: directory.path + "/store", options: smallOptions())
        defer { store.close() }
        election.use(store: store.makeInterface())
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try self.campaign(election, "a", messages, life: 99) }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) {
            try election.campaign(
                Candidacy.Stand(key: Array("no key".utf8), value: [], index: [], milliseconds: 1000),
                sink: messages.sink)
        }
        assertFails(HOSTD_ERROR_NOT_FOUND) { try election.token(7) }
        election.close()
        assertFails(HOSTD_ERROR_WRONG_STATE) { try self.campaign(election, "a", messages, life: 1000) }
    }
}
