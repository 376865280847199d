import Objects
import XCTest

@testable import Node

final class NodeEventTests: XCTestCase {
    private func status(_ conditions: [String: String], boot: String = "b") -> JSON {
        [
            "nodeInfo": ["bootID": .string(boot)],
            "conditions": .array(conditions.map { ["type": .string($0.key), "status": .string($0.value)] }),
        ]
    }

    func testEvents() {
        let good = ["MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"]
        let rows: [(old: JSON, new: JSON, reasons: [String], why: String)] = [
            (
                .null, status(good),
                ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"], "a new node"
            ), (status(good), status(good), [], "nothing new"),
            (
                status(good), status(good.merging(["MemoryPressure": "True"]) { $1 }), ["NodeHasInsufficientMemory"],
                "memory"
            ),
            (status(good.merging(["Ready": "Unknown"]) { $1 }), status(good), ["NodeReady"], "it is back"),
            (status(good), status(good.merging(["Ready": "False"]) { $1 }), ["NodeNotReady"], "not ready"),
            (status(good), status(good, boot: "c"), ["Rebooted"], "another boot"),
        ]
        for row in rows {
            let events = NodeEvent.between(row.old, row.new, node: "alpha")
            XCTAssertEqual(events.map(\.reason), row.reasons, row.why)
        }
        XCTAssertEqual(
            NodeEvent.between(status(good), status(good, boot: "c"), node: "alpha"),
            [NodeEvent(isWarning: true, reason: "Rebooted", message: "Node alpha has been rebooted, boot id: c")])
        XCTAssertEqual(
            NodeEvent.schedulable("alpha", false).message, "Node alpha status is now: NodeNotSchedulable")
    }
}
