import Dispatch
import Objects
import PluginAPI
import PluginKit
import StoreContract
import XCTest

/// etcd against the contract that every engine of hostd.store/1 is held to.
final class EngineContractTests: XCTestCase {
    func testEtcdKeepsEveryClause() throws {
        let engine = try Engine.etcd()
        for clause in StoreClause.all {
            do throws(Violation) { try clause.hold(against: engine.table) } catch {
                XCTFail("rule \(error.rule ?? clause.rule), \(clause.title): \(error)")
            }
        }
    }

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

    /// What the engines of the tree refuse alike, beyond what the header promises of every engine.
    func testWhatTheEnginesOfTheTreeRefuse() throws {
        try onEachEngine { engine, store in
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) {
                try store.create("a/b/c", value: [UInt8](repeating: 0, count: 2 << 20))
            }
            var twice = StoreTransaction()
            twice.put("a/n/q", value: [])
            twice.delete("a/n/q")
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) { try store.commit(twice) { _ in XCTFail("completed") } }
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT, engine) {
                _ = try store.watch(prefix: "a/", from: 1 << 40) { _ in }
            }
            XCTAssertEqual(try store.list(prefix: "").records.count, 0, engine)
            XCTAssertEqual(try store.status()["engine"].stringValue, engine)
        }
    }

    /// The slots that stores may lack, and these have.
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

    /// What plugins see of a watch through PluginKit.
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
}
