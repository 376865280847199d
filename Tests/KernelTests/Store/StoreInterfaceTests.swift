import Glibc
import Objects
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

/// The store through its C table, as a plugin calls it.
final class StoreInterfaceTests: XCTestCase {
    private let directory = TemporaryDirectory()

    private struct Call {
        let table: UnsafePointer<hostd_store_1>
        var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }
        var error = hostd_error()

        init(_ store: StateStore) {
            table = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self)
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        }
    }

    private func open() throws -> StateStore {
        try StateStore(directory: directory.path + "/store", options: smallOptions())
    }

    func testTheTableDescribesItself() throws {
        let store = try open()
        defer { store.close() }
        let interface = store.makeInterface()
        XCTAssertEqual(interface, store.makeInterface())
        XCTAssertEqual(String(cString: interface.pointee.id), HOSTD_STORE_1)
        XCTAssertEqual(String(cString: interface.pointee.slots), HOSTD_STORE_1_SLOTS)
        XCTAssertEqual(Int(interface.pointee.struct_size), MemoryLayout<hostd_store_1>.size)
    }

    func testGetSharesTheRecordAndOutlivesTheStore() throws {
        let store = try open()
        var call = Call(store)
        let key = Array("pods/d/a".utf8)
        var revision: UInt64 = 0
        XCTAssertEqual(
            call.table.pointee.create(
                call.this, key, UInt64(key.count), [1, 2, 3], 3, nil, 0, 0, &revision, &call.error), HOSTD_OK)
        var first = hostd_buffer()
        var second = hostd_buffer()
        XCTAssertEqual(call.table.pointee.get(call.this, key, UInt64(key.count), 0, &first, &call.error), HOSTD_OK)
        XCTAssertEqual(call.table.pointee.get(call.this, key, UInt64(key.count), 0, &second, &call.error), HOSTD_OK)
        XCTAssertEqual(first.data, second.data, "no copy is made")
        second.release?(second.context)
        XCTAssertEqual(
            call.table.pointee.remove(call.this, key, UInt64(key.count), 1, &revision, &call.error), HOSTD_OK)
        store.close()
        let head = UnsafeRawPointer(first.data!).loadUnaligned(as: hostd_store_record.self)
        XCTAssertEqual(head.revision, 1)
        XCTAssertEqual(UInt64(head.record_size), first.size)
        XCTAssertEqual(Array(UnsafeBufferPointer(start: first.data! + 64 + 8, count: 3)), [1, 2, 3])
        first.release?(first.context)
    }

    func testErrorsCarryCodeAndMessage() throws {
        let store = try open()
        defer { store.close() }
        var call = Call(store)
        var buffer = hostd_buffer()
        let key = Array("pods/d/none".utf8)
        XCTAssertEqual(
            call.table.pointee.get(call.this, key, UInt64(key.count), 0, &buffer, &call.error), HOSTD_ERROR_NOT_FOUND)
        XCTAssertEqual(call.error.code, HOSTD_ERROR_NOT_FOUND)
        XCTAssertEqual(text(call.error.message.data, call.error.message.size), "pods/d/none does not exist")
        call.error.message.release?(call.error.message.context)
        var small = hostd_error()
        small.struct_size = 4
        XCTAssertEqual(
            call.table.pointee.get(call.this, key, UInt64(key.count), 0, &buffer, &small), HOSTD_ERROR_NOT_FOUND)
        XCTAssertEqual(small.code, 0, "a field beyond the caller's size is not touched")
    }

    func testListPagesAreRecordsBehindEachOther() throws {
        let store = try open()
        defer { store.close() }
        for number in 0..<5 { try store.put("pods/d/\(number)", "value \(number)", index: ["n": "\(number)"]) }
        var call = Call(store)
        var page = hostd_buffer()
        let prefix = Array("pods/".utf8)
        XCTAssertEqual(
            call.table.pointee.list(call.this, prefix, UInt64(prefix.count), nil, 0, 0, 3, nil, 0, &page, &call.error),
            HOSTD_OK)
        let head = UnsafeRawPointer(page.data!).loadUnaligned(as: hostd_store_page.self)
        XCTAssertEqual([UInt64(head.more), head.revision, head.count, head.remaining], [1, 5, 3, 2])
        let records = Stored.all(
            in: UnsafeRawBufferPointer(
                start: page.data! + Int(head.struct_size), count: Int(page.size) - Int(head.struct_size)))
        XCTAssertEqual(records.map(\.value), ["value 0", "value 1", "value 2"])
        page.release?(page.context)
    }

    private final class Answer: @unchecked Sendable {  // All state is behind `monitor`.
        let monitor = Monitor()
        var commits: [(Int32, hostd_store_commit, String)] = []
        func wait(_ count: Int) {
            let deadline = monotonicNow() + 60_000_000_000
            monitor.locked {
                while commits.count < count { if !monitor.wait(until: deadline) { return XCTFail("no completion") } }
            }
        }
    }

    func testTransactionsCompleteOnceInOrder() throws {
        let store = try open()
        defer { store.close() }
        var call = Call(store)
        let answer = Answer()
        let context = Unmanaged.passUnretained(answer).toOpaque()
        for number in 0..<200 {
            let bytes = operation(HOSTD_STORE_CREATE, "pods/d/\(number / 2)", "x")
            XCTAssertEqual(
                call.table.pointee.transaction(
                    call.this, bytes, UInt64(bytes.count),
                    { context, status, data, size, error in
                        let answer = Unmanaged<Answer>.fromOpaque(context!).takeUnretainedValue()
                        XCTAssertEqual(Int(size), MemoryLayout<hostd_store_commit>.size)
                        let commit = UnsafeRawPointer(data!).loadUnaligned(as: hostd_store_commit.self)
                        answer.monitor.locked {
                            answer.commits.append(
                                (
                                    status, commit,
                                    error.map { text($0.pointee.message.data, $0.pointee.message.size) } ?? ""
                                ))
                            answer.monitor.broadcast()
                        }
                    }, context, &call.error), HOSTD_OK)
        }
        answer.wait(200)
        for (number, commit) in answer.commits.enumerated() {
            XCTAssertEqual(commit.0, number.isMultiple(of: 2) ? HOSTD_OK : HOSTD_ERROR_ALREADY_EXISTS)
            XCTAssertEqual(commit.1.revision, UInt64(number / 2 + 1))
            XCTAssertEqual(commit.1.failed_operation, number.isMultiple(of: 2) ? .max : 0)
            XCTAssertEqual(commit.2.isEmpty, number.isMultiple(of: 2))
        }
        XCTAssertEqual(
            call.table.pointee.transaction(
                call.this, [1, 2, 3], 3, { _, _, _, _, _ in XCTFail("completed") }, nil, &call.error),
            HOSTD_ERROR_INVALID_ARGUMENT)
        call.error.message.release?(call.error.message.context)
    }

    /// Who wrote each version of a key, as history names them.
    private func writers(_ store: StateStore, _ key: String) throws -> [String] {
        let json = try Array(key.utf8).withUnsafeBytes { try store.history(of: $0, limit: 0) }
        return json["versions"].arrayValue.map {
            "\($0["kind"].stringValue ?? "") \($0["user"].stringValue ?? "")/\($0["manager"].stringValue ?? "")"
        }
    }

    func testSlotsWithoutAWriterNameHostdAndTheEndOfALeaseItself() throws {
        let store = try open()
        defer { store.close() }
        var call = Call(store)
        let key = Array("pods/d/a".utf8)
        let size = UInt64(key.count)
        var revision: UInt64 = 0
        var lease: UInt64 = 0
        XCTAssertEqual(
            call.table.pointee.create(call.this, key, size, [1], 1, nil, 0, 0, &revision, &call.error), HOSTD_OK)
        XCTAssertEqual(
            call.table.pointee.update(call.this, key, size, [2], 1, nil, 0, 0, 0, &revision, &call.error), HOSTD_OK)
        XCTAssertEqual(call.table.pointee.remove(call.this, key, size, 0, &revision, &call.error), HOSTD_OK)
        XCTAssertEqual(call.table.pointee.lease_grant(call.this, 3_600_000, &lease, &call.error), HOSTD_OK)
        XCTAssertEqual(
            call.table.pointee.create(call.this, key, size, [3], 1, nil, 0, lease, &revision, &call.error), HOSTD_OK)
        XCTAssertEqual(call.table.pointee.lease_revoke(call.this, lease, &call.error), HOSTD_OK)
        let put = "put system:hostd/"
        let removed = "delete system:hostd/"
        XCTAssertEqual(try writers(store, "pods/d/a"), [put, put, removed, put, removed])

        let collector = Collector()
        _ = try store.watch("events/", collector.sink)
        let short = try store.grantLease(timeToLive: 3_600_000)
        try store.create("events/d/a", lease: short)
        try store.endEarly(short)
        collector.wait(count: 2)
        XCTAssertEqual(try writers(store, "events/d/a"), ["put /", "delete system:hostd/lease expiry"])
    }

    func testStatusAndBackupAnswerJSON() throws {
        let store = try open()
        defer { store.close() }
        try store.put("pods/d/a", "1")
        var call = Call(store)
        var json = hostd_buffer()
        XCTAssertEqual(call.table.pointee.status(call.this, &json, &call.error), HOSTD_OK)
        XCTAssertEqual(
            text(json.data, json.size),
            "{\"revision\":1,\"compactedRevision\":0,\"keys\":1,\"bytes\":80,\"engine\":\"embedded\",\"healthy\":true,\"reason\":\"\","
                + "\"historySince\":\"\",\"historyBytes\":80}"
        )
        json.release?(json.context)
        let file = Glibc.open(directory.path + "/backup", O_CREAT | O_WRONLY, 0o600)
        XCTAssertEqual(call.table.pointee.backup(call.this, file, &json, &call.error), HOSTD_OK)
        XCTAssertTrue(text(json.data, json.size).hasPrefix("{\"revision\":1,\"bytes\":"))
        json.release?(json.context)
        XCTAssertEqual(fcntl(file, F_GETFD), -1, "the descriptor was given away")
    }
}
