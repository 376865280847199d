import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import Controllers

/// Objects that other servers keep: the end of their namespaces and of their owners.
final class AggregatedAPIsTests: XCTestCase {
    /// The API front, with one group of another server's: things, which can be deleted together, and jars, which cannot.
    private final class Front: APIProvider {
        struct State {
            var objects: [String: JSON] = [:]
            var isAvailable = true
            var deletes: [String] = []
            /// Whether a deleted thing stays for a while, because of a finalizer.
            var keeps = false
        }
        let state = Mutex(State())
        static let root = "/apis/things.example.com/v1"

        func request(
            method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?
        ) throws -> (code: Int32, body: OwnedBuffer) {
            let target = path.prefix { $0 != "?" }
            let (code, json) = try state.withLock { state in
                try Self.answer(method, String(target), query: String(path.dropFirst(target.count)), body, &state)
            }
            let bytes = json.serialized()
            return (code, bytes.withUnsafeBytes { OwnedBuffer(taking: hostd_buffer(copying: $0)) })
        }

        func requestAsync(
            method: String, path: String, body: [UInt8], deadline: UInt64, fence: WriteFence?,
            completion: @escaping @Sendable (Result<(code: Int32, body: [UInt8]), PluginError>) -> Void
        ) throws { throw PluginError.notSupported("not used here") }

        private static func answer(
            _ method: String, _ path: String, query: String, _ body: [UInt8], _ state: inout State
        ) throws -> (Int32, JSON) {
            switch path {
            case "/apis": return (200, ["groups": [["name": "apps", "preferredVersion": ["groupVersion": "apps/v1"]]]])
            case "/api/v1": return (200, ["resources": [entry("pods", "Pod", ["list", "delete"])]])
            case "/apis/apps/v1":
                return (
                    200, ["resources": [entry("deployments", "Deployment", ["list", "delete", "deletecollection"])]]
                )
            case _ where path.hasPrefix(root) && !state.isAvailable:
                return (503, ["reason": "ServiceUnavailable", "message": "it is not available"])
            case root:
                return (
                    200,
                    [
                        "resources": [
                            entry("things", "Thing", ["list", "delete", "deletecollection", "get"]),
                            entry("jars", "Jar", ["list", "delete", "get"]), entry("jars/status", "Jar", ["get"]),
                            entry("metrics", "Metric", ["list", "get"]),
                        ]
                    ]
                )
            default: return try objects(method, path, query, body, &state)
            }
        }

        private static func entry(_ plural: String, _ kind: String, _ verbs: [String]) -> JSON {
            ["name": .string(plural), "kind": .string(kind), "namespaced": true, "verbs": JSON(verbs)]
        }

        private static func objects(
            _ method: String, _ path: String, _ query: String, _ body: [UInt8], _ state: inout State
        ) throws -> (Int32, JSON) {
            let parts = path.split(separator: "/").map(String.init)
            let isAll = parts.count == 4
            let plural = isAll ? parts[3] : parts[5]
            if method == "DELETE" { state.deletes.append(path) }
            guard parts.count < 7 else {
                let key = "\(plural)/\(parts[4])/\(parts[6])"
                guard let object = state.objects[key] else { return (404, ["reason": "NotFound"]) }
                if method == "DELETE" {
                    let wanted = try JSON(parsing: body)["preconditions"]["uid"].stringValue
                    guard wanted == object.uid else { return (409, ["reason": "Conflict"]) }
                    state.objects[key] = nil
                }
                return (200, object)
            }
            let prefix = isAll ? "\(plural)/" : "\(plural)/\(parts[4])/"
            let found = state.objects.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
            if method == "DELETE" {
                for (key, _) in found where !state.keeps { state.objects[key] = nil }
                return (200, [:])
            }
            // One at a time, so that lists go on.
            let start = Int(query.split(separator: "%2F").last ?? "") ?? 0
            let rest = found.dropFirst(start)
            let more: JSON = rest.count > 1 ? ["continue": .string("a/\(start + 1)")] : [:]
            return (200, ["items": .array(rest.prefix(1).map(\.value)), "metadata": more])
        }

        func put(_ plural: String, _ namespace: String, _ name: String, owners: [JSON] = [], finalizers: [String] = [])
        {
            let object: JSON = [
                "metadata": [
                    "namespace": .string(namespace), "name": .string(name), "uid": .string("\(namespace)-\(name)"),
                    "ownerReferences": .array(owners), "finalizers": JSON(finalizers),
                ]
            ]
            state.withLock { $0.objects["\(plural)/\(namespace)/\(name)"] = object }
        }

        var names: [String] { state.withLock { $0.objects.keys.sorted() } }
        var deletes: [String] { state.withLock { $0.deletes } }
    }

    private let front = Front()
    private var api: APIClient { APIClient(front) }

    private var aggregated: AggregatedAPIs {
        AggregatedAPIs(
            api,
            services: [
                ["spec": ["group": "apps", "version": "v1"]],
                [
                    "spec": [
                        "group": "things.example.com", "version": "v1", "service": ["name": "s", "namespace": "n"],
                    ]
                ],
            ])
    }

    private func resource(_ plural: String) throws -> AggregatedAPIs.Resource {
        try XCTUnwrap(
            AggregatedAPIs.resources(of: "things.example.com/v1", api).first { $0.type.plural == plural })
    }

    func testWhatANamespaceMayHold() {
        var contents = NamespaceContents()
        let found = contents.discover(api, aggregated).map(\.type.storeName)
        XCTAssertEqual(
            found, ["pods", "deployments.apps", "things.things.example.com", "jars.things.example.com"],
            "what can be deleted, also of the API that is in no group yet")
        XCTAssertTrue(contents.isEmpty)
    }

    /// As long as a server does not say what it holds the namespace is not known to be empty.
    func testAServerThatDoesNotAnswer() throws {
        front.state.withLock { $0.isAvailable = false }
        var contents = NamespaceContents()
        XCTAssertEqual(contents.discover(api, aggregated).map(\.type.storeName), ["pods", "deployments.apps"])
        XCTAssertEqual(contents.discoveryFailures, ["things.example.com/v1: it is not available"])
        XCTAssertFalse(contents.isEmpty)
        let condition = contents.conditions(.null, now: .now()).condition("NamespaceDeletionDiscoveryFailure")
        XCTAssertEqual(condition["status"], "True")
        XCTAssertEqual(condition["reason"], "DiscoveryFailed")
        XCTAssertEqual(
            condition["message"].stringValue,
            "Discovery failed for some groups, 1 failing: things.example.com/v1: it is not available")
    }

    func testANamespaceIsEmptiedThroughTheServer() throws {
        for name in ["a", "b", "c"] {
            front.put("things", "gone", name)
            front.put("jars", "gone", name)
            front.put("jars", "stays", name)
        }
        var contents = NamespaceContents()
        for plural in ["things", "jars"] {
            try contents.delete(try resource(plural), in: "gone", aggregated)
        }
        XCTAssertTrue(contents.isEmpty)
        XCTAssertEqual(front.names, ["jars/stays/a", "jars/stays/b", "jars/stays/c"])
        XCTAssertEqual(
            front.deletes,
            [Front.root + "/namespaces/gone/things"]
                + ["a", "b", "c"].map { Front.root + "/namespaces/gone/jars/\($0)" })
        try contents.delete(try resource("things"), in: "gone", aggregated)
        XCTAssertEqual(front.deletes.count, 4, "where nothing is nothing is deleted")
    }

    func testWhatIsLeftIsCounted() throws {
        front.put("things", "gone", "a", finalizers: ["example.com/hold"])
        front.put("things", "gone", "b", finalizers: ["example.com/hold", "example.com/other"])
        front.state.withLock { $0.keeps = true }
        var contents = NamespaceContents()
        try contents.delete(try resource("things"), in: "gone", aggregated)
        XCTAssertEqual(contents.remaining, ["things.things.example.com": 2])
        XCTAssertEqual(contents.finalizers, ["example.com/hold": 2, "example.com/other": 1])
        XCTAssertTrue(contents.mustLookAgain)
        XCTAssertFalse(contents.isEmpty)
    }

    // MARK: - Owners

    private func owner(_ name: String, kind: String = "Thing", uid: String? = nil) -> JSON {
        [
            "apiVersion": "things.example.com/v1", "kind": .string(kind), "name": .string(name),
            "uid": .string(uid ?? "n-\(name)"),
        ]
    }

    func testOwnersOfOtherServers() throws {
        front.put("things", "n", "there")
        let rows: [(owner: JSON, isPresent: Bool, reason: String)] = [
            (owner("there"), true, "it is there"), (owner("gone"), false, "it is not"),
            (owner("there", uid: "another"), false, "its name is another's by now"),
            (owner("there", kind: "Nothing"), false, "of a kind that the server does not have"),
        ]
        for row in rows {
            XCTAssertEqual(
                try aggregated.isPresent(.init(row.owner, namespace: "n")), row.isPresent, row.reason)
        }
        front.state.withLock { $0.isAvailable = false }
        XCTAssertThrowsError(try aggregated.isPresent(.init(owner("gone"), namespace: "n")), "nobody knows")
    }

    func testObjectsOfOwnersElsewhereStay() {
        var graph = OwnershipGraph()
        let head = ObjectHead(
            key: "pods/n/p", uid: "p",
            owners: [.init(uid: "n-there", blocksDeletion: false, json: owner("there"))])
        XCTAssertEqual(graph.put(head), ["p"], "it is looked at, since the store does not have its owner")
        XCTAssertEqual(graph.missingOwners(of: "p").owners, [owner("there")])
        XCTAssertEqual(graph.missingOwners(of: "p").namespace, "n")
        XCTAssertEqual(graph.action(for: "p", elsewhere: ["n-there"]), .none)
        XCTAssertEqual(graph.action(for: "p"), .delete(head, propagation: "Background"))
        let two = ObjectHead(
            key: "pods/n/p", uid: "p", revision: 2,
            owners: head.owners + [.init(uid: "n-gone", blocksDeletion: false, json: owner("gone"))])
        _ = graph.put(two)
        XCTAssertEqual(
            graph.action(for: "p", elsewhere: ["n-there"]), .disown(two, keep: [owner("there")]),
            "the reference to the one that is gone is dropped")
    }

    func testObjectsElsewhereGoWithTheirOwners() throws {
        func pod(_ uid: String) -> JSON { ["apiVersion": "v1", "kind": "Pod", "name": "p", "uid": .string(uid)] }
        front.put("things", "n", "owner")
        front.put("jars", "n", "free")
        front.put("jars", "n", "stored", owners: [pod("known"), pod("unknown")])
        front.put("jars", "n", "elsewhere", owners: [owner("owner")])
        front.put("jars", "n", "left", owners: [owner("gone")])
        front.put("things", "n", "last", owners: [owner("gone"), owner("left", kind: "Jar", uid: "old")])
        try AggregatedGarbage(aggregated).collect("things.example.com/v1") { $0 == "known" }
        XCTAssertEqual(front.names, ["jars/n/elsewhere", "jars/n/free", "jars/n/stored", "things/n/owner"])
        front.state.withLock { $0.isAvailable = false }
        XCTAssertThrowsError(
            try AggregatedGarbage(aggregated).collect("things.example.com/v1") { _ in false }, "nobody knows")
    }
}
