import Glibc
import PluginAPI
import PluginKit
import XCTest

@testable import Etcd
@testable import Kernel

/// The state goes from one engine to the other and back, and is the same.
final class MigrationTests: XCTestCase {
    private var directory = ""

    override func setUp() {
        var template = Array("/tmp/hostd-migration-XXXXXX".utf8CString)
        XCTAssertNotNil(mkdtemp(&template))
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    override func tearDown() { try? FileTree.remove(directory) }  // What is left of it lies in /tmp.

    private func client(_ table: UnsafePointer<hostd_interface>) -> StoreClient {
        StoreClient(UnsafeRawPointer(table).assumingMemoryBound(to: hostd_store_1.self))
    }

    /// Keys, values and indexes, without revisions.
    private func contents(_ store: StoreClient) throws -> [String: [UInt8]] {
        var all: [String: [UInt8]] = [:]
        for record in try store.list(prefix: "").records where !record.key.hasPrefix("store.hostd.dev/") {
            all[record.key] = Array(record.indexBytes) + [255] + record.withValue { Array($0) }
        }
        return all
    }

    private func fill(_ store: StoreClient) throws {
        for number in 0..<1203 {
            try store.create(
                "pods/n\(number % 7)/p\(number)", value: [UInt8](repeating: UInt8(number % 251), count: number * 3),
                index: Array("app\0web\0".utf8))
        }
        for number in 0..<50 { try store.remove("pods/n\(number % 7)/p\(number)") }
        let lease = try store.leaseGrant(timeToLiveMilliseconds: 60_000)
        try store.create("leases/n/l", value: [1], lease: lease)
    }

    func testThereAndBack() throws {
        let embedded = try StateStore(directory: "\(directory)/one", options: StateStoreOptions())
        let first = client(embedded.makeInterface())
        try fill(first)
        var before = try contents(first)
        before["leases/n/l"] = nil
        let server = try EtcdServer()
        let engine = try server.open()
        let report = try StoreMigration(from: embedded.makeInterface()).copy(into: RoleTable.store(engine))
        XCTAssertEqual(report.keys, 1153)
        XCTAssertEqual(report.leased, 1)
        engine.close()
        embedded.close()

        let moved = try server.open()
        let second = client(RoleTable.store(moved))
        XCTAssertEqual(try contents(second), before)
        // Revisions go on: nothing that a client remembers comes again.
        let next = try second.create("pods/n/new", value: [7])
        XCTAssertGreaterThan(next, report.revision)
        XCTAssertThrowsError(try second.watch(prefix: "", from: report.revision - 1) { _ in }) { error in
            XCTAssertEqual((error as? PluginError)?.code, HOSTD_ERROR_COMPACTED)
        }
        assertRefused { _ = try StoreMigration(from: RoleTable.store(moved)).copy(into: RoleTable.store(moved)) }

        let back = try StoreMigration(from: RoleTable.store(moved)).copy(intoDirectory: "\(directory)/two")
        XCTAssertEqual(back.keys, 1154)
        assertRefused { _ = try StoreMigration(from: RoleTable.store(moved)).copy(intoDirectory: "\(directory)/two") }
        let record = try XCTUnwrap(try second.get("pods/n/new"))
        let expected = try contents(second)
        moved.close()
        let last = try StateStore(directory: "\(directory)/two", options: StateStoreOptions())
        defer { last.close() }
        let third = client(last.makeInterface())
        XCTAssertEqual(try contents(third), expected)
        XCTAssertEqual(try third.get("pods/n/new")?.revision, record.revision, "revisions are kept")
        XCTAssertGreaterThan(try third.create("pods/n/newer", value: []), next)
    }

    private func assertRefused(_ body: () throws -> Void, line: UInt = #line) {
        XCTAssertThrowsError(try body(), line: line) { error in
            XCTAssertEqual((error as? StoreError)?.code, HOSTD_ERROR_WRONG_STATE, "\(error)", line: line)
        }
    }
}
