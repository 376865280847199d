import Glibc
import Objects
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// Gates before the real services, called as a plugin in a child would call them.
final class StoreGateTests: XCTestCase {
    private let directory = TemporaryDirectory()

    /// One plugin's store.
    private struct Client {
        let gates: PluginGates
        let table: UnsafePointer<hostd_store_1>
        private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

        init(_ store: StateStore, _ grants: String) throws {
            let words = try grants.split(separator: " ").map { try Grant(parsing: String($0)) }
            gates = PluginGates(plugin: "guest", policy: GrantPolicy(words))
            guard case .table(let table) = gates.answer(HOSTD_STORE_1, base: store.makeInterface()) else {
                throw Spawned.Failure(message: "no table for \(grants)")
            }
            self.table = UnsafeRawPointer(table).assumingMemoryBound(to: hostd_store_1.self)
        }

        /// "ok", or the status' name and the message.
        func run(_ body: (hostd_store_1, UnsafeMutableRawPointer?, UnsafeMutablePointer<hostd_error>) -> Int32)
            -> String
        {
            var error = ForeignBytes.emptyError()
            let status = body(table.pointee, this, &error)
            return status == HOSTD_OK ? "ok" : "\(statusName(status)): \(ForeignBytes.message(of: error))"
        }

        func get(_ key: String) -> String {
            var record = hostd_buffer()
            defer { record.release?(record.context) }
            return run { $0.get($1, Array(key.utf8), UInt64(key.utf8.count), 0, &record, $2) }
        }

        func list(_ prefix: String) -> String {
            var page = hostd_buffer()
            defer { page.release?(page.context) }
            return run { $0.list($1, Array(prefix.utf8), UInt64(prefix.utf8.count), nil, 0, 0, 0, nil, 0, &page, $2) }
        }

        func update(
            _ key: String, _ value: String, index: [UInt8] = [], lease: UInt64 = 0, expected: UInt64 = 0
        ) -> String {
            var revision: UInt64 = 0
            return run {
                $0.update(
                    $1, Array(key.utf8), UInt64(key.utf8.count), Array(value.utf8), UInt64(value.utf8.count), index,
                    UInt64(index.count), lease, expected, &revision, $2)
            }
        }

        func create(_ key: String, _ value: String, lease: UInt64 = 0) -> String {
            var revision: UInt64 = 0
            return run {
                $0.create(
                    $1, Array(key.utf8), UInt64(key.utf8.count), Array(value.utf8), UInt64(value.utf8.count), nil, 0,
                    lease,
                    &revision, $2)
            }
        }

        func remove(_ key: String) -> String {
            var revision: UInt64 = 0
            return run { $0.remove($1, Array(key.utf8), UInt64(key.utf8.count), 0, &revision, $2) }
        }

        /// Waits for the completion; an immediate refusal and a failed commit read alike.
        func transaction(_ operations: [UInt8]) -> String {
            let done = Monitor()
            nonisolated(unsafe) var outcome: String?  // Under `done`.
            let deliver: (Int32) -> Void = { status in
                done.locked {
                    outcome = status == HOSTD_OK ? "ok" : statusName(status)
                    done.broadcast()
                }
            }
            let box = Unmanaged.passRetained(Box(deliver))
            let refusal = run {
                $0.transaction(
                    $1, operations, UInt64(operations.count),
                    { context, status, _, _, _ in Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().run(status) },
                    box.toOpaque(), $2)
            }
            if refusal != "ok" {
                box.release()
                return refusal
            }
            return done.locked {
                while outcome == nil { done.wait() }
                return outcome ?? ""
            }
        }

        private final class Box: @unchecked Sendable {  // Handed over once.
            let run: (Int32) -> Void
            init(_ run: @escaping (Int32) -> Void) { self.run = run }
        }
    }

    private func step(_ kind: Int32, _ key: String, _ value: String, expected: UInt64 = 0) -> [UInt8] {
        let (key, value) = (Array(key.utf8), Array(value.utf8))
        let size = (48 + key.count + value.count + 7) & ~7
        var head = hostd_store_operation()
        head.struct_size = 48
        head.operation_size = UInt32(size)
        head.kind = UInt32(kind)
        head.expected_revision = expected
        head.key_size = UInt32(key.count)
        head.value_size = UInt32(value.count)
        var bytes = withUnsafeBytes(of: head) { Array($0) } + key + value
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
        return bytes
    }

    private func open() throws -> StateStore {
        try StateStore(directory: directory.path + "/store", options: smallOptions())
    }

    func testReadingIsByResource() throws {
        let store = try open()
        defer { store.close() }
        try store.create("pods/d/a", "{}")
        let guest = try Client(store, "store.read:pods")
        XCTAssertEqual(guest.get("pods/d/a"), "ok")
        XCTAssertEqual(guest.list("pods/"), "ok")
        let refusal = { (grant: String) in
            "add \(grant) to its `grants` in the configuration"
        }
        for (answer, grant) in [
            (guest.get("secrets/d/a"), "store.read:secrets"), (guest.list("secrets/d/"), "store.read:secrets"),
            (guest.list(""), "store.read"), (guest.list("pods"), "store.read"),
            (guest.create("pods/d/b", "{}"), "store.write:pods"),
            (guest.remove("pods/d/a"), "store.write:pods"), (guest.update("pods/d/a", "{}"), "store.write:pods"),
        ] {
            XCTAssertTrue(answer.hasPrefix("FORBIDDEN: the plugin guest may not "), answer)
            XCTAssertTrue(answer.hasSuffix(refusal(grant)), "\(answer) names \(grant)")
        }
        XCTAssertEqual(
            guest.get("nothing"), "INVALID_ARGUMENT: a key of the store has the form RESOURCE/NAMESPACE/NAME")
    }

    func testEachWriteIsRecordedInThePluginsName() throws {
        let store = try open()
        defer { store.close() }
        let guest = try Client(store, "store.write:pods store.read:pods")
        XCTAssertEqual(guest.create("pods/d/a", "{}"), "ok")
        XCTAssertEqual(guest.create("pods/d/a", "{}"), "ALREADY_EXISTS: pods/d/a exists")
        XCTAssertEqual(guest.update("pods/d/a", "{\"a\":1}", expected: 1), "ok")
        XCTAssertEqual(
            guest.update("pods/d/a", "{}", expected: 1),
            "CONFLICT: pods/d/a is at revision 2, not 1; read it again")
        XCTAssertEqual(guest.remove("pods/d/a"), "ok")
        XCTAssertEqual(guest.remove("pods/d/a"), "NOT_FOUND: pods/d/a does not exist")
        let json = try Array("pods/d/a".utf8).withUnsafeBytes { try store.history(of: $0, limit: 0) }
        XCTAssertEqual(
            json["versions"].arrayValue.map { [$0["user"].stringValue, $0["manager"].stringValue] },
            Array(repeating: ["system:hostd", "guest"], count: 3))
    }

    func testAMemberGrantChangesThatMemberAlone() throws {
        let store = try open()
        defer { store.close() }
        let guest = try Client(store, "store.write:pods/status")
        let before = #"{"metadata":{"name":"a"},"spec":{"x":1},"status":{"phase":"Pending"}}"#
        let revision = try store.create("pods/d/a", before, index: ["app": "web", ".status.phase": "Pending"])
        func index(_ pairs: [String: String]) -> [UInt8] { indexBytes(pairs) }
        let running = #"{"metadata":{"name":"a"},"spec":{"x":1},"status":{"phase":"Running"}}"#
        let labels = index(["app": "web", ".status.phase": "Running"])
        XCTAssertEqual(guest.update("pods/d/a", running, index: labels, expected: revision), "ok")
        XCTAssertEqual(guest.update("pods/d/a", before, index: labels), "ok", "any revision")
        XCTAssertTrue(
            guest.update("pods/d/a", running, index: labels, expected: revision).hasPrefix("CONFLICT: "),
            "an old revision")
        let refused: [(String, [UInt8], String)] = [
            (#"{"metadata":{"name":"a"},"spec":{"x":2},"status":{}}"#, labels, "differs in the member spec"),
            (#"{"metadata":{"name":"a"},"status":{}}"#, labels, "differs in the member spec"),
            (#"{"metadata":{"name":"a"},"spec":{"x":1},"extra":1}"#, labels, "differs in the member extra"),
            (
                #"{"metadata":{"name":"a"},"spec":{"x":1},"spec":{"x":1}}"#, labels,
                "differs in a value that is no JSON object"
            ),
            ("[]", labels, "differs in a value that is no JSON object"),
            (
                running, index(["app": "other", ".status.phase": "Running"]),
                "differs in what selectors see of other members"
            ),
            (running, index(["app": "web", ".spec.nodeName": "n"]), "differs in what selectors see of other members"),
        ]
        for (value, index, reason) in refused {
            let answer = guest.update("pods/d/a", value, index: index)
            XCTAssertTrue(answer.hasPrefix("FORBIDDEN: the plugin guest may change only status of pods"), answer)
            XCTAssertTrue(answer.contains(reason), answer)
        }
        XCTAssertTrue(guest.update("pods/d/a", running, index: labels, lease: 7).contains("differs in the lease"))
        XCTAssertTrue(guest.update("pods/d/none", running).hasPrefix("NOT_FOUND"))
        XCTAssertTrue(guest.create("pods/d/b", running).contains("store.write:pods"))
    }

    func testTransactionsAreCheckedStepByStep() throws {
        let store = try open()
        defer { store.close() }
        let a = #"{"spec":1,"status":1}"#
        try store.create("pods/d/a", a)
        try store.create("nodes//n", "{}")
        let guest = try Client(store, "store.write:pods/status store.write:leases")
        let good = step(HOSTD_STORE_UPDATE, "pods/d/a", #"{"spec":1,"status":2}"#)
        XCTAssertEqual(guest.transaction(good + step(HOSTD_STORE_PUT, "leases/d/l", "{}")), "ok")
        let rows: [(Int32, String, String, String)] = [
            (HOSTD_STORE_UPDATE, "pods/d/a", #"{"spec":2,"status":2}"#, "the member spec"),
            (HOSTD_STORE_PUT, "pods/d/a", #"{"spec":1,"status":3}"#, "may not replace pods"),
            (HOSTD_STORE_CREATE, "pods/d/c", a, "may not create pods"),
            (HOSTD_STORE_DELETE, "pods/d/a", "", "may not delete pods"),
            (HOSTD_STORE_CHECK, "nodes//n", "", "may not look at nodes"),
            (HOSTD_STORE_PUT, "nodes//n", "{}", "may not replace nodes"),
        ]
        for (kind, key, value, reason) in rows {
            let answer = guest.transaction(step(HOSTD_STORE_PUT, "leases/d/m", "{}") + step(kind, key, value))
            XCTAssertTrue(answer.hasPrefix("FORBIDDEN") && answer.contains(reason), "\(key) \(kind): \(answer)")
        }
        let admin = try Client(store, "store.read:leases")
        XCTAssertTrue(admin.get("leases/d/m").hasPrefix("NOT_FOUND"), "nothing of a refused transaction happened")
        XCTAssertEqual(guest.transaction(step(HOSTD_STORE_CHECK, "pods/d/a", "", expected: 99)), "CONFLICT")
        XCTAssertTrue(guest.transaction(step(99, "leases/d/l", "")).contains("unknown kind 99"))
        XCTAssertTrue(guest.transaction(Array(good[..<40])).contains("step 0 of the transaction is cut off"))
        var torn = good
        torn[4] = 0xF8
        XCTAssertTrue(guest.transaction(torn).contains("sizes that contradict each other"))
    }

    func testLeasesAndWatchesAreOnesOwn() throws {
        let store = try open()
        defer { store.close() }
        let (first, second) = (
            try Client(store, "store.write store.lease"), try Client(store, "store.read store.write store.lease")
        )
        var lease: UInt64 = 0
        XCTAssertEqual(first.run { $0.lease_grant($1, 60_000, &lease, $2) }, "ok")
        XCTAssertEqual(first.create("pods/d/a", "{}", lease: lease), "ok")
        let foreign = "NOT_FOUND: the plugin guest was not granted the lease \(lease)"
        XCTAssertEqual(second.run { $0.lease_revoke($1, lease, $2) }, foreign)
        XCTAssertEqual(second.run { $0.lease_keep_alive($1, lease, $2) }, foreign)
        XCTAssertEqual(second.create("pods/d/b", "{}", lease: lease), foreign)
        XCTAssertEqual(first.run { $0.lease_revoke($1, lease, $2) }, "ok")
        XCTAssertEqual(first.get("pods/d/a").prefix(9), "FORBIDDEN")

        var watch: UInt64 = 0
        let opened = second.run { table, this, error in
            table.watch(this, nil, 0, nil, 0, 0, { _, _, _, _ in }, nil, &watch, error)
        }
        XCTAssertEqual(opened, "ok")
        XCTAssertEqual(first.run { $0.watch_cancel($1, watch, $2) }, "ok", "idempotent, and without effect")
        XCTAssertEqual(store.parts.hub.count, 1, "another plugin's watch goes on")
        XCTAssertEqual(second.run { $0.watch_cancel($1, watch, $2) }, "ok")
        XCTAssertEqual(store.parts.hub.count, 0)
        XCTAssertTrue(first.run { $0.compact($1, 1, $2) }.hasPrefix("ok"))
    }
}
