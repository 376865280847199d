import Objects
import XCTest

@testable import Controllers

final class ClaimRetentionTests: XCTestCase {
    private let pod: JSON = ["metadata": ["name": "db-1", "uid": "p"]]

    private func set(_ whenDeleted: JSON, _ whenScaled: JSON) -> JSON {
        [
            "metadata": ["name": "db", "uid": "s"],
            "spec": ["persistentVolumeClaimRetentionPolicy": ["whenDeleted": whenDeleted, "whenScaled": whenScaled]],
        ]
    }

    func testOwners() {
        let cases: [(String, JSON, JSON, Bool, [String]?)] = [
            ("kept", "Retain", "Retain", true, nil), ("goes with the set", "Delete", "Retain", false, ["StatefulSet"]),
            ("a pod that is scaled away", "Retain", "Delete", true, ["Pod"]),
            ("a pod that stays", "Retain", "Delete", false, nil),
            ("the pod comes first", "Delete", "Delete", true, ["Pod"]),
            ("the set of a pod that stays", "Delete", "Delete", false, ["StatefulSet"]),
        ]
        let claim: JSON = ["metadata": ["name": "data-db-1"]]
        for (reason, deleted, scaled, isCondemned, kinds) in cases {
            let owners = ClaimRetention(set(deleted, scaled)).owners(of: claim, pod: pod, isCondemned: isCondemned)
            XCTAssertEqual(owners?.map { $0["kind"].stringValue ?? "" }, kinds, reason)
        }
    }

    func testOwnersChange() throws {
        let retention = ClaimRetention(set("Delete", "Delete"))
        func claim(_ owners: [JSON]) -> JSON { ["metadata": ["ownerReferences": .array(owners)]] }
        let condemned = try XCTUnwrap(retention.owners(of: claim([]), pod: pod, isCondemned: true))
        XCTAssertNil(retention.owners(of: claim(condemned), pod: pod, isCondemned: true))
        let back = try XCTUnwrap(retention.owners(of: claim(condemned), pod: pod, isCondemned: false))
        XCTAssertEqual(back.map { $0["uid"] }, ["s"], "a pod that is to stay again owns nothing")
        let foreign: JSON = ["kind": "Backup", "name": "b", "uid": "b", "controller": true]
        XCTAssertNil(retention.owners(of: claim([foreign]), pod: pod, isCondemned: true), "somebody else's")
    }
}
