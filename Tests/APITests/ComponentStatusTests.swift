import Objects
import XCTest

@testable import API

final class ComponentStatusTests: XCTestCase {
    func testLeases() {
        let rows: [(spec: JSON, isHeld: Bool, reason: String)] = [
            (
                ["holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15], true,
                "held"
            ),
            (
                ["holderIdentity": "a", "renewTime": "2025-12-31T23:59:00.000000Z", "leaseDurationSeconds": 15], false,
                "over"
            ),
            (["holderIdentity": "", "renewTime": "2026-01-01T00:00:00.000000Z"], false, "given back"),
            (["holderIdentity": "a"], false, "never renewed"),
        ]
        for (spec, isHeld, reason) in rows {
            XCTAssertEqual(ComponentStatuses.isHeld(["spec": spec], now: 1_767_225_601), isHeld, reason)
        }
    }

    func testControllersThatNeedNoElection() {
        let rows: [(name: String, state: String, options: JSON, engine: JSON, works: Bool, reason: String)] = [
            ("controllers", "active", [:], "embedded", true, "no other hostd can open the store"),
            ("controllers", "active", [:], "etcd", false, "others may share it, and one is to be elected"),
            ("controllers", "active", ["leaderElection": "never"], "etcd", true, "none is wanted"),
            ("controllers", "active", ["leaderElection": "always"], "embedded", false, "one is wanted anyway"),
            ("controllers", "failed", [:], "embedded", false, "they do not work"),
            ("scheduler", "active", [:], "embedded", false, "those are others"),
        ]
        for row in rows {
            let plugins: JSON = [
                "plugins": [["name": .string(row.name), "state": .string(row.state), "options": row.options]]
            ]
            XCTAssertEqual(
                ComponentStatuses.workUnelected(plugins, store: ["engine": row.engine]), row.works, row.reason)
        }
    }

    func testTheyAreListedAndShown() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let path = "/api/v1/componentstatuses"
        let list = try server.request("GET", path)
        XCTAssertEqual(list.status, 200, list.text)
        XCTAssertEqual(list.headers["warning"], "299 - \"v1 ComponentStatus is deprecated in v1.19+\"")
        XCTAssertEqual(try list.json.kind, "ComponentStatusList")
        let items = try list.json["items"].arrayValue
        XCTAssertEqual(items.map(\.name), ["controller-manager", "etcd-0", "scheduler"])
        XCTAssertEqual(items[1]["conditions"], [["type": "Healthy", "status": "True", "message": "ok"]])
        for item in [items[0], items[2]] {
            XCTAssertEqual(item["conditions"][0]["status"], "False", "nothing runs here that does that")
            XCTAssertTrue(item["conditions"][0]["error"].stringValue?.contains("lease") == true)
        }
        let rows: [(String, Int, String)] = [
            ("\(path)/etcd-0", 200, "one"), ("\(path)/nobody", 500, "as Kubernetes answers what it does not know"),
            ("\(path)?watch=true", 405, "there are no events of them"),
        ]
        for (target, status, reason) in rows {
            XCTAssertEqual(try server.request("GET", target).status, status, reason)
        }
        XCTAssertEqual(try server.request("DELETE", "\(path)/etcd-0").status, 405)
        let one = try server.request("GET", "\(path)?fieldSelector=metadata.name%3Detcd-0").json["items"]
        XCTAssertEqual(one.arrayValue.map(\.name), ["etcd-0"])
        XCTAssertEqual(try server.request("GET", "\(path)?labelSelector=a").json["items"], [])
        let table = try server.request("GET", path, headers: ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"])
        XCTAssertEqual(
            try table.json["columnDefinitions"].arrayValue.map { $0["name"].stringValue ?? "" },
            ["Name", "Status", "Message", "Error"])
        XCTAssertEqual(try table.json["rows"][1]["cells"], ["etcd-0", "Healthy", "ok", ""])
    }
}
