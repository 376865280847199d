import Objects
import XCTest

@testable import Controllers

final class OwnershipGraphTests: XCTestCase {
    private func head(
        _ name: String, owners: [String] = [], blocks: Bool = true, deleted: Bool = false, finalizers: [String] = [],
        namespace: String = "default"
    ) -> ObjectHead {
        ObjectHead(
            key: "pods/\(namespace)/\(name)", uid: ObjectUID(name),
            owners: owners.map { .init(uid: ObjectUID($0), blocksDeletion: blocks, json: ["uid": .string($0)]) },
            isBeingDeleted: deleted, finalizers: finalizers)
    }
    private func graph(_ heads: [ObjectHead]) -> OwnershipGraph {
        var graph = OwnershipGraph()
        for head in heads { _ = graph.put(head) }
        return graph
    }

    func testDependentOfAPresentOwnerStays() {
        let graph = graph([head("owner"), head("pod", owners: ["owner"])])
        XCTAssertEqual(graph.action(for: "pod"), .none)
        XCTAssertEqual(graph.action(for: "owner"), .none)
    }

    func testDependentsGoWhenTheOwnerIsGone() {
        var graph = graph([head("owner"), head("pod", owners: ["owner"])])
        XCTAssertEqual(graph.remove("owner"), ["pod"])
        XCTAssertEqual(graph.action(for: "pod"), .delete(head("pod", owners: ["owner"]), propagation: "Background"))
    }

    func testAnObjectCreatedForAnOwnerThatIsGone() {
        var graph = OwnershipGraph()
        XCTAssertEqual(graph.put(head("pod", owners: ["gone"])), ["pod"])
        XCTAssertEqual(graph.action(for: "pod"), .delete(head("pod", owners: ["gone"]), propagation: "Background"))
    }

    func testOneOfTwoOwnersLeft() {
        var graph = graph([head("a"), head("b"), head("pod", owners: ["a", "b"])])
        _ = graph.remove("a")
        XCTAssertEqual(graph.action(for: "pod"), .disown(head("pod", owners: ["a", "b"]), keep: [["uid": "b"]]))
    }

    func testAnOwnerInAnotherNamespaceIsNone() {
        let graph = graph([head("owner", namespace: "other"), head("pod", owners: ["owner"])])
        XCTAssertEqual(graph.action(for: "pod"), .delete(head("pod", owners: ["owner"]), propagation: "Background"))
    }

    func testAClusterScopedOwnerCounts() {
        let graph = graph([head("node", namespace: ""), head("pod", owners: ["node"])])
        XCTAssertEqual(graph.action(for: "pod"), .none)
    }

    func testACircleIsNoReasonToWait() {
        func waiting(_ name: String, _ owner: String, _ more: [String] = []) -> ObjectHead {
            head(name, owners: [owner], deleted: true, finalizers: [ObjectHead.foreground] + more)
        }
        var graph = graph([waiting("a", "c"), waiting("b", "a"), head("c", owners: ["b"])])
        XCTAssertEqual(graph.action(for: "a"), .none, "the circle is not on its way out as a whole yet")
        XCTAssertEqual(graph.action(for: "c"), .delete(head("c", owners: ["b"]), propagation: "Foreground"))
        let last = waiting("c", "b")
        XCTAssertTrue(graph.put(last).contains("c"), "looked at when the last of it begins to wait")
        XCTAssertEqual(graph.action(for: "c"), .unfinalize(last, finalizer: ObjectHead.foreground, rest: []))
        _ = graph.put(head("pod", owners: ["b"]))
        XCTAssertEqual(graph.action(for: "b"), .none, "what is not of the circle is waited for")
    }

    func testForegroundDeletionGoesDownThenUp() {
        var graph = graph([head("d"), head("rs", owners: ["d"]), head("pod", owners: ["rs"])])
        let deleted = head("d", deleted: true, finalizers: [ObjectHead.foreground])
        XCTAssertEqual(graph.put(deleted), ["d", "rs"])
        XCTAssertEqual(graph.action(for: "d"), .none, "a blocking dependent is left")
        XCTAssertEqual(graph.action(for: "rs"), .delete(head("rs", owners: ["d"]), propagation: "Foreground"))
        let set = head("rs", owners: ["d"], deleted: true, finalizers: [ObjectHead.foreground])
        XCTAssertEqual(graph.put(set), ["d", "rs", "pod"])
        XCTAssertEqual(graph.action(for: "pod"), .delete(head("pod", owners: ["rs"]), propagation: "Background"))
        XCTAssertEqual(graph.action(for: "rs"), .none)
        XCTAssertEqual(graph.remove("pod"), ["rs"])
        XCTAssertEqual(graph.action(for: "rs"), .unfinalize(set, finalizer: ObjectHead.foreground, rest: []))
        XCTAssertEqual(graph.remove("rs"), ["d"])
        XCTAssertEqual(graph.action(for: "d"), .unfinalize(deleted, finalizer: ObjectHead.foreground, rest: []))
    }

    func testForegroundDoesNotWaitForThoseThatDoNotBlock() {
        var graph = graph([head("d"), head("pod", owners: ["d"], blocks: false)])
        let deleted = head("d", deleted: true, finalizers: ["other", ObjectHead.foreground])
        _ = graph.put(deleted)
        XCTAssertEqual(graph.action(for: "d"), .unfinalize(deleted, finalizer: ObjectHead.foreground, rest: ["other"]))
    }

    func testOrphaning() {
        var graph = graph([head("d"), head("rs", owners: ["d"])])
        let deleted = head("d", deleted: true, finalizers: [ObjectHead.orphan])
        XCTAssertEqual(graph.put(deleted), ["d", "rs"])
        XCTAssertEqual(graph.action(for: "d"), .none)
        XCTAssertEqual(graph.action(for: "rs"), .disown(head("rs", owners: ["d"]), keep: []))
        XCTAssertEqual(graph.put(head("rs")), ["d"])
        XCTAssertEqual(graph.action(for: "d"), .unfinalize(deleted, finalizer: ObjectHead.orphan, rest: []))
        XCTAssertEqual(graph.action(for: "rs"), .none)
    }

    func testWhatIsKnownOfObjectsThatOwnNothing() {
        var graph = graph([head("a"), head("b"), head("pod", owners: ["a"])])
        XCTAssertEqual(graph.count, 3)
        XCTAssertEqual(
            graph.known.map { "\($0.key) \($0.uid.text)" }.sorted(),
            ["pods/default/a a", "pods/default/b b", "pods/default/pod pod"])
        // From owned to free and back, and gone in either state.
        XCTAssertEqual(graph.put(head("pod")), ["a"], "an owner that waits may be free now")
        XCTAssertEqual(graph.put(head("b", owners: ["pod"])), [])
        XCTAssertEqual(graph.remove("pod"), ["b"])
        XCTAssertEqual(graph.put(head("b")), ["pod"])
        XCTAssertEqual(graph.remove("b"), [])
        XCTAssertEqual(graph.remove("b"), [], "twice")
        XCTAssertFalse(graph.contains("b"))
        XCTAssertTrue(graph.contains("a"))
        XCTAssertEqual(graph.count, 1)
    }

    func testWhatHasEndedWhileNobodyLooked() {
        let known: [(key: String, uid: ObjectUID)] = [
            ("pods/n/a", "a"), ("pods/n/b", "b1"), ("pods/n/c", "c"), ("pods/n/c", "c"), ("pods/n/d", "d"),
        ]
        let seen: [String: ObjectUID?] = ["pods/n/a": "a", "pods/n/b": "b2", "pods/n/d": nil, "pods/n/e": "e"]
        XCTAssertEqual(
            StoreObserver.ended(known, seen).map { "\($0.key) \($0.uid.text)" },
            ["pods/n/b b1", "pods/n/c c", "pods/n/d d"])
        XCTAssertTrue(StoreObserver.ended([], seen).isEmpty)
    }

    func testUIDs() {
        let text = "0a1b2c3d-4e5f-4678-89ab-cdef01234567"
        XCTAssertEqual(ObjectUID(text), .uuid(0x0A1B_2C3D_4E5F_4678, 0x89AB_CDEF_0123_4567))
        XCTAssertEqual(ObjectUID(text).text, text)
        let others = [
            "", "u1", text.uppercased(), text + "0", String(text.dropLast()), text.replacing("-", with: "_"),
            "0a1b2c3d4-e5f-4678-89ab-cdef01234567", "0a1b2c3d-4e5f-4678-89ab-cdef0123456g",
        ]
        for other in others {
            XCTAssertEqual(ObjectUID(other), .other(other))
            XCTAssertEqual(ObjectUID(other).text, other)
        }
    }

    func testHeadIsReadWithoutTheRest() throws {
        let text = """
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"we\\"b","uid":"u1","deletionTimestamp":"2026-01-01T00:00:00Z",
            "finalizers":["foregroundDeletion"],"ownerReferences":[{"uid":"o","blockOwnerDeletion":true}]},"spec":{"broken
            """
        let head = Array(text.utf8).withUnsafeBytes {
            ObjectHead(key: "deployments.apps/default/web", value: $0, revision: 7)
        }
        let found = try XCTUnwrap(head)
        XCTAssertEqual(found.uid, "u1")
        XCTAssertEqual(found.apiVersion, "apps/v1")
        XCTAssertEqual(found.plural, "deployments")
        XCTAssertEqual(found.storeName, "deployments.apps")
        XCTAssertTrue(found.waitsForDependents)
        XCTAssertEqual(found.owners.map(\.uid), ["o"])
        XCTAssertTrue(found.owners[0].blocksDeletion)
        let other = text.replacing("\"u1\"", with: "\"0a1b2c3d-4e5f-4678-89ab-cdef01234567\"")
        let uid = Array(other.utf8).withUnsafeBytes { ObjectHead(key: "a/b/c", value: $0, revision: 7) }?.uid
        XCTAssertEqual(uid, .uuid(0x0A1B_2C3D_4E5F_4678, 0x89AB_CDEF_0123_4567))
        for broken in ["", "{", "[]", "{\"metadata\"", "{\"a\":\"\\", "null", "{\"metadata\":{}}", "{\"a\":}"] {
            XCTAssertNil(
                Array(broken.utf8).withUnsafeBytes { ObjectHead(key: "a/b/c", value: $0, revision: 1) }, broken)
        }
    }
}

extension ObjectUID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
