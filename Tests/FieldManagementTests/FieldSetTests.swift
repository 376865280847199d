import FieldManagement
import Objects
import XCTest

final class FieldSetTests: XCTestCase {
    private func set(_ json: JSON) throws -> FieldSet { try FieldSet(fieldsV1: json) }

    func testFieldsV1RoundTrips() throws {
        let rows: [(reason: String, value: JSON)] = [
            ("a field", ["f:data": [:]]),
            ("a field and what is in it", ["f:labels": [".": [:], "f:app": [:]]]),
            ("only what is in it", ["f:spec": ["f:replicas": [:]]]),
            ("an element of a keyed list", ["f:ports": ["k:{\"containerPort\":80,\"protocol\":\"TCP\"}": [".": [:]]]]),
            ("an element of a set", ["f:finalizers": ["v:\"a/b\"": [:]]]),
            ("an element by position", ["f:args": ["i:3": [:]]]),
            ("a name with colons", ["f:a:b": [:]]),
            ("nothing", [:]),
        ]
        for row in rows {
            var wanted = row.value
            if row.reason == "an element of a keyed list" {
                wanted = ["f:ports": ["k:{\"containerPort\":80,\"protocol\":\"TCP\"}": [:]]]
            }
            XCTAssertEqual(try set(row.value).fieldsV1, wanted, row.reason)
        }
    }

    func testMalformedFieldsV1IsRefusedByName() {
        let rows: [(value: JSON, message: String)] = [
            (["data": [:]], "fieldsV1 has the member \"data\", which names no field"),
            (["x:data": [:]], "fieldsV1 has the member \"x:data\", which names no field"),
            (["i:minus": [:]], "fieldsV1 has the member \"i:minus\", which names no field"),
            (["k:{}": [:]], "fieldsV1 has the member \"k:{}\", which names no field"),
            (["f:data": 1], "fieldsV1 must consist of objects, not integer"),
        ]
        for row in rows {
            XCTAssertThrowsError(try set(row.value), row.message) { XCTAssertEqual("\($0)", row.message) }
        }
    }

    func testDeepFieldsV1IsRefused() {
        var value: JSON = [:]
        for _ in 0..<200 { value = ["f:a": value] }
        XCTAssertThrowsError(try set(value)) {
            XCTAssertEqual("\($0)", "fieldsV1 is nested deeper than 128 levels")
        }
    }

    func testAlgebra() throws {
        let left = try set(["f:a": [".": [:], "f:x": [:]], "f:b": [:]])
        let right = try set(["f:a": ["f:x": [:], "f:y": [:]], "f:c": [:]])
        XCTAssertEqual(
            left.union(right).fieldsV1,
            ["f:a": [".": [:], "f:x": [:], "f:y": [:]], "f:b": [:], "f:c": [:]])
        XCTAssertEqual(left.intersection(right).fieldsV1, ["f:a": ["f:x": [:]]])
        XCTAssertEqual(left.subtracting(right).fieldsV1, ["f:a": [:], "f:b": [:]])
        XCTAssertEqual(
            left.subtractingRecursively(try set(["f:a": [:]])).fieldsV1, ["f:b": [:]],
            "what lies below goes too")
        XCTAssertEqual(
            try set(["f:a": ["f:x": [:]]]).subtracting(try set(["f:a": [:]])).fieldsV1, ["f:a": ["f:x": [:]]],
            "what lies below stays")
        XCTAssertTrue(left.subtracting(left).isEmpty)
    }

    func testPathsAreMembersOnly() throws {
        let fields = try set(["f:spec": ["f:containers": ["k:{\"name\":\"web\"}": ["f:image": [:]]]]])
        XCTAssertEqual(
            fields.paths.map { $0.map(\.description).joined() }, [".spec.containers[name=\"web\"].image"])
        XCTAssertTrue(fields.contains(fields.paths[0]))
        XCTAssertFalse(fields.contains([.field("spec")]))
    }

    func testStepsAreOrdered() {
        let steps: [FieldStep] = [
            .field("a"), .field("b"), .key([.init(name: "name", value: "x")]), .value("v"), .index(2), .index(10),
        ]
        XCTAssertEqual(steps.shuffled().sorted(), steps)
    }
}
