import Objects
import XCTest

@testable import Controllers

/// When pods have to go for their devices, and when devices are ready for them.
final class DeviceTaintsTests: XCTestCase {
    private let now = Timestamp(seconds: 1_790_000_000)

    private func claim(_ tolerations: JSON = []) -> JSON {
        let result: JSON = ["driver": "d", "pool": "p", "device": "one", "tolerations": tolerations]
        return ["status": ["allocation": ["devices": ["results": [result]]]]]
    }

    private func taints(_ effect: String) -> DeviceTaints {
        let added = now.adding(seconds: -10).formatted()
        let taint: JSON = ["key": "k", "effect": .string(effect), "timeAdded": .string(added)]
        let spec: JSON = [
            "driver": "d", "nodeName": "n", "pool": ["name": "p", "generation": 1, "resourceSliceCount": 1],
            "devices": [["name": "one", "taints": [taint]]],
        ]
        return DeviceTaints(DeviceInventory([["metadata": ["name": "s"], "spec": spec]]))
    }

    func testTaints() {
        let rows: [(reason: String, effect: String, tolerations: JSON, left: Int64?)] = [
            ("at once", "NoExecute", [], -10), ("not for the newcomers' sake", "NoSchedule", [], nil),
            ("borne", "NoExecute", [["key": "k", "operator": "Exists"]], nil),
            ("borne for a time", "NoExecute", [["operator": "Exists", "tolerationSeconds": 30]], 20),
            (
                "the shortest time", "NoExecute",
                [
                    ["operator": "Exists", "tolerationSeconds": 30],
                    ["key": "k", "operator": "Exists", "tolerationSeconds": 15],
                ],
                5
            ),
            ("borne of others", "NoExecute", [["key": "l", "operator": "Exists"]], -10),
        ]
        for row in rows {
            let end = taints(row.effect).end(of: claim(row.tolerations), now: now)
            XCTAssertEqual(end.map { $0.seconds - now.seconds }, row.left, row.reason)
        }
        var other = claim()
        other["status"]["allocation"]["devices"]["results"] = [["driver": "d", "pool": "p", "device": "two"]]
        XCTAssertNil(taints("NoExecute").end(of: other, now: now), "another device")
        XCTAssertTrue(taints("NoSchedule").isEmpty)
    }

    func testBindingConditions() {
        func claim(_ conditions: [String: String], age: Int64 = 0) -> JSON {
            let device: JSON = ["driver": "d", "pool": "p", "device": "one"]
            var result = device
            result["bindingConditions"] = ["attached", "checked"]
            result["bindingFailureConditions"] = ["broken"]
            var status = device
            status["conditions"] = .array(
                conditions.map { ["type": .string($0.key), "status": .string($0.value)] })
            return [
                "metadata": ["name": "c", "namespace": "n"],
                "status": [
                    "allocation": [
                        "allocationTimestamp": .string(now.adding(seconds: -age).formatted()),
                        "devices": ["results": .array([result])],
                    ],
                    "devices": .array([status]),
                ],
            ]
        }
        let rows: [(reason: String, claim: JSON, expected: BindingConditions)] = [
            ("nothing is said", claim([:]), .pending(now.adding(seconds: 600))),
            ("one is missing", claim(["attached": "True"], age: 100), .pending(now.adding(seconds: 500))),
            ("one does not hold", claim(["attached": "True", "checked": "False"]), .pending(now.adding(seconds: 600))),
            ("all hold", claim(["attached": "True", "checked": "True"], age: 1000), .ready),
            (
                "broken", claim(["attached": "True", "broken": "True"]),
                .failed("claim c binding failed: reason=, message=\"\"")
            ),
            ("too late", claim(["attached": "True"], age: 600), .failed("claim c binding timeout")),
            ("of none", ["status": ["allocation": [:]]], .ready),
        ]
        for row in rows { XCTAssertEqual(BindingConditions([row.claim], now: now), row.expected, row.reason) }
    }
}
