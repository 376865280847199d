import Objects
import XCTest

@testable import API

/// Priority and fairness of a server.
final class FairnessTests: XCTestCase {
    private var server: TestServer!
    private static let root = "/apis/flowcontrol.apiserver.k8s.io/v1"
    private static let path = "/api/v1/namespaces/default/configmaps"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    /// A level with one seat that user ann's requests go to.
    private func level(_ response: JSON) throws {
        let level: JSON = [
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
            "metadata": ["name": "narrow"],
            "spec": [
                "type": "Limited",
                "limited": ["nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": response],
            ],
        ]
        let made = try server.request("POST", Self.root + "/prioritylevelconfigurations", level)
        XCTAssertEqual(made.status, 201, made.text)
        let schema: JSON = [
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": ["name": "ann"],
            "spec": [
                "matchingPrecedence": 50, "priorityLevelConfiguration": ["name": "narrow"],
                "rules": [
                    [
                        "subjects": [["kind": "User", "user": ["name": "ann"]]],
                        "nonResourceRules": [["verbs": ["*"], "nonResourceURLs": ["*"]]],
                    ]
                ],
            ],
        ]
        XCTAssertEqual(try server.request("POST", Self.root + "/flowschemas", schema).status, 201)
    }

    private func version() throws -> TLSClient.Response {
        try server.request("GET", "/version", headers: ["Impersonate-User": "ann"])
    }

    func testObjectsOfEveryServer() throws {
        let schemas = try server.request("GET", Self.root + "/flowschemas").json["items"].arrayValue
        XCTAssertEqual(Set(schemas.map(\.name)), Set(FlowObjects.schemas.map(\.name)))
        let levels = try server.request("GET", Self.root + "/prioritylevelconfigurations").json["items"].arrayValue
        XCTAssertEqual(Set(levels.map(\.name)), Set(FlowObjects.levels.map(\.name)))
        XCTAssertEqual(
            try server.request("DELETE", Self.root + "/flowschemas/catch-all").status, 200, "it comes back")
        try server.eventually("the mandatory schema is there again") {
            try self.server.request("GET", Self.root + "/flowschemas/catch-all").status == 200
        }
        let patch = try server.request(
            "PATCH", Self.root + "/prioritylevelconfigurations/catch-all",
            ["spec": ["limited": ["nominalConcurrencyShares": 77]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(patch.status, 422, patch.text)
        XCTAssertTrue(patch.text.contains("spec of 'catch-all' must equal the fixed value"), patch.text)
        for (path, body, code): (String, JSON, Int) in [
            ("prioritylevelconfigurations/exempt", ["spec": ["exempt": ["nominalConcurrencyShares": 10]]], 200),
            ("flowschemas/exempt", ["spec": ["matchingPrecedence": 7]], 422),
            ("flowschemas/probes", ["spec": ["matchingPrecedence": 7]], 200),
            (
                "flowschemas/catch-all",
                ["metadata": ["annotations": .object([FlowObjects.annotation: "false"])]], 200
            ),
        ] {
            let answer = try server.request(
                "PATCH", "\(Self.root)/\(path)", body, headers: ["Content-Type": "application/merge-patch+json"])
            XCTAssertEqual(answer.status, code, answer.text)
        }
        try server.eventually("the suggested schema is as it was, and the mandatory one says that it is kept") {
            let probes = try self.server.request("GET", Self.root + "/flowschemas/probes").json
            let last = try self.server.request("GET", Self.root + "/flowschemas/catch-all").json
            return probes["spec"]["matchingPrecedence"] == 2 && last.annotations[FlowObjects.annotation] == "true"
        }
        XCTAssertEqual(
            try server.request("GET", Self.root + "/prioritylevelconfigurations/exempt").json["spec"]["exempt"][
                "nominalConcurrencyShares"], 10)
    }

    func testAnswersTellTheFlow() throws {
        let answer = try server.request("GET", "/api/v1/namespaces/default")
        let schema = try server.request("GET", Self.root + "/flowschemas/exempt").json
        XCTAssertEqual(answer.headers["x-kubernetes-pf-flowschema-uid"], schema.uid)
        let level = try server.request("GET", Self.root + "/prioritylevelconfigurations/exempt").json
        XCTAssertEqual(answer.headers["x-kubernetes-pf-prioritylevel-uid"], level.uid)
    }

    func testALevelWithoutSeatsRefuses() throws {
        try level(["type": "Reject"])
        try server.eventually("ann is refused") { try self.version().status == 429 }
        let refused = try version()
        XCTAssertEqual(refused.headers["retry-after"], "1")
        XCTAssertEqual(try refused.json["reason"].stringValue, "TooManyRequests")
        XCTAssertEqual(try server.request("GET", "/version", headers: ["Impersonate-User": "bob"]).status, 200)
        let text = try server.request("GET", "/metrics").text
        XCTAssertTrue(
            text.contains(
                "flow_schema=\"ann\",priority_level=\"narrow\",reason=\"concurrency-limit\""), String(text.prefix(2000))
        )
    }

    func testWhatWaitsRunsWhenTheSettingsChange() throws {
        try level(["type": "Queue", "queuing": ["queues": 4, "handSize": 2, "queueLengthLimit": 5]])
        let client = try server.connect()
        defer { client.close() }
        let head =
            "GET /version HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(TestServer.token)\r\n"
            + "Impersonate-User: ann\r\n\r\n"
        let fairness = try XCTUnwrap(server.plugin.provider.pipeline?.fairness)
        try server.eventually("the level is in force") {
            fairness.table.schemas.contains { $0.name == "ann" }
        }
        client.send(Array(head.utf8))
        try server.eventually("the request waits") {
            fairness.table.levels.first { $0.settings.name == "narrow" }?.waiting == 1
        }
        XCTAssertEqual(try server.request("DELETE", Self.root + "/flowschemas/ann").status, 200)
        XCTAssertEqual(try client.response().status, 200)
    }

    func testWhatIsGoingOnCanBeSeen() throws {
        try level(["type": "Queue", "queuing": ["queues": 4, "handSize": 2, "queueLengthLimit": 5]])
        let fairness = try XCTUnwrap(server.plugin.provider.pipeline?.fairness)
        try server.eventually("the level is in force") { fairness.table.schemas.contains { $0.name == "ann" } }
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET /version?x=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Impersonate-User: ann\r\n\r\n")
        try server.eventually("the request waits") {
            fairness.table.levels.first { $0.settings.name == "narrow" }?.waiting == 1
        }
        func rows(_ path: String) throws -> [[String]] {
            let answer = try server.request("GET", "/debug/api_priority_and_fairness/" + path)
            XCTAssertEqual(answer.status, 200)
            XCTAssertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
            return answer.text.split(separator: "\n").map { line in
                line.split(separator: ",", omittingEmptySubsequences: false).map {
                    String($0.drop { $0 == " " })
                }
            }
        }
        let levels = try rows("dump_priority_levels")
        XCTAssertEqual(levels[0].prefix(3), ["PriorityLevelName", "ActiveQueues", "IsIdle"])
        XCTAssertEqual(
            levels.first { $0[0] == "narrow" }, ["narrow", "1", "false", "false", "1", "0", "0", "0", "0", "0"])
        XCTAssertEqual(levels.first { $0[0] == "exempt" }?[2], "false", "this request runs there")
        XCTAssertEqual(Set(levels.map(\.count)), [10])
        let queues = try rows("dump_queues").filter { $0[0] == "narrow" }
        XCTAssertEqual(queues.map { $0[1] }, ["0", "1", "2", "3"])
        XCTAssertEqual(queues.filter { $0[2] == "1" }.map { $0[5...] }, [["0.00000000ss", "1", "1", "0.00100000ss"]])
        let requests = try rows("dump_requests?includeRequestDetails=1")
        XCTAssertEqual(requests.count, 2)
        XCTAssertEqual(requests.last?.count, 17)
        XCTAssertEqual(requests.last?[1], "ann")
        XCTAssertEqual(requests.last?[9...12], ["ann", "get", "/version", ""])
        XCTAssertEqual(try rows("dump_requests").last?.count, 9)
        XCTAssertEqual(
            try server.request(
                "GET", "/debug/api_priority_and_fairness/dump_queues", headers: ["Impersonate-User": "bob"]
            ).status, 403, "not everybody may see it")
        XCTAssertEqual(try server.request("GET", "/debug/api_priority_and_fairness/dump_all").status, 404)
        XCTAssertEqual(try server.request("DELETE", Self.root + "/flowschemas/ann").status, 200)
        XCTAssertEqual(try client.response().status, 200)
    }

    func testMistakesAreTold() throws {
        func level(_ change: (inout JSON) -> Void) -> JSON {
            var json: JSON = [
                "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
                "metadata": ["name": "x"],
                "spec": [
                    "type": "Limited",
                    "limited": ["limitResponse": ["type": "Queue", "queuing": ["queues": 4, "handSize": 2]]],
                ],
            ]
            change(&json["spec"])
            return json
        }
        XCTAssertEqual(
            try server.request("POST", Self.root + "/prioritylevelconfigurations?dryRun=All", level { _ in }).status,
            201)
        for (change, field): ((inout JSON) -> Void, String) in [
            ({ $0["type"] = "Wide" }, "spec.type"), ({ $0.removeValue(forKey: "limited") }, "spec.limited"),
            ({ $0["limited"]["limitResponse"]["type"] = "Wait" }, "spec.limited.limitResponse.type"),
            (
                { $0["limited"]["limitResponse"].removeValue(forKey: "queuing") },
                "spec.limited.limitResponse.queuing"
            ),
            (
                { $0["limited"]["limitResponse"]["queuing"]["handSize"] = 5 },
                "spec.limited.limitResponse.queuing.handSize"
            ), ({ $0["limited"]["lendablePercent"] = 101 }, "spec.limited.lendablePercent"),
        ] {
            let answer = try server.request("POST", Self.root + "/prioritylevelconfigurations", level(change))
            XCTAssertEqual(answer.status, 422, field)
            XCTAssertEqual(try answer.json["details"]["causes"][0]["field"].stringValue, field)
        }
    }
}
