import XCTest

import Objects

final class PatchTests: XCTestCase {
    func testJSONPatch() throws {
        let rows: [(document: String, patch: String, result: String)] = [
            (#"{"a":1}"#, #"[{"op":"add","path":"/b","value":2}]"#, #"{"a":1,"b":2}"#),
            (#"{"a":1}"#, #"[{"op":"add","path":"/a","value":2}]"#, #"{"a":2}"#),
            (#"{"a":[1,3]}"#, #"[{"op":"add","path":"/a/1","value":2}]"#, #"{"a":[1,2,3]}"#),
            (
                #"{"a":[1]}"#, #"[{"op":"add","path":"/a/-","value":2},{"op":"add","path":"/a/2","value":3}]"#,
                #"{"a":[1,2,3]}"#
            ),
            (#"{"a":1}"#, #"[{"op":"add","path":"","value":[1]}]"#, "[1]"),
            (#"{"a":{"b":1}}"#, #"[{"op":"remove","path":"/a/b"}]"#, #"{"a":{}}"#),
            (#"{"a":[1,2,3]}"#, #"[{"op":"remove","path":"/a/1"}]"#, #"{"a":[1,3]}"#),
            (
                #"{"a":[{"b":1}]}"#, #"[{"op":"replace","path":"/a/0/b","value":{"c":null}}]"#,
                #"{"a":[{"b":{"c":null}}]}"#
            ),
            (#"{"a":1,"c":{}}"#, #"[{"op":"move","from":"/a","path":"/c/d"}]"#, #"{"c":{"d":1}}"#),
            (#"{"a":[1,2,3]}"#, #"[{"op":"move","from":"/a/0","path":"/a/2"}]"#, #"{"a":[2,3,1]}"#),
            (#"{"a":{"b":1}}"#, #"[{"op":"copy","from":"/a","path":"/c"}]"#, #"{"a":{"b":1},"c":{"b":1}}"#),
            (#"{"a":1}"#, #"[{"op":"test","path":"/a","value":1.0},{"op":"remove","path":"/a"}]"#, "{}"),
            (#"{"a":{"x":1,"y":2}}"#, #"[{"op":"test","path":"/a","value":{"y":2,"x":1}}]"#, #"{"a":{"x":1,"y":2}}"#),
            (#"{"a/b":1,"m~n":2}"#, #"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/m~0n"}]"#, "{}"),
            (#"{"":{"":1}}"#, #"[{"op":"replace","path":"//","value":2}]"#, #"{"":{"":2}}"#),
            (#"{}"#, #"[{"op":"test","path":"/a","value":null}]"#, "{}"),
            (#"{"a":null}"#, #"[{"op":"replace","path":"/a","value":1}]"#, #"{"a":1}"#), ("{}", "[]", "{}"),
        ]
        for row in rows {
            let result = try JSONPatch.apply(JSON(parsing: row.patch), to: JSON(parsing: row.document))
            XCTAssertEqual(result.serializedString(), row.result, row.patch)
        }
    }

    func testJSONPatchErrors() throws {
        let document = try JSON(parsing: #"{"a":[1,2],"b":{"c":1},"d":"x"}"#)
        let rows: [(patch: String, reason: JSONPatch.PatchError.Reason)] = [
            (#"{}"#, .malformed), (#"[1]"#, .malformed), (#"[{"path":"/a"}]"#, .malformed),
            (#"[{"op":"add","path":"/a"}]"#, .malformed),
            (#"[{"op":"add","value":1}]"#, .malformed), (#"[{"op":"jump","path":"/a"}]"#, .malformed),
            (#"[{"op":"remove","path":"a"}]"#, .malformed), (#"[{"op":"remove","path":"/a~2"}]"#, .malformed),
            (#"[{"op":"move","path":"/b/c/x","from":"/b"}]"#, .malformed),
            (#"[{"op":"move","path":"/b"}]"#, .malformed),
            (#"[{"op":"remove","path":"/x"}]"#, .missingPath), (#"[{"op":"remove","path":"/a/2"}]"#, .missingPath),
            (#"[{"op":"remove","path":"/a/-"}]"#, .missingPath),
            (#"[{"op":"add","path":"/a/3","value":1}]"#, .missingPath),
            (#"[{"op":"add","path":"/a/01","value":1}]"#, .missingPath),
            (#"[{"op":"add","path":"/a/-1","value":1}]"#, .missingPath),
            (#"[{"op":"add","path":"/x/y","value":1}]"#, .missingPath),
            (#"[{"op":"add","path":"/d/y","value":1}]"#, .missingPath),
            (#"[{"op":"replace","path":"/x","value":1}]"#, .missingPath),
            (#"[{"op":"copy","path":"/x","from":"/y"}]"#, .missingPath),
            (#"[{"op":"copy","path":"/x","from":"/a/7"}]"#, .missingPath),
            (#"[{"op":"test","path":"/b/c","value":2}]"#, .testFailed),
            (#"[{"op":"test","path":"/d","value":null}]"#, .testFailed),
        ]
        for row in rows {
            XCTAssertThrowsError(try JSONPatch.apply(JSON(parsing: row.patch), to: document), row.patch) { error in
                XCTAssertEqual((error as? JSONPatch.PatchError)?.reason, row.reason, "\(row.patch): \(error)")
            }
        }
    }

    func testJSONPatchIsBounded() throws {
        let copy = #"{"op":"copy","from":"","path":"/a"}"#
        for (patch, name) in [
            (
                "[" + Array(repeating: #"{"op":"add","path":"/a","value":1}"#, count: 10_001).joined(separator: ",")
                    + "]", "count"
            ),
            ("[" + Array(repeating: copy, count: 600).joined(separator: ",") + "]", "depth"),
            (
                "[" + (0..<40).map { #"{"op":"copy","from":"","path":"/\#($0)"}"# }.joined(separator: ",") + "]",
                "copies"
            ),
        ] {
            XCTAssertThrowsError(try JSONPatch.apply(JSON(parsing: patch), to: ["x": "y"]), name) { error in
                XCTAssertEqual((error as? JSONPatch.PatchError)?.reason, .tooLarge, name)
            }
        }
    }

    /// The examples of RFC 7386, appendix A.
    func testMergePatch() throws {
        let rows: [(target: String, patch: String, result: String)] = [
            (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
            (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
            (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
            (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
            (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#), (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
            (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#), (#"{"a":"foo"}"#, "null", "null"),
            (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
            (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#), ("[1,2]", #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
            ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
        ]
        for row in rows {
            let result = try MergePatch.apply(JSON(parsing: row.patch), to: JSON(parsing: row.target))
            XCTAssertEqual(result, try JSON(parsing: row.result), "\(row)")
        }
    }

    func testMergePatchDifference() throws {
        let old: JSON = ["a": 1, "b": ["c": 2, "d": [1]], "e": 3]
        let new: JSON = ["a": 1, "b": ["c": 3, "d": [1]], "f": 4]
        let patch = MergePatch.difference(from: old, to: new)
        XCTAssertEqual(patch, ["e": nil, "b": ["c": 3], "f": 4])
        XCTAssertEqual(try MergePatch.apply(patch, to: old), new)
    }
}
