import PluginAPI
import XCTest

@testable import Kernel

final class GrantPolicyTests: XCTestCase {
    private func policy(_ grants: String) throws -> GrantPolicy {
        GrantPolicy(try grants.split(separator: " ").map { try Grant(parsing: String($0)) })
    }

    private func decide(_ body: () throws(GrantPolicy.Refusal) -> Void) -> String {
        do throws(GrantPolicy.Refusal) {
            try body()
            return "yes"
        } catch {
            return error.missing.description
        }
    }

    func testStoreByResourceAndMember() throws {
        // grants, resource ("" is everything) → read, look, create, update
        let rows: [(String, String, [String])] = [
            ("", "pods", ["store.read:pods", "store.read:pods", "store.write:pods", "store.write:pods"]),
            ("store.read", "pods", ["yes", "yes", "store.write:pods", "store.write:pods"]),
            ("store.read:pods", "pods", ["yes", "yes", "store.write:pods", "store.write:pods"]),
            (
                "store.read:pods", "secrets",
                ["store.read:secrets", "store.read:secrets", "store.write:secrets", "store.write:secrets"]
            ),
            ("store.write", "pods", ["store.read:pods", "yes", "yes", "whole"]),
            ("store.write:pods", "pods", ["store.read:pods", "yes", "yes", "whole"]),
            (
                "store.write:pods", "nodes",
                ["store.read:nodes", "store.read:nodes", "store.write:nodes", "store.write:nodes"]
            ),
            ("store.write:pods/status", "pods", ["store.read:pods", "yes", "store.write:pods", "status"]),
            (
                "store.write:pods/status store.write:pods/spec", "pods",
                ["store.read:pods", "yes", "store.write:pods", "spec status"]
            ),
            ("store.write:pods/status store.write:pods", "pods", ["store.read:pods", "yes", "yes", "whole"]),
            (
                "store.lease events", "pods",
                ["store.read:pods", "store.read:pods", "store.write:pods", "store.write:pods"]
            ),
        ]
        for (grants, resource, wanted) in rows {
            let policy = try policy(grants)
            var update = ""
            let refusal = decide { () throws(GrantPolicy.Refusal) in
                switch try policy.checkStoreUpdate(resource) {
                case .whole: update = "whole"
                case .members(let members): update = members.sorted().joined(separator: " ")
                }
            }
            XCTAssertEqual(
                [
                    decide { () throws(GrantPolicy.Refusal) in try policy.checkStoreRead(resource) },
                    decide { () throws(GrantPolicy.Refusal) in try policy.checkStoreLook(resource) },
                    decide { () throws(GrantPolicy.Refusal) in try policy.checkStoreWhole(resource, "create") },
                    refusal == "yes" ? update : refusal,
                ], wanted, "\(grants) on \(resource)")
        }
        let all = { (grants: String) in try self.policy(grants) }
        XCTAssertEqual(
            decide { () throws(GrantPolicy.Refusal) in try GrantPolicy([.storeRead("pods")]).checkStoreRead(nil) },
            "store.read")
        XCTAssertEqual(try decide(all("store.read").readsAll), "yes")
        XCTAssertEqual(try decide(all("store.write:pods").compacts), "store.write")
        XCTAssertEqual(try decide(all("store.write").compacts), "yes")
        XCTAssertEqual(try decide(all("store.write").leases), "store.lease")
        XCTAssertEqual(try decide(all("store.lease").leases), "yes")
    }

    func testTopicsAndRoles() throws {
        let rows: [(String, String, String, String)] = [
            ("", "t", "events.publish:t", "events.subscribe:t"), ("events", "t", "yes", "yes"),
            ("events.publish", "t", "yes", "events.subscribe:t"),
            ("events.publish:t", "t", "yes", "events.subscribe:t"),
            ("events.publish:t", "u", "events.publish:u", "events.subscribe:u"),
            ("events.subscribe:t", "t", "events.publish:t", "yes"),
        ]
        for (grants, topic, publish, subscribe) in rows {
            let policy = try policy(grants)
            XCTAssertEqual(decide { () throws(GrantPolicy.Refusal) in try policy.checkPublish(topic) }, publish, grants)
            XCTAssertEqual(
                decide { () throws(GrantPolicy.Refusal) in try policy.checkSubscribe(topic) }, subscribe, grants)
        }
        let policy = try policy("role:com.example.cache/1")
        XCTAssertEqual(decide { () throws(GrantPolicy.Refusal) in try policy.checkRole("com.example.cache/1") }, "yes")
        XCTAssertEqual(
            decide { () throws(GrantPolicy.Refusal) in try policy.checkRole("com.example.cache/2") },
            "role:com.example.cache/2")
        XCTAssertEqual(decide { () throws(GrantPolicy.Refusal) in try policy.checkStop() }, "environment.stop")
    }

    func testInterfaces() throws {
        let rows: [(String, String, String)] = [
            ("", HOSTD_LOG_1, "open"), ("", HOSTD_ENVIRONMENT_1, "gated"), ("", HOSTD_STORE_1, "store.read"),
            ("store.lease", HOSTD_STORE_1, "gated"), ("store.write:pods/status", HOSTD_STORE_1, "gated"),
            ("role:hostd.store/1", HOSTD_STORE_1, "open"), ("", HOSTD_API_1, "api.read"),
            ("api.write:pods", HOSTD_API_1, "gated"), ("role:hostd.api/1", HOSTD_API_1, "open"),
            ("", HOSTD_EVENTS_1, "events"), ("events.publish:a", HOSTD_EVENTS_1, "gated"),
            ("events", HOSTD_TIMERS_1, "timers"), ("timers", HOSTD_TIMERS_1, "gated"),
            ("timers", HOSTD_RECONCILE_1, "reconcile"), ("reconcile", HOSTD_RECONCILE_1, "gated"),
            ("", HOSTD_METRICS_1, "metrics"), ("metrics", HOSTD_METRICS_1, "gated"), ("", HOSTD_ROLES_1, "roles"),
            ("roles", HOSTD_ROLES_1, "gated"), ("roles", HOSTD_PLUGINS_1, "plugins"),
            ("plugins", HOSTD_PLUGINS_1, "gated"),
            ("roles", HOSTD_RUNTIME_1, "role:hostd.runtime/1"), ("role:hostd.runtime/1", HOSTD_RUNTIME_1, "open"),
        ]
        for (grants, id, wanted) in rows {
            let offer: String
            switch try policy(grants).offer(of: id) {
            case .open: offer = "open"
            case .gated: offer = "gated"
            case .refused(let refusal): offer = refusal.missing.description
            }
            XCTAssertEqual(offer, wanted, "\(id) with \(grants)")
        }
        let gates = PluginGates(plugin: "x", policy: try policy("roles"))
        XCTAssertEqual(
            gates.missing(among: [HOSTD_ROLES_1, HOSTD_STORE_1, HOSTD_CACHE]),
            ["store.read", "role:com.example.cache/1"])
        XCTAssertEqual(gates.answer(HOSTD_STORE_1, base: nil), .unknown)
    }

    private let HOSTD_CACHE = "com.example.cache/1"

    func testRequestsByMethodAndPath() throws {
        let rows: [(String, String, APIRequestScope?)] = [
            ("GET", "/api/v1/pods", .read("pods")),
            ("GET", "/api/v1/namespaces/default/pods/web?x=/secrets", .read("pods")),
            ("GET", "/apis/apps/v1/namespaces/default/deployments/web/scale", .read("deployments.apps")),
            ("GET", "/api/v1/watch/namespaces/default/secrets", .read("secrets")),
            ("GET", "/api/v1/namespaces/default", .read("namespaces")), ("GET", "/api/v1", .read(nil)),
            ("GET", "/version", .read(nil)), ("GET", "/apis/apps/v1", .read(nil)),
            ("GET", "/api/v1/pods/", .read("pods")),
            ("GET", "/api/v1/namespaces/d/pods/web/exec", .write("pods", subresource: "exec")),
            ("GET", "/api/v1/namespaces/d/services/web/proxy/a/b", .write("services", subresource: "proxy")),
            ("POST", "/api/v1/namespaces/d/pods", .write("pods", subresource: nil)),
            ("POST", "/api/v1/namespaces/d/pods/web/binding", .write("pods", subresource: "binding")),
            ("PUT", "/api/v1/namespaces/d/pods/web/status", .write("pods", subresource: "status")),
            ("PUT", "/api/v1/namespaces/d/status", .write("namespaces", subresource: "status")),
            ("PUT", "/api/v1/namespaces/d/finalize", .write("namespaces", subresource: "finalize")),
            ("PATCH application/merge-patch+json", "/api/v1/nodes/a", .write("nodes", subresource: nil)),
            ("DELETE", "/apis/apps/v1/deployments", .write("deployments.apps", subresource: nil)),
            ("get", "/api/v1/pods", nil), ("HEAD", "/api/v1/pods", nil), ("", "/api/v1/pods", nil),
            ("GET", "api/v1/pods", nil), ("GET", "/api/v1/%70ods", nil), ("GET", "/api//v1/pods", nil),
            ("GET", "/api/v1/../v1/pods", nil), ("GET", "/api/v1/pods#x", nil), ("GET", "/api/v1/po\nds", nil),
            ("GET", "", nil),
        ]
        for (method, path, wanted) in rows {
            XCTAssertEqual(APIRequestScope(method: method, path: path), wanted, "\(method) \(path)")
        }
        let decisions: [(String, APIRequestScope, String)] = [
            ("api.read", .read(nil), "yes"), ("api.read:pods", .read("pods"), "yes"),
            ("api.read:pods", .read("secrets"), "api.read:secrets"), ("api.read:pods", .read(nil), "api.read"),
            ("api.read", .write("pods", subresource: nil), "api.write:pods"),
            ("api.write", .read("pods"), "api.read:pods"), ("api.write", .write(nil, subresource: nil), "yes"),
            ("api.write:pods", .write("pods", subresource: "status"), "yes"),
            ("api.write:pods/status", .write("pods", subresource: "status"), "yes"),
            ("api.write:pods/status", .write("pods", subresource: nil), "api.write:pods"),
            ("api.write:pods/status", .write("pods", subresource: "binding"), "api.write:pods/binding"),
            ("api.write:pods/status", .write("nodes", subresource: "status"), "api.write:nodes/status"),
            ("role:hostd.api/1", .write("nodes", subresource: nil), "yes"),
        ]
        for (grants, request, wanted) in decisions {
            let policy = try policy(grants)
            XCTAssertEqual(
                decide { () throws(GrantPolicy.Refusal) in try policy.checkRequest(request) }, wanted,
                "\(grants) \(request)")
        }
    }
}

extension GrantPolicy {
    fileprivate func readsAll() throws(Refusal) { try checkStoreRead(nil) }
    fileprivate func compacts() throws(Refusal) { try checkStoreUpkeep("compact") }
    fileprivate func leases() throws(Refusal) { try checkLease() }
}
