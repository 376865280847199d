import PluginAPI
import PluginKit
import XCTest

@testable import Etcd

final class TransactionPlanTests: XCTestCase {
    private let keys = KeySpace(prefix: "/t/", offset: 1000)
    private func step(_ kind: StoreStep.Kind, expected: UInt64 = 0) -> StoreStep {
        StoreStep(kind, key: Array("a/b/c".utf8), expected: expected)
    }

    func testConditions() throws {
        let rows: [(StoreStep, Compare?)] = [
            (step(.create), .isAbsent), (step(.put), nil), (step(.update), .exists), (step(.delete), .exists),
            (step(.update, expected: 1007), .isAt(7)), (step(.delete, expected: 1007), .isAt(7)),
            (step(.check), .isAbsent), (step(.check, expected: 1007), .isAt(7)),
            (step(.update, expected: 5), .isAt(-1)),
        ]
        for (step, compare) in rows {
            XCTAssertEqual(try TransactionPlan.request([step], keys).conditions.first?.compare, compare, "\(step)")
        }
    }

    func testRefusalsNameTheFirstStepThatFails() {
        var found = KeyValue()
        found.modRevision = 7
        let rows: [(StoreStep, KeyValue?, Int32?)] = [
            (step(.create), found, HOSTD_ERROR_ALREADY_EXISTS), (step(.update), nil, HOSTD_ERROR_NOT_FOUND),
            (step(.update, expected: 1006), found, HOSTD_ERROR_CONFLICT), (step(.delete), nil, HOSTD_ERROR_NOT_FOUND),
            (step(.delete, expected: 1006), found, HOSTD_ERROR_CONFLICT), (step(.check), found, HOSTD_ERROR_CONFLICT),
            (step(.check, expected: 1006), found, HOSTD_ERROR_CONFLICT),
            (step(.check, expected: 1006), nil, HOSTD_ERROR_CONFLICT),
        ]
        for (bad, present, code) in rows {
            let commit = TransactionPlan.refusal([step(.put), bad], [nil, present], keys)
            XCTAssertEqual(commit.failedOperation, 1, "\(bad)")
            XCTAssertEqual(commit.error?.code, code, "\(bad)")
            XCTAssertEqual(commit.revision, present == nil ? 0 : 1007, "\(bad)")
        }
    }
}
