import Objects
import XCTest

@testable import ObjectSchema

final class GatedPodValidationTests: XCTestCase {
    private let required = "requiredDuringSchedulingIgnoredDuringExecution"

    private func pod(_ spec: String) throws -> JSON {
        let base: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "d"],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
        ]
        var object = try MergePatch.apply(JSON(parsing: #"{"spec":\#(spec)}"#), to: base)
        let node = try XCTUnwrap(Schema.shared.kind(of: object))
        XCTAssertEqual(try Schema.shared.prune(&object, as: node), [], spec)
        Schema.shared.applyDefaults(&object, as: node)
        return object
    }

    /// Terms with these expressions each, and what is preferred.
    private func affinity(_ terms: [[String]], weight: Int = 1) -> String {
        let texts = terms.map { keys in
            let expressions = keys.map { #"{"key":"\#($0)","operator":"Exists"}"# }.joined(separator: ",")
            return #"{"matchExpressions":[\#(expressions)]}"#
        }
        return #"{"nodeAffinity":{"\#(required)":{"nodeSelectorTerms":[\#(texts.joined(separator: ","))]},"#
            + #""preferredDuringSchedulingIgnoredDuringExecution":[{"weight":\#(weight),"#
            + #""preference":{"matchExpressions":[{"key":"p","operator":"Exists"}]}}]}}"#
    }

    func testWhatIsAskedOfTheNodeIsOnlyNarrowedDown() throws {
        let gate = #""schedulingGates":[{"name":"a"}]"#
        let forbidden = "spec: Forbidden"
        let terms = "spec.affinity.nodeAffinity.\(required).nodeSelectorTerms"
        let rows: [(reason: String, from: String, to: String, error: String?)] = [
            ("a selector comes", "", #""nodeSelector":{"a":"1"}"#, nil),
            ("one more", #""nodeSelector":{"a":"1"}"#, #""nodeSelector":{"a":"1","b":"2"}"#, nil),
            ("another", #""nodeSelector":{"a":"1"}"#, #""nodeSelector":{"a":"2"}"#, "spec.nodeSelector"),
            ("it goes", #""nodeSelector":{"a":"1"}"#, "", "spec.nodeSelector"),
            ("an affinity comes", "", #""affinity":\#(affinity([["a"]]))"#, nil),
            (
                "it asks for more", #""affinity":\#(affinity([["a"], ["b"]]))"#,
                #""affinity":\#(affinity([["a", "c"], ["b"]]))"#, nil
            ),
            (
                "what is preferred changes", #""affinity":\#(affinity([["a"]]))"#,
                #""affinity":\#(affinity([["a"]], weight: 9))"#, nil
            ),
            (
                "it asks for less", #""affinity":\#(affinity([["a", "c"]]))"#, #""affinity":\#(affinity([["a"]]))"#,
                terms + "[0]"
            ),
            (
                "it asks for another", #""affinity":\#(affinity([["a"]]))"#, #""affinity":\#(affinity([["b"]]))"#,
                terms + "[0]"
            ),
            (
                "a further choice", #""affinity":\#(affinity([["a"]]))"#, #""affinity":\#(affinity([["a"], ["b"]]))"#,
                terms
            ),
            ("an affinity goes", #""affinity":\#(affinity([["a"]]))"#, "", terms),
            ("anything else", "", #""hostNetwork":true"#, forbidden),
        ]
        let node = try XCTUnwrap(Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "Pod")))
        for row in rows {
            func gated(_ more: String) throws -> JSON {
                try pod("{" + [gate, more].filter { !$0.isEmpty }.joined(separator: ",") + "}")
            }
            let errors = Schema.shared.validateUpdate(from: try gated(row.from), to: try gated(row.to), as: node)
            XCTAssertEqual(errors.first?.path, row.error.map { $0 == forbidden ? "spec" : $0 }, row.reason)
            XCTAssertLessThanOrEqual(errors.count, 1, row.reason)
        }
        let open = Schema.shared.validateUpdate(
            from: try pod("{}"), to: try pod(#"{"nodeSelector":{"a":"1"}}"#), as: node)
        XCTAssertEqual(open.map(\.path), ["spec"], "without gates it may have a node by now")
    }

    func testGatesKeepNodesAway() throws {
        let rows: [(spec: String, path: String?)] = [
            (#"{"schedulingGates":[{"name":"example.com/a"}]}"#, nil),
            (#"{"schedulingGates":[{"name":"a"}],"nodeName":"n"}"#, "spec.nodeName"),
            (#"{"schedulingGates":[{"name":"no such name"}]}"#, "spec.schedulingGates[0]"),
            (#"{"schedulingGates":[{"name":"a"},{"name":"a"}]}"#, "spec.schedulingGates[1]"),
        ]
        for row in rows {
            let object = try pod(row.spec)
            let node = try XCTUnwrap(Schema.shared.kind(of: object))
            let errors =
                Schema.shared.validate(object, as: node) + Schema.shared.creationErrors(in: object, as: node)
            XCTAssertEqual(errors.first?.path, row.path, row.spec)
        }
    }
}
