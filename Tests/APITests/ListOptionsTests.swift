import Objects
import XCTest

@testable import API

/// Which state lists and watches show: the table of Kubernetes' API concepts, cell by cell.
final class ListOptionsTests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func create(_ name: String) throws -> String {
        try server.request(
            "POST", maps, ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
        ).json.resourceVersion
    }

    func testRules() throws {
        typealias Row = (query: String, isWatch: Bool, broken: [String], reason: String)
        let rows: [Row] = [
            ("", false, [], "nothing"), ("resourceVersion=5", false, [], "a version alone"),
            ("resourceVersion=5&resourceVersionMatch=Exact", false, [], "exact"),
            ("resourceVersion=0&resourceVersionMatch=NotOlderThan", false, [], "any"),
            ("resourceVersionMatch=Exact", false, ["resourceVersionMatch"], "a match of nothing"),
            ("resourceVersion=0&resourceVersionMatch=Exact", false, ["resourceVersionMatch"], "exactly any"),
            ("resourceVersion=5&resourceVersionMatch=Newer", false, ["resourceVersionMatch"], "an unknown match"),
            (
                "resourceVersion=5&resourceVersionMatch=Exact&continue=x", false, ["resourceVersionMatch"],
                "a page has its version"
            ),
            ("sendInitialEvents=true", false, ["sendInitialEvents"], "of a list"),
            (
                "sendInitialEvents=true&resourceVersionMatch=Exact", false,
                ["resourceVersionMatch", "sendInitialEvents"], "two rules"
            ),
            ("resourceVersion=5", true, [], "a watch from a version"),
            ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", true, [], "a streaming list"),
            ("sendInitialEvents=false&resourceVersionMatch=NotOlderThan", true, [], "none of what is there"),
            ("sendInitialEvents=true", true, ["resourceVersionMatch"], "without its match"),
            ("resourceVersionMatch=NotOlderThan&resourceVersion=5", true, ["resourceVersionMatch"], "a match alone"),
            (
                "sendInitialEvents=true&resourceVersionMatch=Exact", true,
                ["resourceVersionMatch", "resourceVersionMatch"], "another match"
            ),
        ]
        for row in rows {
            let query = try Query(parsing: row.query[...])
            do throws(APIStatus) {
                try ListOptions.check(query, isWatch: row.isWatch)
                XCTAssertEqual(row.broken, [], row.reason)
            } catch {
                XCTAssertEqual(error.causes.map(\.field), row.broken, row.reason)
                XCTAssertEqual(error.code, 422, row.reason)
            }
        }
        let refused = try server.request("GET", maps + "?resourceVersionMatch=Exact")
        XCTAssertEqual(refused.status, 422)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden "
                + "unless resourceVersion is provided")
    }

    func testNumbersThatAreNone() throws {
        for name in ["limit", "timeoutSeconds"] {
            let answer = try server.request("GET", "\(maps)?\(name)=x")
            XCTAssertEqual(answer.status, 400, name)
            XCTAssertEqual(try answer.json["message"], "strconv.ParseInt: parsing \"x\": invalid syntax", name)
        }
    }

    func testWhichStateIsShown() throws {
        let first = try create("a")
        let second = try create("b")
        let future = "\((Int(second) ?? 0) + 1000)"
        let exact = "&resourceVersionMatch=Exact"
        let notOlder = "&resourceVersionMatch=NotOlderThan"
        let rows: [(query: String, names: [String]?, status: Int, reason: String)] = [
            ("", ["a", "b"], 200, "the latest"), ("?resourceVersion=0", ["a", "b"], 200, "any"),
            ("?resourceVersion=\(first)", ["a", "b"], 200, "not older"),
            ("?resourceVersion=\(first)\(notOlder)", ["a", "b"], 200, "not older, said"),
            ("?resourceVersion=0\(notOlder)", ["a", "b"], 200, "any, said"),
            ("?resourceVersion=\(first)\(exact)", ["a"], 200, "exactly"),
            ("?resourceVersion=\(future)", nil, 504, "not older than what is not there yet"),
            ("?resourceVersion=\(future)\(exact)", nil, 504, "exactly what is not there yet"),
            ("?limit=5", ["a", "b"], 200, "limited: the latest"),
            ("?limit=5&resourceVersion=0", ["a", "b"], 200, "limited: any"),
            ("?limit=5&resourceVersion=\(first)", ["a"], 200, "limited: exactly, as Kubernetes keeps it"),
            ("?limit=5&resourceVersion=\(first)\(notOlder)", ["a", "b"], 200, "limited: not older"),
            ("?limit=5&resourceVersion=\(first)\(exact)", ["a"], 200, "limited: exactly"),
            ("/a?resourceVersion=0", nil, 200, "one object: any"),
            ("/a?resourceVersion=\(first)", nil, 200, "one object: not older"),
            ("/a?resourceVersion=\(future)", nil, 504, "one object: not there yet"),
        ]
        for row in rows {
            let answer = try server.request("GET", maps + row.query)
            XCTAssertEqual(answer.status, row.status, row.reason)
            if let names = row.names {
                XCTAssertEqual(try answer.json["items"].arrayValue.map(\.name), names, row.reason)
            }
            if row.status == 504 {
                XCTAssertEqual(
                    try answer.json["details"]["causes"][0]["reason"], "ResourceVersionTooLarge", row.reason)
            }
        }
    }

    /// The first events of a watch, as many as are expected; where none are, those of a second.
    private func events(_ query: String, _ count: Int) throws -> [String] {
        let seconds = count == 0 ? 1 : 600
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(maps)?watch=1&allowWatchBookmarks=true&timeoutSeconds=\(seconds)\(query) HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\n\r\n")
        let head = try client.response(headOnly: true)
        guard head.status == 200 else { return ["\(head.status)"] }
        var seen: [String] = []
        while seen.count < max(count, 1), let event = try client.event() {
            let isEnd = event["object"].metadata["annotations"]["k8s.io/initial-events-end"] == "true"
            let type = event["type"].stringValue ?? ""
            if type == "BOOKMARK", !isEnd { continue }
            seen.append(isEnd ? "END" : "\(type) \(event["object"].name)")
        }
        return seen
    }

    func testWhereWatchesBegin() throws {
        let first = try create("a")
        _ = try create("b")
        let streaming = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        let rows: [(query: String, count: Int, events: [String], reason: String)] = [
            ("", 2, ["ADDED a", "ADDED b"], "what is there, then on"),
            ("&resourceVersion=0", 2, ["ADDED a", "ADDED b"], "the same at any version"),
            ("&resourceVersion=\(first)", 1, ["ADDED b"], "exactly from there"),
            (streaming, 3, ["ADDED a", "ADDED b", "END"], "a streaming list"),
            (streaming + "&resourceVersion=0", 3, ["ADDED a", "ADDED b", "END"], "at any version"),
            (streaming + "&resourceVersion=\(first)", 3, ["ADDED a", "ADDED b", "END"], "not older than that"),
            (streaming + "&resourceVersion=99999999", 1, ["504"], "not there yet"),
            ("&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", 0, [], "only what comes"),
            (
                "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=\(first)", 1, ["ADDED b"],
                "what comes after a version"
            ),
        ]
        for row in rows { XCTAssertEqual(try events(row.query, row.count), row.events, row.reason) }
    }

    func testFieldsThatNothingIsSelectedBy() throws {
        let rows: [(resource: String, message: String)] = [
            ("pods", "field label not supported: x.y"), ("services", "field label not supported: x.y"),
            ("certificatesigningrequests.certificates.k8s.io", "field label not supported: x.y"),
            (
                "deployments.apps",
                "\"x.y\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            ),
            ("clusterroles.rbac.authorization.k8s.io", "\"x.y\" is not a known field selector: only \"metadata.name\""),
        ]
        for row in rows {
            let resource = try XCTUnwrap(ResourceTable.ofSchema().all.first { $0.qualified == row.resource })
            XCTAssertEqual(Selection.forbiddenField("x.y", resource).message, row.message, row.resource)
        }
    }
}
