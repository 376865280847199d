import Objects
import PluginKit
import XCTest

@testable import API

/// Watches whose clients do not read, over HTTPS.
final class WatchBoundTests: XCTestCase {
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer(options: ["watchBytes": 1_048_576]) }
    override func tearDownWithError() throws { try server.stop() }

    private func watch(_ resource: String, _ query: String = "") throws -> (client: TLSClient, status: Int) {
        let client = try server.connect()
        client.send(
            "GET /api/v1/namespaces/default/\(resource)?watch=1\(query) HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\n\r\n")
        return (client, try client.response(headOnly: true).status)
    }

    /// A stored ConfigMap of about 400 KB.
    private func stored(_ name: String, _ number: Int) -> [UInt8] {
        let text = String(repeating: "x", count: 400_000)
        return Array(
            ("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"\(name)\",\"namespace\":\"default\","
                + "\"uid\":\"u\"},\"data\":{\"n\":\"\(number)\",\"k\":\"\(text)\"}}").utf8)
    }

    private func metric(_ name: String) throws -> Double? {
        let text = try server.request("GET", "/metrics").text
        return text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap {
            Double($0.dropFirst(name.count + 1))
        }
    }

    func testTheSlowestWatchIsToldToListAgainAndTheOthersGoOn() throws {
        let (slow, slowStatus) = try watch("configmaps")
        let (other, otherStatus) = try watch("secrets")
        defer {
            slow.close()
            other.close()
        }
        XCTAssertEqual([slowStatus, otherStatus], [200, 200])
        let budget = try XCTUnwrap(server.plugin.provider.pipeline?.watchBudget)
        let key = "configmaps/default/large"
        try server.store.create(key, value: stored("large", 0))
        // As much as the sockets take, and then as much as the server holds.
        let name = "hostd_api_watches_ended_total{reason=\"budget\"}"
        var written = 1
        while try metric(name) != 1, written < 200 {
            try server.store.update(key, value: stored("large", written))
            written += 1
            XCTAssertLessThan(budget.bytes, (1 << 20) + 600_000, "one event more than the bound")
        }
        try server.eventually("a watch is ended, after \(written) events") { try metric(name) == 1 }
        var seen = 0
        var last: JSON?
        while let event = try slow.event() {
            if event["type"] == "ADDED" || event["type"] == "MODIFIED" { seen += 1 }
            last = event
        }
        XCTAssertEqual(last?["type"], "ERROR")
        XCTAssertEqual(last?["object"]["code"], 410)
        XCTAssertEqual(last?["object"]["reason"], "Expired")
        XCTAssertGreaterThan(seen, 0)
        XCTAssertLessThan(seen, written, "what waited was dropped")
        XCTAssertEqual(
            try slow.request("GET", "/api/v1/namespaces/default/configmaps?limit=1").status, 200,
            "the connection is as good as before")

        _ = try server.request(
            "POST", "/api/v1/namespaces/default/secrets",
            ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"]])
        XCTAssertEqual(try other.event()?["object"].name, "s")
        try server.eventually("nothing is held") { try metric("hostd_api_watch_bytes") == 0 }
    }

    func testWhatWatchesBeginWithIsBoundedTogether() throws {
        for number in 0..<40 {
            try server.store.create("configmaps/default/m\(number)", value: stored("m\(number)", 0))
        }
        let query = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        let (first, status) = try watch("configmaps", query)
        XCTAssertEqual(status, 200, "alone it may be as large as the list is")
        let refused = try server.request("GET", "/api/v1/namespaces/default/configmaps?watch=1" + query)
        XCTAssertEqual(refused.status, 429)
        XCTAssertEqual(refused.headers["retry-after"], "1")
        XCTAssertEqual(try metric("hostd_api_watches_refused_total"), 1)
        first.close()
        try server.eventually("another may begin") {
            let (client, status) = try watch("configmaps", query)
            client.close()
            return status == 200
        }
    }
}
