import Glibc
import PluginAPI
import XCTest

@testable import Kernel

final class StateStoreTests: XCTestCase {
    private func open(_ directory: TemporaryDirectory) throws -> StateStore {
        try StateStore(directory: directory.path + "/store", options: smallOptions())
    }

    func testCreateGetUpdateRemove() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        XCTAssertEqual(try store.create("pods/default/a", "1"), 1)
        XCTAssertEqual(try store.update("pods/default/a", "2", expected: 1), 2)
        let record = try store.value("pods/default/a")
        XCTAssertEqual(record.value, "2")
        XCTAssertEqual(record.version, 2)
        XCTAssertEqual(try store.value("pods/default/a", at: 1).value, "1")
        XCTAssertEqual(try store.remove("pods/default/a", expected: 2), 3)
        assertFails(HOSTD_ERROR_NOT_FOUND, naming: "pods/default/a") { try store.value("pods/default/a") }
        XCTAssertEqual(try store.value("pods/default/a", at: 2).value, "2")
        XCTAssertEqual(try store.create("pods/default/a", "3"), 4)
        XCTAssertEqual(try store.value("pods/default/a").version, 1)
    }

    func testPreconditionsOfEachStep() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        try store.create("nodes//a")
        let rows: [(Int32, String, UInt64, Int32)] = [
            (HOSTD_STORE_CREATE, "nodes//a", 0, HOSTD_ERROR_ALREADY_EXISTS),
            (HOSTD_STORE_UPDATE, "nodes//b", 0, HOSTD_ERROR_NOT_FOUND),
            (HOSTD_STORE_UPDATE, "nodes//a", 9, HOSTD_ERROR_CONFLICT),
            (HOSTD_STORE_DELETE, "nodes//b", 0, HOSTD_ERROR_NOT_FOUND),
            (HOSTD_STORE_DELETE, "nodes//a", 9, HOSTD_ERROR_CONFLICT),
            (HOSTD_STORE_CHECK, "nodes//a", 0, HOSTD_ERROR_CONFLICT),
            (HOSTD_STORE_CHECK, "nodes//b", 1, HOSTD_ERROR_CONFLICT),
            (77, "nodes//a", 0, HOSTD_ERROR_INVALID_ARGUMENT),
        ]
        for (kind, key, expected, code) in rows {
            assertFails(code) { try store.write(kind, key, expected: expected) }
        }
        XCTAssertEqual(try store.write(HOSTD_STORE_CHECK, "nodes//a", expected: 1), 1)
        XCTAssertEqual(try store.write(HOSTD_STORE_CHECK, "nodes//b", expected: 0), 1)
        XCTAssertTrue(store.status().contains("\"revision\":1"))
    }

    func testBadKeysAndValuesAreRefused() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        let long = "pods/default/" + String(repeating: "x", count: 1020)
        for key in ["", "pods", "pods/a", "/a/b", "pods/a/", "pods/a/b/c", "pods/a/b\u{0}", "pods/a/\n", long] {
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try store.create(key) }
        }
        for prefix in ["pods", "/", "pods/a/b", "pods/a/b/"] {
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try store.names(prefix) }
        }
        let invalid: [UInt8] = [0x70, 0x2F, 0x2F, 0xFF]
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) {
            try invalid.withUnsafeBytes { key in try store.perform(HOSTD_STORE_PUT, key: key) }
        }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT, naming: "1572865") {
            try store.put("pods/a/b", String(repeating: "v", count: 1_572_865))
        }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) {
            try [UInt8]("a\0b".utf8).withUnsafeBytes { index in
                try Array("p//x".utf8).withUnsafeBytes { key in
                    try store.perform(HOSTD_STORE_PUT, key: key, index: index)
                }
            }
        }
        XCTAssertEqual(try store.put("pods/a/b", String(repeating: "v", count: 1_572_864)), 1)
    }

    func testListsAreOrderedPagedAndAtOneRevision() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        for number in 0..<700 { try store.put("pods/n\(number % 3)/p\(1000 + number)", "\(number)") }
        try store.put("pods.metrics/n0/x")
        try store.put("nodes//n")
        let frozen = try store.page("pods/").revision
        let expected = try store.names("pods/")
        XCTAssertEqual(expected.count, 700)
        XCTAssertEqual(expected, expected.sorted())
        XCTAssertEqual(try store.names().prefix(2), ["nodes//n", "pods.metrics/n0/x"])
        XCTAssertEqual(try store.names().count, 702)
        for number in 0..<300 { try store.remove("pods/n\(number % 3)/p\(1000 + number)") }
        try store.put("pods/n0/new")

        var collected: [String] = []
        while true {
            let page = try store.page("pods/", at: frozen, limit: 64, after: collected.last ?? "")
            collected += page.keys
            XCTAssertEqual(page.remaining, UInt64(700 - collected.count))
            if !page.more { break }
        }
        XCTAssertEqual(collected, expected)

        XCTAssertEqual(try store.names("pods/").count, 401)
        var walked: [String] = []
        while true {
            let page = try store.page(limit: 100, after: walked.last ?? "")
            walked += page.keys
            XCTAssertEqual(page.remaining, UInt64(403 - walked.count))
            if !page.more { break }
        }
        XCTAssertEqual(walked, try store.names())
        XCTAssertEqual(try store.names("pods/n1/").allSatisfy { $0.hasPrefix("pods/n1/") }, true)
        XCTAssertEqual(try store.page("pods/n1/", limit: 10).remaining, UInt64(try store.names("pods/n1/").count - 10))
        XCTAssertEqual(try store.names("absent/"), [])
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try store.names("pods/", at: 99_999) }
    }

    func testSelectorsNarrowLists() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        try store.put("pods/d/a", index: ["app": "web", "tier": "front", ".spec.nodeName": "n1"])
        try store.put("pods/d/b", index: ["app": "web", "beta": ""])
        try store.put("pods/d/c", index: ["app": "db", "size": "12"])
        try store.put("pods/d/e")
        let rows: [(String, String)] = [
            ("", "abce"), ("app=web", "ab"), ("app==web,!beta", "a"), ("app!=web", "ce"), ("app", "abc"), ("!app", "e"),
            ("app in (web, db)", "abc"), ("app notin (web)", "ce"), ("size>11", "c"), ("size<12", ""),
            (".spec.nodeName=n1", "a"),
            ("beta=", "b"), (" app = web , tier = front ", "a"), ("beta in ()", "b"),
        ]
        for (selector, expected) in rows {
            XCTAssertEqual(
                try store.names("pods/", selector: selector).map { String($0.last!) }.joined(), expected, selector)
        }
        for bad in ["=a", "a in", "a in (b", "a b", "a,", "a>x", "!", "a=b=c"] {
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, naming: "byte") { try store.names("pods/", selector: bad) }
        }
        XCTAssertEqual(try store.page("pods/", selector: "app", limit: 1).more, true)
        XCTAssertEqual(try store.page("pods/", selector: "app", limit: 3).more, false)
    }

    func testTransactionsHappenAsAWholeOrNotAtAll() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        func run(_ operations: [UInt8]...) throws -> Outcome {
            let bytes = operations.flatMap { $0 }
            let write = try bytes.withUnsafeBytes { bytes in
                try Write(operations: bytes, limits: store.parts.options.writeLimits)
            }
            do { return try store.perform(write) } catch { return write.outcome }
        }
        let first = try run(
            operation(HOSTD_STORE_CREATE, "pods/d/a", "1"), operation(HOSTD_STORE_CREATE, "pods/d/b", "1"),
            operation(HOSTD_STORE_CHECK, "pods/d/c"))
        XCTAssertEqual(first.revision, 1)
        XCTAssertEqual(try store.value("pods/d/a").revision, try store.value("pods/d/b").revision)

        let second = try run(
            operation(HOSTD_STORE_UPDATE, "pods/d/a", "2"), operation(HOSTD_STORE_DELETE, "pods/d/b", expected: 7))
        XCTAssertEqual(second.status, HOSTD_ERROR_CONFLICT)
        XCTAssertEqual(second.failedStep, 1)
        XCTAssertEqual(second.revision, 1)
        XCTAssertEqual(try store.value("pods/d/a").value, "1")

        assertFails(HOSTD_ERROR_INVALID_ARGUMENT, naming: "twice") {
            try run(operation(HOSTD_STORE_PUT, "pods/d/a"), operation(HOSTD_STORE_DELETE, "pods/d/a"))
        }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try run([]) }
        for cut in stride(from: 1, to: 48, by: 5) {
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT) {
                try run(Array(operation(HOSTD_STORE_PUT, "pods/d/a").prefix(cut)))
            }
        }
        var lying = operation(HOSTD_STORE_PUT, "pods/d/a")
        lying[40] = 0xFF  // value_size
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try run(lying) }
    }

    func testConcurrentWritersOfOneKeyConflictButNeverLoseAnUpdate() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        try store.create("counters//c", "0")
        let threads = try (0..<8).map { _ in
            try KernelThread(name: "writer") {
                for _ in 0..<25 {
                    while true {
                        do {
                            let now = try store.value("counters//c")
                            try store.update("counters//c", "\(Int(now.value)! + 1)", expected: now.revision)
                            break
                        } catch {
                            XCTAssertEqual((error as? StoreError)?.code, HOSTD_ERROR_CONFLICT)
                        }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(try store.value("counters//c").value, "200")
    }

    func testASecondProcessOrStoreIsRefused() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        assertFails(HOSTD_ERROR_WRONG_STATE, naming: "process \(getpid())") {
            try StateStore(directory: directory.path + "/store")
        }
        store.close()
        try open(directory).close()
    }

    func testWritesAfterCloseAreRefused() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        store.close()
        store.close()
        assertFails(HOSTD_ERROR_UNAVAILABLE) { try store.put("a//b") }
    }

    func testHistoryIsBoundedAndCompacts() throws {
        let directory = TemporaryDirectory()
        var options = smallOptions()
        options.historyCount = 50
        let store = try StateStore(directory: directory.path, options: options)
        for number in 1...200 { try store.put("pods/d/a", "\(number)") }
        assertFails(HOSTD_ERROR_COMPACTED) { try store.value("pods/d/a", at: 100) }
        XCTAssertEqual(try store.value("pods/d/a", at: 160).value, "160")
        XCTAssertLessThanOrEqual(store.parts.tree.historyCount, 50)
        try store.compact(to: 190)
        assertFails(HOSTD_ERROR_COMPACTED) { try store.names(at: 189) }
        assertFails(HOSTD_ERROR_COMPACTED) { try store.watch(from: 189) { _, _ in } }
        XCTAssertEqual(try store.value("pods/d/a", at: 190).value, "190")
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try store.compact(to: 201) }
        store.close()
        let again = try StateStore(directory: directory.path, options: options)
        defer { again.close() }
        assertFails(HOSTD_ERROR_COMPACTED) { try again.names(at: 189) }
        XCTAssertEqual(try again.value("pods/d/a", at: 195).value, "195")
    }

    func testDeletedKeysLeaveNothingBehindAfterCompaction() throws {
        let directory = TemporaryDirectory()
        let store = try open(directory)
        defer { store.close() }
        for number in 0..<600 { try store.put("pods/d/\(number)") }
        for number in 0..<600 { try store.remove("pods/d/\(number)") }
        try store.compact(to: 1200)
        XCTAssertEqual(store.parts.tree.historyCount, 0)
        XCTAssertEqual(store.parts.tree.historyBytes, 0)
        XCTAssertEqual(store.parts.tree.liveBytes, 0)
        var position = OrderedIndex.Position(leaf: 0, item: 0)
        XCTAssertNil(store.parts.tree.partitions[0].index.record(at: &position))
    }

    func testItCountsItsWork() throws {
        let directory = TemporaryDirectory()
        var options = smallOptions()
        let metrics = Metrics()
        options.metrics = metrics
        let store = try StateStore(directory: directory.path, options: options)
        try store.put("pods/d/a", "1")
        try store.put("pods/d/b", "2")
        let text = metrics.collect()
        for line in [
            "hostd_store_writes_total 2", "hostd_store_keys 2", "hostd_store_revision 2",
            "hostd_store_history_records 2",
            "hostd_store_commit_duration_seconds_count 2", "hostd_store_watches 0",
        ] { XCTAssertTrue(text.split(separator: "\n").contains(Substring(line)), "\(line) is not in\n\(text)") }
        store.close()
    }
}
