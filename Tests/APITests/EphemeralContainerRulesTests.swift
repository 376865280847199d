import Objects
import XCTest

@testable import API

final class EphemeralContainerRulesTests: XCTestCase {
    private func pod(_ ephemeral: [JSON]) -> JSON {
        ["spec": ["containers": [["name": "main"]], "ephemeralContainers": .array(ephemeral)]]
    }

    func testWhatMayBeAdded() {
        let old: JSON = ["name": "old", "image": "x"]
        let rows: [(reason: String, after: [JSON], faults: [String])] = [
            ("nothing new", [old], []), ("one more", [old, ["name": "new", "targetContainerName": "main"]], []),
            (
                "none any more", [],
                ["spec.ephemeralContainers: existing ephemeral containers \"old\" may not be removed"]
            ),
            (
                "another image", [["name": "old", "image": "y"]],
                ["spec.ephemeralContainers: existing ephemeral containers \"old\" may not be changed"]
            ),
            (
                "with a probe", [old, ["name": "new", "livenessProbe": ["tcpSocket": ["port": 1]]]],
                ["spec.ephemeralContainers[1].livenessProbe: cannot be set for an Ephemeral Container"]
            ),
            (
                "with a part of a volume", [old, ["name": "new", "volumeMounts": [["name": "v", "subPath": "s"]]]],
                ["spec.ephemeralContainers[1].volumeMounts[0].subPath: cannot be set for an Ephemeral Container"]
            ),
            (
                "for nobody", [old, ["name": "new", "targetContainerName": "gone"]],
                ["spec.ephemeralContainers[1].targetContainerName: "]
            ),
        ]
        for row in rows {
            XCTAssertEqual(
                EphemeralContainerRules.faults(in: pod(row.after), from: pod([old])).map { "\($0.path): \($0.detail)" },
                row.faults, row.reason)
        }
    }
}
