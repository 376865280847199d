import FieldManagement
import ObjectSchema
import Objects
import XCTest

/// The managed fields of new objects are written without a set of paths; they are those that the set would give.
final class CreatedFieldsTests: XCTestCase {
    /// A sequence that is the same in every run (the generator of Knuth's MMIX).
    private struct Chance {
        var state: UInt64

        mutating func below(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        mutating func pick<Element>(_ all: [Element]) -> Element { all[below(all.count)] }
    }

    private static let odd = ["a\"b", "ö", "z\\", "f:x", ".", "", "longer than fifteen bytes", "\u{1}"]

    /// Some value of a type, and now and then one that is not of it.
    private func value(_ node: SchemaNode?, _ chance: inout Chance, depth: Int) -> JSON {
        if depth > 7 || chance.below(12) == 0 {
            return chance.pick([
                .null, [:], [], "text", 7, true, ["x": 1], [1, "a", 1], [["name": "a"], ["name": "a"]],
            ])
        }
        switch node?.shape {
        case .object:
            var object = JSONObject()
            for property in node?.properties ?? [] where chance.below(depth == 0 ? 2 : 3) == 0 {
                object[property.name] = value(property.node, &chance, depth: depth + 1)
            }
            if chance.below(6) == 0 { object[chance.pick(Self.odd)] = value(nil, &chance, depth: depth + 1) }
            return .object(object)
        case .map:
            var object = JSONObject()
            for _ in 0..<chance.below(40) {
                object[chance.pick(Self.odd) + "\(chance.below(30))"] = value(
                    node?.additionalProperties, &chance, depth: depth + 3)
            }
            return .object(object)
        case .array:
            return .array((0..<chance.below(4)).map { _ in value(node?.items, &chance, depth: depth + 1) })
        default: return chance.pick(["one", "two", 3, .number(1.5), false, "with \"quotes\""])
        }
    }

    private func compare(_ object: JSON, apiVersion: String, kind: String, subresource: String = "") throws {
        let schema = Schema.shared.kind(GroupVersionKind(apiVersion: apiVersion, kind: kind))
        let manager = FieldManager(
            apiVersion: apiVersion, schema: schema, subresource: subresource,
            reset: FieldSet([[.field("status")], [.field("spec"), .field("replicas")]]),
            convert: { object, version in version == apiVersion ? (object, nil) : nil })
        let text = manager.created(object, manager: "some \"client\"", time: "2030-01-01T00:00:00Z")
        let expected = manager.update(
            from: nil, to: object, ManagedFields(), manager: "some \"client\"", time: "2030-01-01T00:00:00Z")
        XCTAssertEqual(
            String(decoding: text, as: UTF8.self), expected.isEmpty ? "" : expected.encoded.serializedString(),
            object.serializedString())
    }

    func testRandomObjectsOfManyKinds() throws {
        let kinds = [
            ("v1", "ConfigMap"), ("v1", "Pod"), ("v1", "Service"), ("apps/v1", "Deployment"), ("v1", "Node"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"), ("networking.k8s.io/v1", "Ingress"), ("v1", "NoSuchKind"),
        ]
        var chance = Chance(state: 1)
        for (apiVersion, kind) in kinds {
            let schema = Schema.shared.kind(GroupVersionKind(apiVersion: apiVersion, kind: kind))
            XCTAssertEqual(schema == nil, kind == "NoSuchKind")
            for _ in 0..<150 {
                var object = value(schema, &chance, depth: 0)
                if object.objectValue == nil { object = [:] }
                object.apiVersion = apiVersion
                object.kind = kind
                object.name = "some"
                try compare(object, apiVersion: apiVersion, kind: kind)
            }
        }
    }

    func testWhatIsOwned() throws {
        let cases: [(object: JSON, fields: String, reason: String)] = [
            (
                ["metadata": ["name": "a", "uid": "u"], "data": ["b": "1", "a": "2"]],
                "{\"f:data\":{\".\":{},\"f:a\":{},\"f:b\":{}}}", "what the server sets is nobody's; keys in order"
            ),
            (
                ["metadata": ["name": "a", "labels": ["x": "y"]]],
                "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:x\":{}}}}", "metadata itself is nobody's"
            ),
            (["metadata": ["name": "a"], "data": [:]], "{\"f:data\":{}}", "an empty map is owned as it is"),
            (
                ["metadata": ["name": "a", "ownerReferences": [["uid": "u\"1", "name": "n"]]]],
                "{\"f:metadata\":{\"f:ownerReferences\":{\".\":{},\"k:{\\\"uid\\\":\\\"u\\\\\\\"1\\\"}\":{}}}}",
                "elements by their keys, these as a whole"
            ),
        ]
        let schema = Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "ConfigMap"))
        let manager = FieldManager(apiVersion: "v1", schema: schema, convert: { object, _ in (object, schema) })
        for (object, fields, reason) in cases {
            let text = manager.created(object, manager: "m", time: "")
            XCTAssertEqual(
                String(decoding: text, as: UTF8.self),
                "[{\"manager\":\"m\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\","
                    + "\"fieldsV1\":\(fields)}]", reason)
            try compare(object, apiVersion: "v1", kind: "ConfigMap", subresource: "scale")
        }
        XCTAssertEqual(manager.created(["metadata": ["name": "a"]], manager: "m", time: ""), [], "nothing to own")
    }
}
