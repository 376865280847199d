import Objects
import XCTest

@testable import Controllers

final class NamespaceTermsTests: XCTestCase {
    private func pod(_ term: JSON, part: String = "podAntiAffinity") -> JSON {
        ["spec": ["affinity": .object([part: ["requiredDuringSchedulingIgnoredDuringExecution": [term]]])]]
    }

    private let namespaces: [JSON] = ["a", "b", "c"].map {
        ["metadata": ["name": .string($0), "labels": ["team": $0 == "c" ? "two" : "one"]]]
    }

    func testNamesStandForSelectors() throws {
        let one: JSON = ["matchLabels": ["team": "one"]]
        let cases: [(String, JSON, [String]?)] = [
            ("by labels", ["namespaceSelector": one], ["a", "b"]),
            ("beside names", ["namespaceSelector": one, "namespaces": ["x", "a"]], ["a", "b", "x"]),
            ("none", ["namespaceSelector": ["matchLabels": ["team": "three"]]], [NamespaceTerms.nowhere]),
            (
                "by expressions",
                ["namespaceSelector": ["matchExpressions": [["key": "team", "operator": "NotIn", "values": ["one"]]]]],
                ["c"]
            ),
            ("all", ["namespaceSelector": [:]], nil), ("only names", ["namespaces": ["x"]], nil), ("its own", [:], nil),
        ]
        for (reason, extra, expected) in cases {
            var term: JSON = ["topologyKey": "zone", "labelSelector": ["matchLabels": ["app": "x"]]]
            for (key, value) in extra.objectValue ?? [:] { term[key] = value }
            for part in ["podAffinity", "podAntiAffinity"] {
                let pod = pod(term, part: part)
                let resolved = try NamespaceTerms.resolved(pod) { namespaces }
                XCTAssertEqual(NamespaceTerms.areUsed(by: pod), expected != nil, reason)
                guard let expected else {
                    XCTAssertEqual(resolved, pod, reason)
                    continue
                }
                let after = resolved["spec"]["affinity"][part]["requiredDuringSchedulingIgnoredDuringExecution"][0]
                XCTAssertEqual(after["namespaces"].arrayValue.compactMap(\.stringValue), expected, reason)
                XCTAssertFalse(after["namespaceSelector"].exists, reason)
                XCTAssertEqual(after["labelSelector"], term["labelSelector"], reason)
            }
        }
    }

    func testPreferredTerms() throws {
        let term: JSON = ["topologyKey": "zone", "namespaceSelector": ["matchLabels": ["team": "two"]]]
        let key = "preferredDuringSchedulingIgnoredDuringExecution"
        let pod: JSON = [
            "spec": ["affinity": ["podAffinity": .object([key: [["weight": 7, "podAffinityTerm": term]]])]]
        ]
        let after = try NamespaceTerms.resolved(pod) { namespaces }["spec"]["affinity"]["podAffinity"][key][0]
        XCTAssertEqual(after["weight"], 7)
        XCTAssertEqual(after["podAffinityTerm"]["namespaces"], ["c"])
    }
}
