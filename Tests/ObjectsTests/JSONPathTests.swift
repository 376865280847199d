import Objects
import XCTest

final class JSONPathTests: XCTestCase {
    private let object: JSON = [
        "metadata": ["name": "n", "annotations": ["a.b/c": "dotted"]],
        "spec": ["replicas": 3, "containers": [["name": "x", "image": "i:1"], ["name": "y", "image": "i:2"]]],
        "status": ["conditions": [["type": "Ready", "status": "True"], ["type": "Other", "status": "False"]]],
    ]

    func testValues() throws {
        let rows: [(String, [JSON], String)] = [
            (".spec.replicas", [3], "members"), ("$.spec.replicas", [3], "from the root"), (".spec.none", [], "absent"),
            (".metadata.annotations.a\\.b/c", ["dotted"], "an escaped dot"),
            (".metadata.annotations['a.b/c']", ["dotted"], "in brackets"),
            (".metadata.annotations['a\\.b/c']", ["dotted"], "in brackets, with an escaped dot"),
            (".spec.containers[0].name", ["x"], "an element"), (".spec.containers[-1].name", ["y"], "from the end"),
            (".spec.containers[*].image", ["i:1", "i:2"], "all"), (".spec.containers[1:].name", ["y"], "a part"),
            (".spec.containers[5].name", [], "out of range"), ("..image", ["i:1", "i:2"], "anywhere below"),
            (".status.conditions[?(@.type==\"Ready\")].status", ["True"], "by a condition"),
            (".status.conditions[?(@.type != 'Ready')].status", ["False"], "by its contrary"),
            (".spec.containers[?(@.name)].name", ["x", "y"], "by existence"),
        ]
        for (text, expected, why) in rows {
            XCTAssertEqual(try JSONPath(parsing: text).values(in: object), expected, why)
        }
    }

    func testMistakes() {
        for text in [".a[", ".a[x]", "..", ".a[?(@.b==nothing)]"] {
            XCTAssertThrowsError(try JSONPath(parsing: text), text)
        }
    }
}
