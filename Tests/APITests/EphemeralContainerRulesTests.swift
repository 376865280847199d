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
                ["spec.ephemeralContainers: existing ephemeral containers \"old\" may not be removed\n"]
            ),
            (
                "another image", [["name": "old", "image": "y"]],
                ["spec.ephemeralContainers: existing ephemeral containers \"old\" may not be changed"]
            ),
        ]
        for row in rows {
            XCTAssertEqual(
                EphemeralContainerRules.faults(in: pod(row.after), from: pod([old])).map { "\($0.path): \($0.detail)" },
                row.faults, row.reason)
        }
        var mirror = pod([old])
        mirror.annotations = ["kubernetes.io/config.mirror": "x"]
        XCTAssertEqual(
            EphemeralContainerRules.faults(in: mirror, from: mirror).map(\.description),
            ["[]: Forbidden: static pods do not support ephemeral containers"])
    }
}
