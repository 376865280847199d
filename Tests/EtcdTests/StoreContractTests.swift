import Dispatch
import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

/// What hostd/roles/store.h promises, held against the embedded engine and against a real etcd alike.
final class StoreContractTests: XCTestCase {
    private func onEachEngine(_ body: (String, StoreClient) throws -> Void) throws {
        for make in [Engine.embedded, Engine.etcd] {
            let engine = try make()
            try body(engine.name, engine.store)
            withExtendedLifetime(engine) {}
        }
    }

    private func assertFails(
        _ code: Int32, _ engine: String, file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void
    ) {
        do {
            try body()
            XCTFail("\(engine): nothing was thrown", file: file, line: line)
        } catch let error as PluginError {
            XCTAssertEqual(error.code, code, "\(engine): \(error.message)", file: file, line: line)
            XCTAssertFalse(error.message.isEmpty, engine, file: file, line: line)
        } catch {
            XCTFail("\(engine): \(error)", file: file, line: line)
        }
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    private func index(_ pairs: [String: String]) -> [UInt8] {
        pairs.sorted { $0.key < $1.key }.flatMap { Array($0.key.utf8) + [0] + Array($0.value.utf8) + [0] }
    }

    func testWritesAreComparedAndCounted() throws {
        try onEachEngine { engine, store in
            let first = try store.create("pods/d/a", value: bytes("1"), index: index(["app": "web"]))
            assertFails(HOSTD_ERROR_ALREADY_EXISTS, engine) { try store.create("pods/d/a", value: bytes("2")) }
            assertFails(HOSTD_ERROR_NOT_FOUND, engine) { try store.update("pods/d/b", value: bytes("2")) }
            assertFails(HOSTD_ERROR_CONFLICT, engine) {
                try store.update("pods/d/a", value: bytes("2"), expected: first + 100)
            }
            let second = try store.update("pods/d/a", value: bytes("2"), expected: first)
            XCTAssertEqual(second, first + 1, engine)
            let record = try XCTUnwrap(try store.get("pods/d/a"), engine)
            XCTAssertEqual(record.revision, second, engine)
            XCTAssertEqual(record.createRevision, first, engine)
            XCTAssertEqual(record.version, 2, engine)
            XCTAssertEqual(record.withValue { Array($0) }, bytes("2"), engine)
            let old = try XCTUnwrap(try store.get("pods/d/a", revision: first), engine)
            XCTAssertEqual(old.withValue { Array($0) }, bytes("1"), engine)
            XCTAssertEqual(old.index("app"), "web", engine)
            assertFails(HOSTD_ERROR_CONFLICT, engine) { try store.remove("pods/d/a", expected: first) }
            let gone = try store.remove("pods/d/a", expected: second)
            XCTAssertEqual(gone, second + 1, engine)
            XCTAssertNil(try store.get("pods/d/a"), engine)
            XCTAssertNotNil(try store.get("pods/d/a", revision: second), engine)
            assertFails(HOSTD_ERROR_NOT_FOUND, engine) { try store.remove("pods/d/a") }
            let again = try store.create("pods/d/a", value: bytes("3"))
            XCTAssertEqual(try store.get("pods/d/a")?.version, 1, engine)
            XCTAssertEqual(try store.get("pods/d/a")?.createRevision, again, engine)
        }
    }

    func testTheHistoryTellsWhoWroteWhatAndWhen() throws {
        try onEachEngine { engine, store in
            let before = Timestamp.now()
            for (kind, writer, value) in [
                ("create", "alice\0kubectl", "{\"n\":1}"), ("update", "system:hostd\0node", "{\"n\":2}"),
                ("update", "", "{\"n\":3}"),
            ] {
                var transaction = StoreTransaction()
                if kind == "create" {
                    transaction.create("pods/d/h", value: bytes(value), index: index(["app": "web"]))
                } else {
                    transaction.update("pods/d/h", value: bytes(value))
                }
                let done = DispatchSemaphore(value: 0)
                try store.commit(transaction, by: writer) { commit in
                    XCTAssertNil(commit.error, engine)
                    done.signal()
                }
                XCTAssertEqual(done.wait(timeout: .now() + 20), .success, engine)
            }
            let versions = try store.history("pods/d/h")["versions"].arrayValue
            XCTAssertEqual(versions.map { $0["user"].stringValue }, ["alice", "system:hostd", ""], engine)
            XCTAssertEqual(versions.map { $0["manager"].stringValue }, ["kubectl", "node", ""], engine)
            XCTAssertEqual(versions.map { $0["value"]["n"].integerValue }, [1, 2, 3], engine)
            XCTAssertEqual(versions.map { $0["version"].integerValue }, [1, 2, 3], engine)
            XCTAssertEqual(versions[0]["index"]["app"].stringValue, "web", engine)
            XCTAssertEqual(versions[1]["revision"].integerValue, versions[0]["revision"].integerValue.map { $0 + 1 })
            for version in versions {
                let time = try Timestamp(parsing: version["time"].stringValue ?? "")
                XCTAssertLessThan(abs(time.nanoseconds(since: before)), 60_000_000_000, engine)
            }
            XCTAssertEqual(try store.history("pods/d/h", limit: 1)["versions"].arrayValue.count, 1, engine)
            assertFails(HOSTD_ERROR_NOT_FOUND, engine) { _ = try store.history("pods/d/none") }
            if engine == "etcd" {
                assertFails(HOSTD_ERROR_NOT_SUPPORTED, engine) { _ = try store.revision(at: 1) }
            } else {
                XCTAssertEqual(try store.revision(at: .max), try store.get("pods/d/h")?.revision, engine)
                assertFails(HOSTD_ERROR_COMPACTED, engine) { _ = try store.revision(at: 1) }
            }
        }
    }

    func testBadArgumentsAreRefused() throws {
        try onEachEngine { engine, store in
            for key in [
                "", "pods", "pods/d", "/d/a", "pods/d/", "pods/d/a/b", "pods/d/\u{1}",
                String(repeating: "x", count: 2000),
            ] {
                assertFails(HOSTD_ERROR_INVALID_ARGUMENT, "\(engine) \(key)") { try store.create(key, value: []) }
            }
            for prefix in ["pods", "/", "pods/d", "a/b/c/"] {
                assertFails(HOSTD_ERROR_INVALID_ARGUMENT, "\(engine) \(prefix)") { _ = try store.list(prefix: prefix) }
                assertFails(HOSTD_ERROR_INVALID_ARGUMENT, "\(engine) \(prefix)") {
                    _ = try store.watch(prefix: prefix) { _ in }
                }
            }
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) { try store.create("a/b/c", value: [], index: [1]) }
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) {
                try store.create("a/b/c", value: [UInt8](repeating: 0, count: 2 << 20))
            }
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) { _ = try store.list(prefix: "a/", revision: 1 << 40) }
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) { _ = try store.get("a/b/c", revision: 1 << 40) }
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) {
                _ = try store.watch(prefix: "a/", from: 1 << 40) { _ in }
            }
            XCTAssertEqual(try store.list(prefix: "").records.count, 0, engine)
        }
    }

    func testListsArePagedPinnedAndSelected() throws {
        try onEachEngine { engine, store in
            for number in 0..<30 {
                let namespace = number < 20 ? "a" : "b"
                try store.create(
                    "pods/\(namespace)/\(format2(number))", value: bytes("\(number)"),
                    index: index(["even": number.isMultiple(of: 2) ? "yes" : "no", "n": "\(number)"]))
            }
            try store.create("podsets/a/x", value: [])
            let all = try store.list(prefix: "pods/")
            XCTAssertEqual(all.records.count, 30, engine)
            XCTAssertFalse(all.hasMore, engine)
            XCTAssertEqual(try store.list(prefix: "pods/b/").records.count, 10, engine)
            XCTAssertEqual(try store.list(prefix: "").records.count, 31, engine)
            try store.remove("pods/a/05")
            // A list that goes on shows the state in which it began.
            var seen: [String] = []
            var page = try store.list(prefix: "pods/", revision: all.revision, limit: 7)
            XCTAssertEqual(page.remaining, 23, engine)
            while true {
                seen += page.records.map(\.key)
                guard page.hasMore, let last = page.records.last else { break }
                page = try store.list(prefix: "pods/", revision: all.revision, limit: 7, after: last.key)
            }
            XCTAssertEqual(seen, all.records.map(\.key), engine)
            XCTAssertEqual(seen, seen.sorted(), engine)
            let even = try store.list(prefix: "pods/", selector: "even=yes", limit: 4)
            XCTAssertEqual(even.records.map(\.key), ["pods/a/00", "pods/a/02", "pods/a/04", "pods/a/06"], engine)
            XCTAssertTrue(even.hasMore, engine)
            XCTAssertEqual(try store.list(prefix: "pods/", selector: "even in (no),n>20,n<24").records.count, 2, engine)
            XCTAssertEqual(try store.list(prefix: "pods/", selector: "!even").records.count, 0, engine)
            XCTAssertEqual(try store.list(prefix: "pods/", selector: "even!=yes").records.count, 14, engine)
        }
    }

    private func format2(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private func commit(_ store: StoreClient, _ transaction: StoreTransaction) throws -> StoreCommit {
        let monitor = Monitor()
        let box = CommitSlot()
        try store.commit(transaction) { commit in
            monitor.locked {
                box.commit = commit
                monitor.broadcast()
            }
        }
        let deadline = monotonicNanoseconds() + 20_000_000_000
        return try monitor.locked {
            while box.commit == nil, monitor.wait(until: deadline) {}
            return try XCTUnwrap(box.commit)
        }
    }

    private final class CommitSlot: @unchecked Sendable {  // Behind the monitor above.
        var commit: StoreCommit?
    }

    func testTransactionsHappenWholeOrNotAtAll() throws {
        try onEachEngine { engine, store in
            let first = try store.create("a/n/x", value: bytes("1"))
            var good = StoreTransaction()
            good.check("a/n/x", expected: first)
            good.check("a/n/none", expected: 0)
            good.create("a/n/y", value: bytes("y"))
            good.update("a/n/x", value: bytes("2"), expected: first)
            good.put("a/n/z", value: bytes("z"))
            let done = try commit(store, good)
            XCTAssertNil(done.error, engine)
            XCTAssertEqual(done.revision, first + 1, engine)
            XCTAssertEqual(
                try store.list(prefix: "a/").records.map(\.revision), [UInt64](repeating: done.revision, count: 3),
                engine)
            var bad = StoreTransaction()
            bad.delete("a/n/z")
            bad.create("a/n/y", value: bytes("again"))
            let refused = try commit(store, bad)
            XCTAssertEqual(refused.error?.code, HOSTD_ERROR_ALREADY_EXISTS, engine)
            XCTAssertEqual(refused.failedOperation, 1, engine)
            XCTAssertEqual(refused.revision, done.revision, engine)
            XCTAssertNotNil(try store.get("a/n/z"), engine)
            var twice = StoreTransaction()
            twice.put("a/n/q", value: [])
            twice.delete("a/n/q")
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) { try store.commit(twice) { _ in XCTFail("completed") } }
        }
    }

    func testWatchesAreGaplessFromAnyRevision() throws {
        try onEachEngine { engine, store in
            let start = try store.create("pods/d/a", value: bytes("1"))
            try store.update("pods/d/a", value: bytes("2"))
            try store.create("other/d/a", value: bytes("x"))
            try store.remove("pods/d/a")
            let gathered = Gathered()
            let watch = try store.watch(prefix: "pods/", from: start, handler: gathered.take)
            XCTAssertEqual(gathered.wait(count: 2), ["pods/d/a=2", "-pods/d/a was 2"], engine)
            gathered.waitForProgress(start)
            let last = try store.create("pods/d/b", value: bytes("3"))
            XCTAssertEqual(gathered.wait(count: 3).last, "pods/d/b=3", engine)
            XCTAssertEqual(gathered.allRevisions, [start + 1, start + 3, last], engine)
            watch.cancel()
            try store.create("pods/d/c", value: bytes("4"))
            XCTAssertEqual(gathered.all.count, 3, engine)
            // From now on: nothing of before.
            let fresh = Gathered()
            let second = try store.watch(prefix: "", handler: fresh.take)
            try store.create("pods/e/d", value: bytes("5"))
            XCTAssertEqual(fresh.wait(count: 1), ["pods/e/d=5"], engine)
            second.cancel()
        }
    }

    func testWatchesWithASelectorTellWhoEntersAndLeaves() throws {
        try onEachEngine { engine, store in
            let gathered = Gathered()
            let watch = try store.watch(prefix: "pods/", selector: ".node=alpha", handler: gathered.take)
            let (alpha, beta) = (index([".node": "alpha"]), index([".node": "beta"]))
            try store.create("pods/d/a", value: bytes("1"), index: beta)
            try store.update("pods/d/a", value: bytes("2"), index: alpha)
            try store.update("pods/d/a", value: bytes("3"), index: alpha)
            try store.update("pods/d/a", value: bytes("4"), index: beta)
            try store.remove("pods/d/a")
            try store.create("pods/d/b", value: bytes("5"), index: alpha)
            try store.remove("pods/d/b")
            XCTAssertEqual(
                gathered.wait(count: 5),
                [
                    "pods/d/a=2 entered", "pods/d/a=3", "pods/d/a=4 left was 3", "pods/d/b=5", "-pods/d/b was 5",
                ], engine)
            watch.cancel()
        }
    }

    func testManyWatchesSeeManyWritersInOrder() throws {
        try onEachEngine { engine, store in
            let gathered = (0..<20).map { _ in Gathered() }
            let watches = try gathered.map { try store.watch(prefix: "pods/", handler: $0.take) }
            let writers = try (0..<8).map { writer in
                try PluginThread(name: "writer") {
                    for number in 0..<25 {
                        do { try store.create("pods/w\(writer)/\(number)", value: [UInt8(number)]) } catch {
                            XCTFail("\(error)")
                        }
                    }
                }
            }
            for writer in writers { writer.join() }
            for one in gathered {
                XCTAssertEqual(one.wait(count: 200).count, 200, engine)
                XCTAssertEqual(one.allRevisions, one.allRevisions.sorted(), engine)
                XCTAssertEqual(Set(one.allRevisions).count, 200, engine)
                XCTAssertEqual(one.all, gathered[0].all, engine)
            }
            for watch in watches { watch.cancel() }
        }
    }

    func testCompactionGivesUpHistoryAlone() throws {
        try onEachEngine { engine, store in
            let first = try store.create("a/n/x", value: bytes("1"))
            let second = try store.update("a/n/x", value: bytes("2"))
            let third = try store.update("a/n/x", value: bytes("3"))
            try store.compact(second)
            try store.compact(second)
            assertFails(HOSTD_ERROR_COMPACTED, engine) { _ = try store.get("a/n/x", revision: first) }
            assertFails(HOSTD_ERROR_COMPACTED, engine) { _ = try store.list(prefix: "a/", revision: first) }
            XCTAssertEqual(try store.get("a/n/x", revision: second)?.revision, second, engine)
            XCTAssertEqual(try store.get("a/n/x")?.revision, third, engine)
            let gathered = Gathered()
            let watch = try store.watch(prefix: "a/", from: second, handler: gathered.take)
            XCTAssertEqual(gathered.wait(count: 1), ["a/n/x=3"], engine)
            watch.cancel()
        }
    }

    func testLeasesTakeTheirKeysAlong() throws {
        try onEachEngine { engine, store in
            let lease = try store.leaseGrant(timeToLiveMilliseconds: 60_000)
            try store.create("a/n/leased", value: [], lease: lease)
            XCTAssertEqual(try store.get("a/n/leased")?.lease, lease, engine)
            try store.leaseKeepAlive(lease)
            let gathered = Gathered()
            let watch = try store.watch(prefix: "a/", handler: gathered.take)
            try store.leaseRevoke(lease)
            XCTAssertEqual(gathered.wait(count: 1), ["-a/n/leased was "], engine)
            XCTAssertNil(try store.get("a/n/leased"), engine)
            assertFails(HOSTD_ERROR_NOT_FOUND, engine) { try store.leaseKeepAlive(lease) }
            let short = try store.leaseGrant(timeToLiveMilliseconds: 1000)
            try store.create("a/n/short", value: [], lease: short)
            XCTAssertEqual(gathered.wait(count: 3).last, "-a/n/short was ", engine)
            watch.cancel()
        }
    }

    func testTheStatusTellsTheEngine() throws {
        try onEachEngine { engine, store in
            let revision = try store.create("a/n/x", value: bytes("1"))
            let status = try store.status()
            XCTAssertEqual(status["engine"].stringValue, engine)
            XCTAssertEqual(status["healthy"], true)
            XCTAssertEqual(status["keys"], 1)
            XCTAssertEqual(status["revision"].integerValue, Int64(revision))
        }
    }
}
