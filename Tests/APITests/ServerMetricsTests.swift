import Objects
import XCTest

@testable import API

/// What the server tells of itself at /metrics.
final class ServerMetricsTests: XCTestCase {
    func testProcess() throws {
        let stat =
            "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 1000 4096000 25 18446744073709551615 1 2 3\n"
        let metrics = try XCTUnwrap(
            ProcessMetrics(stat: stat, boot: "cpu 1 2\nbtime 1700000000\n", ticks: 100, pageSize: 4096))
        XCTAssertEqual(metrics.cpuSeconds, 2)
        XCTAssertEqual(metrics.startSeconds, 1_700_000_010)
        XCTAssertEqual(metrics.residentBytes, 25 * 4096)
        XCTAssertEqual(metrics.virtualBytes, 4_096_000)
        for (stat, boot) in [("", "btime 1\n"), (stat, "cpu\n"), ("42 (a) S 1\n", "btime 1\n")] {
            XCTAssertNil(ProcessMetrics(stat: stat, boot: boot, ticks: 100, pageSize: 4096), stat)
        }
        let own = try XCTUnwrap(ProcessMetrics.read())
        XCTAssertGreaterThan(own.residentBytes, 0)
        XCTAssertGreaterThan(own.openDescriptors, 2)
        XCTAssertGreaterThanOrEqual(own.maximumDescriptors, own.openDescriptors)
    }

    func testHelp() {
        let text =
            "# TYPE apiserver_request_total counter\napiserver_request_total{a=\"b\"} 1\n# TYPE other gauge\nother 2\n"
        XCTAssertEqual(
            MetricTexts.withHelp(text), "# HELP apiserver_request_total Requests that were answered.\n" + text)
        XCTAssertEqual(MetricTexts.value(of: "other", in: text), "2")
        XCTAssertNil(MetricTexts.value(of: "oth", in: text))
    }

    func testSeries() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/default/endpoints").status, 200)
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/default/endpoints").status, 200)
        let answer = try server.request("GET", "/metrics")
        let lines = answer.text.split(separator: "\n")
        XCTAssertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        let deprecated =
            #"apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1"#
        XCTAssertEqual(lines.filter { $0 == deprecated }.count, 1, answer.text)
        for name in [
            "process_cpu_seconds_total", "process_max_fds", "process_open_fds", "process_resident_memory_bytes",
            "process_start_time_seconds", "process_virtual_memory_bytes", "apiserver_storage_size_bytes",
            "apiserver_request_total", "apiserver_requested_deprecated_apis",
        ] {
            let help = lines.firstIndex { $0.hasPrefix("# HELP \(name) ") }
            let type = lines.firstIndex { $0.hasPrefix("# TYPE \(name) ") }
            XCTAssertNotNil(help, name)
            XCTAssertEqual(help.map { $0 + 1 }, type, name)
            XCTAssertEqual(lines.filter { $0.hasPrefix("# TYPE \(name) ") }.count, 1, name)
            XCTAssertTrue(lines.contains { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }, name)
        }
    }
}
