import FieldManagement
import ObjectSchema
import Objects
import XCTest

/// Lists in which elements have the same keys, as Pods may name a variable or a port twice: such elements are owned together,
/// all stay or all are replaced.
final class RepeatedElementsTests: XCTestCase {
    private let manager = FieldManager(
        apiVersion: "v1", schema: Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "Pod")),
        convert: { object, version in version == "v1" ? (object, nil) : nil })

    private func pod(_ variables: [JSON]) -> JSON {
        let container: JSON = ["name": "c", "env": .array(variables)]
        return ["apiVersion": "v1", "kind": "Pod", "spec": ["containers": [container]]]
    }

    private func variable(_ name: String, _ value: String) -> JSON { ["name": .string(name), "value": .string(value)] }

    private func variables(_ object: JSON) -> [JSON] { object["spec"]["containers"][0]["env"].arrayValue }

    private func owned(_ managed: ManagedFields, _ name: String, _ operation: FieldManagerIdentity.Operation) -> JSON {
        let identity = FieldManagerIdentity(
            name: name, operation: operation, apiVersion: operation == .apply ? "" : "v1")
        let fields = managed.managers[identity]?.fields.fieldsV1 ?? .null
        return fields["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"]["f:env"]
    }

    private let single: JSON = [".": [:], "f:name": [:], "f:value": [:]]

    func testTheyAreOwnedTogether() throws {
        let twice = [variable("A", "1"), variable("PATH", "/bin"), variable("PATH", "$PATH:/b")]
        let created = manager.update(
            from: nil, to: pod(twice), ManagedFields(), manager: "create", time: "2030-01-01T00:00:00Z")
        XCTAssertEqual(
            owned(created, "create", .update),
            [".": [:], "k:{\"name\":\"A\"}": single, "k:{\"name\":\"PATH\"}": [:]])

        // What another applies beside them leaves them alone.
        let beside = try manager.apply(
            pod([variable("HOME", "/h")]), to: pod(twice), created, manager: "apply", force: false, time: "1")
        XCTAssertEqual(
            variables(beside.object).map { $0["value"] }, ["1", "/bin", "$PATH:/b", "/h"])
        XCTAssertEqual(owned(beside.managed, "create", .update), owned(created, "create", .update))
        XCTAssertEqual(owned(beside.managed, "apply", .apply), ["k:{\"name\":\"HOME\"}": single])

        // A change of one is a change of all.
        var changed = beside.object
        changed["spec"]["containers"][0]["env"][2]["value"] = "other"
        let updated = manager.update(from: beside.object, to: changed, beside.managed, manager: "update", time: "2")
        XCTAssertEqual(owned(updated, "update", .update), ["k:{\"name\":\"PATH\"}": [:]])
        XCTAssertEqual(owned(updated, "create", .update), [".": [:], "k:{\"name\":\"A\"}": single])

        // Who applies the key has it to itself.
        let config = pod([variable("PATH", "/all")])
        XCTAssertThrowsError(
            try manager.apply(config, to: changed, updated, manager: "apply", force: false, time: "3"))
        let forced = try manager.apply(config, to: changed, updated, manager: "apply", force: true, time: "3")
        XCTAssertEqual(variables(forced.object).map { $0["value"] }, ["1", "/all"], "HOME is not applied any more")
        XCTAssertEqual(owned(forced.managed, "apply", .apply), ["k:{\"name\":\"PATH\"}": single])
        XCTAssertEqual(owned(forced.managed, "update", .update), .null)
    }

    func testComparison() {
        let one = pod([variable("A", "1")])
        let two = pod([variable("A", "1"), variable("A", "2")])
        let three = pod([variable("A", "1"), variable("A", "2"), variable("A", "3")])
        let path: [FieldStep] = [
            .field("spec"), .field("containers"), .key([.init(name: "name", value: "c")]), .field("env"),
            .key([.init(name: "name", value: "A")]),
        ]
        func change(_ old: JSON, _ new: JSON) -> FieldComparison {
            FieldComparison(from: old, to: new, schema: manager.schema)
        }
        XCTAssertTrue(change(two, two).isEmpty)
        XCTAssertEqual(change(two, three).modified, FieldSet([path]))
        XCTAssertEqual(change(one, two).added, FieldSet([path]))
        XCTAssertTrue(change(one, two).removed.contains(path + [.field("value")]))
        XCTAssertEqual(change(two, pod([])).removed.contains(path), true)
        XCTAssertTrue(change(two, one).removed.contains(path))
        XCTAssertTrue(change(two, one).added.contains(path + [.field("value")]))
        XCTAssertTrue(change(pod([]), two).added.contains(path))
        XCTAssertFalse(change(pod([]), two).added.contains(path + [.field("value")]))
    }

    /// A reference is owned as a whole, but for those of which the field says otherwise.
    func testAFieldSaysMoreThanItsType() throws {
        let volumes = FieldManager(
            apiVersion: "v1", schema: Schema.shared.kind(GroupVersionKind(apiVersion: "v1", kind: "PersistentVolume")),
            convert: { object, version in version == "v1" ? (object, nil) : nil })
        func volume(_ claim: JSON) -> JSON {
            ["apiVersion": "v1", "kind": "PersistentVolume", "spec": ["claimRef": claim]]
        }
        var managed = ManagedFields()
        let controller = FieldManagerIdentity(name: "controller", operation: .update, apiVersion: "v1")
        managed.managers[controller] = .init(
            apiVersion: "v1", fields: FieldSet([[.field("spec"), .field("claimRef")]]), time: "1")
        let outcome = try volumes.apply(
            volume(["name": "c", "namespace": "n"]), to: volume(["name": "c", "namespace": "n", "uid": "u"]), managed,
            manager: "me", force: false, time: "2")
        XCTAssertEqual(outcome.object["spec"]["claimRef"]["uid"], "u")
        let own = FieldManagerIdentity(name: "me", operation: .apply, apiVersion: "")
        XCTAssertEqual(
            outcome.managed.managers[own]?.fields.fieldsV1["f:spec"]["f:claimRef"], ["f:name": [:], "f:namespace": [:]])
        XCTAssertEqual(outcome.managed.managers[controller]?.fields, managed.managers[controller]?.fields)
    }
}
