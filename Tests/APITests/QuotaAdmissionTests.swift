import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

final class QuotaAdmissionTests: XCTestCase {
    private func configMap(_ name: String) -> JSON {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
    }

    /// A quota whose controller has counted.
    private func makeQuota(_ server: TestServer, hard: JSON, used: JSON) throws {
        let quota: JSON = [
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "q"], "spec": ["hard": hard],
        ]
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces/default/resourcequotas", quota).status, 201)
        let status: JSON = ["status": ["hard": hard, "used": used]]
        let answer = try server.request(
            "PATCH", "/api/v1/namespaces/default/resourcequotas/q/status", status,
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(answer.status, 200, answer.text)
        try server.settled { $0.quotas.quotas.hasValues(in: "default") }
    }

    private func used(_ server: TestServer) throws -> JSON {
        try server.request("GET", "/api/v1/namespaces/default/resourcequotas/q").json["status"]["used"]
    }

    func testWhatIsWrittenIsCharged() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        try makeQuota(server, hard: ["configmaps": "2"], used: ["configmaps": "0"])
        let path = "/api/v1/namespaces/default/configmaps"
        XCTAssertEqual(try server.request("POST", path + "?dryRun=All", configMap("dry")).status, 201)
        XCTAssertEqual(try used(server), ["configmaps": "0"], "a dry run uses nothing")
        XCTAssertEqual(try server.request("POST", path, configMap("a")).status, 201)
        XCTAssertEqual(try used(server), ["configmaps": "1"])
        XCTAssertEqual(try server.request("POST", path, configMap("a")).status, 409, "it exists")
        XCTAssertEqual(try used(server), ["configmaps": "1"], "what was not written is not charged")
        XCTAssertEqual(try server.request("POST", path, configMap("b")).status, 201)
        let refused = try server.request("POST", path, configMap("c"))
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "configmaps \"c\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, "
                + "limited: configmaps=2")
        XCTAssertEqual(
            try server.request("POST", path + "?dryRun=All", configMap("c")).status, 403, "a dry run is refused too")
        XCTAssertEqual(
            try server.request("PUT", path + "/a", configMap("a")).status, 200, "changing it uses nothing")
    }

    func testClaimsThatGrowAreChargedForTheDifference() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        try makeQuota(server, hard: ["services.nodeports": "1"], used: ["services.nodeports": "0"])
        let path = "/api/v1/namespaces/default/services"
        var service: JSON = [
            "apiVersion": "v1", "kind": "Service", "metadata": ["name": "s"], "spec": ["ports": [["port": 80]]],
        ]
        XCTAssertEqual(try server.request("POST", path, service).status, 201)
        XCTAssertEqual(try used(server), ["services.nodeports": "0"], "no port of nodes yet")
        service["spec"]["type"] = "NodePort"
        let changed = try server.request("PUT", path + "/s", service)
        XCTAssertEqual(changed.status, 200, changed.text)
        XCTAssertEqual(try used(server), ["services.nodeports": "1"])
        service["spec"]["ports"] = [["port": 80, "name": "a"], ["port": 81, "name": "b"]]
        let refused = try server.request("PUT", path + "/s", service)
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=1, "
                + "used: services.nodeports=1, limited: services.nodeports=1")
    }

    func testConcurrentCreationsNeverExceed() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let (threads, each, limit) = (12, 10, 50)
        try makeQuota(server, hard: ["configmaps": "50"], used: ["configmaps": "0"])
        let (client, tally) = (server.client, Tally())
        let writers = try (0..<threads).map { thread in
            try PluginThread(name: "creator") {
                for number in 0..<each {
                    let map: JSON = [
                        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "m\(thread)-\(number)"],
                    ]
                    do {
                        let answer = try client.request(
                            method: "POST", path: "/api/v1/namespaces/default/configmaps", body: map.serialized(),
                            deadline: 0)
                        tally.add(Int(answer.code))
                    } catch {
                        XCTFail("\(error)")
                    }
                }
            }
        }
        for writer in writers { writer.join() }
        XCTAssertEqual(
            tally.counts.withLock { $0 }, [201: limit, 403: threads * each - limit], "exactly what is allowed")
        XCTAssertEqual(try used(server), ["configmaps": "50"])
    }
}

/// How often each answer came.
private final class Tally: Sendable {
    let counts = Mutex<[Int: Int]>([:])
    func add(_ code: Int) { counts.withLock { $0[code, default: 0] += 1 } }
}
