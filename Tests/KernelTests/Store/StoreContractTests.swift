import PluginAPI
import StoreContract
import XCTest

@testable import Kernel

/// The embedded engine against the contract that every engine is held to.
final class StoreContractTests: XCTestCase {
    func testTheEmbeddedEngineKeepsEveryClause() throws {
        let directory = try ScratchDirectory()
        let store = try StateStore(directory: directory.path + "/store", options: StateStoreOptions())
        defer { store.close() }
        let table = store.makeInterface()
        for clause in StoreClause.all {
            do throws(Violation) { try clause.hold(against: table) } catch {
                XCTFail("rule \(error.rule ?? clause.rule), \(clause.title): \(error)")
            }
        }
    }
}
