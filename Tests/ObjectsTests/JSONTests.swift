import XCTest

import Objects

final class JSONTests: XCTestCase {
    func testSubscriptsReadAndWrite() {
        var pod: JSON = ["metadata": ["name": "a"], "spec": ["containers": [["name": "c"]]]]
        XCTAssertEqual(pod["spec"]["containers"][0]["name"].stringValue, "c")
        XCTAssertTrue(pod["spec"]["containers"][1].isNull)
        XCTAssertTrue(pod["x"]["y"][3]["z"].isNull)
        pod["spec"]["containers"][0]["image"] = "busybox"
        pod["status"]["phase"] = "Pending"
        pod["metadata"]["annotations"] = nil
        XCTAssertEqual(
            pod.serializedString(),
            #"{"metadata":{"name":"a","annotations":null},"spec":{"containers":[{"name":"c","image":"busybox"}]},"status":{"phase":"Pending"}}"#
        )
        pod["metadata"].removeValue(forKey: "annotations")
        pod["absent"].removeValue(forKey: "x")
        pod["spec"]["containers"].append(["name": "d"])
        pod["spec"]["volumes"].append(["name": "v"])
        XCTAssertEqual(
            pod.serializedString(),
            #"{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"busybox"},{"name":"d"}],"volumes":[{"name":"v"}]},"status":{"phase":"Pending"}}"#
        )
    }

    func testEqualityIgnoresOrderButNotBytes() {
        XCTAssertEqual(["a": 1, "b": 2] as JSON, ["b": 2, "a": 1])
        XCTAssertEqual((["a": 1, "b": 2] as JSON).hashValue, (["b": 2, "a": 1] as JSON).hashValue)
        XCTAssertNotEqual(["a": 1] as JSON, ["a": 1, "b": nil])
        XCTAssertNotEqual(JSON("\u{e9}"), JSON("e\u{301}"))
        let twoForms: JSON = ["\u{e9}": 1, "e\u{301}": 2]
        XCTAssertEqual(twoForms.count, 2)
        XCTAssertNotEqual(1 as JSON, 1.5)
        XCTAssertEqual(1 as JSON, 1.0)
        XCTAssertEqual((1 as JSON).hashValue, (1.0 as JSON).hashValue)
    }

    func testMetadata() {
        var object: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "a", "namespace": "b", "uid": "u"],
        ]
        XCTAssertEqual(object.namespacedName, "b/a")
        object.labels["app"] = "web"
        object.generation = 3
        XCTAssertEqual(object.metadata["labels"]["app"], "web")
        XCTAssertEqual(object.generation, 3)
        XCTAssertNil(object.deletionTimestamp)
        var child: JSON = [:]
        child.ownerReferences = [object.controllerOwnerReference()]
        XCTAssertEqual(child.controllerReference["uid"], "u")
    }

    func testCanonicalText() {
        let value: JSON = ["b": [1, 2], "a": [:], "c": []]
        XCTAssertEqual(value.canonicalText(), #"{"a":{},"b":[1,2],"c":[]}"#)
        XCTAssertEqual(
            value.canonicalText(indented: true), "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": []\n}")
    }

    func testTextIsAddedToAMember() {
        let cases: [(value: JSON, expected: String, reason: String)] = [
            (["a": 1, "m": ["x": 1], "b": 2], #"{"a":1,"m":{"x":1,"k":[1,2]},"b":2}"#, "behind what is there"),
            (["m": [:]], #"{"m":{"k":[1,2]}}"#, "in an empty object"),
            (["m": [], "n": ["m": [:]]], #"{"m":[],"n":{"m":{}}}"#, "only in an object at the top"),
            ([1], "[1]", "not in what is no object"),
            (["a": ["b": "c"]], #"{"a":{"b":"c"}}"#, "not where there is none"),
        ]
        for (value, expected, reason) in cases {
            let text = value.serialized(adding: Array("[1,2]".utf8), as: "k", to: "m")
            XCTAssertEqual(String(decoding: text, as: UTF8.self), expected, reason)
            XCTAssertEqual(value.serialized(adding: [], as: "k", to: "m"), value.serialized(), "nothing to add")
        }
    }

    func testMembersComeInTheOrderOfTheirKeysBytes() {
        for count in [0, 1, 2, 7, 32, 33, 200] {
            let keys = (0..<count).map { "\($0 * 7919 % 211)ö\($0)" }
            let object = JSONObject(keys.map { ($0, 1) })
            var found: [String] = []
            object.forEachByKey { key, _ in found.append(key) }
            XCTAssertEqual(found, keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }, "\(count) members")
            XCTAssertEqual(object.keys, keys, "the object keeps its own")
        }
        for (left, right) in [("", "a"), ("a", "b"), ("a", "ab"), ("Z", "a"), ("z", "ö"), ("a", "a"), ("ö", "ö")] {
            XCTAssertEqual(left.precedesByBytes(right), left.utf8.lexicographicallyPrecedes(right.utf8))
            XCTAssertEqual(right.precedesByBytes(left), right.utf8.lexicographicallyPrecedes(left.utf8))
        }
    }

    func testDuplicateLiteralKeysKeepTheLast() {
        XCTAssertEqual(JSONObject([("a", 1), ("a", 2)]).count, 1)
    }
}
