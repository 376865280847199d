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

    /// What the engines of the tree refuse alike, beyond what the header promises of every engine.
    func testValuesThatAreTooLargeAndKeysWrittenTwiceAreRefused() throws {
        for make in [Engine.embedded, Engine.etcd] {
            let engine = try make()
            XCTAssertThrowsError(try engine.store.create("a/b/c", value: [UInt8](repeating: 0, count: 2 << 20))) {
                XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_INVALID_ARGUMENT, engine.name)
            }
            var twice = StoreTransaction()
            twice.put("a/n/q", value: [])
            twice.delete("a/n/q")
            XCTAssertThrowsError(try engine.store.commit(twice) { _ in XCTFail("it completed") }) {
                XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_INVALID_ARGUMENT, engine.name)
            }
            XCTAssertEqual(try engine.store.list(prefix: "").records.count, 0, engine.name)
            XCTAssertEqual(try engine.store.status()["engine"].stringValue, engine.name)
        }
    }
}
