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
            MetricTexts.withHelp(text), "# HELP apiserver_request_total [STABLE] Requests that were answered.\n" + text)
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

    /// Kubernetes' stable metrics of an API server: names, labels, buckets.
    func testStableSeries() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        XCTAssertEqual(
            try server.request(
                "POST", "/api/v1/namespaces/default/configmaps", ["metadata": ["name": "counted"]]
            ).status, 201)
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/default/configmaps/counted").status, 200)
        XCTAssertEqual(try server.request("GET", "/livez").status, 200)
        let watcher = try server.connect()
        defer { watcher.close() }
        watcher.send(
            "GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try watcher.response(headOnly: true).status, 200)
        let text = try server.request("GET", "/metrics").text
        let lines = text.split(separator: "\n").map(String.init)
        let read =
            "component=\"apiserver\",group=\"\",resource=\"configmaps\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\""
        for line in [
            "apiserver_storage_objects{resource=\"configmaps\"} ",
            "apiserver_resource_objects{group=\"apps\",resource=\"deployments\"} 0",
            "apiserver_response_sizes_bucket{\(read),le=\"1000\"} 1", "apiserver_response_sizes_count{\(read)} 1",
            "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0",
            "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1",
            "apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"configmaps\",scope=\"namespace\",subresource=\"\",verb=\"WATCH\",version=\"v1\"} 1",
            "apiserver_admission_step_admission_duration_seconds_bucket{operation=\"CREATE\",rejected=\"false\",type=\"admit\",le=\"0.005\"} ",
            "apiserver_admission_step_admission_duration_seconds_count{operation=\"CREATE\",rejected=\"false\",type=\"validate\"} ",
            "kubernetes_healthcheck{name=\"ping\",type=\"livez\"} 1",
            "kubernetes_healthchecks_total{name=\"ping\",status=\"success\",type=\"livez\"} 1",
        ] { XCTAssertTrue(lines.contains { $0.hasPrefix(line) }, line) }
        let bounds = lines.filter {
            $0.hasPrefix("apiserver_request_duration_seconds_bucket{") && $0.contains("verb=\"POST\"")
                && $0.contains("configmaps")
        }
        XCTAssertEqual(bounds.count, 24, "Kubernetes' 23 buckets, and the one without an end")
    }

    /// A stream counts for as long as it is open.
    func testLongRunning() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let metrics = try XCTUnwrap(server.plugin.provider.pipeline).requestMetrics
        let watcher = try server.connect()
        watcher.send(
            "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try watcher.response(headOnly: true).status, 200)
        let pods =
            "apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"}"
        XCTAssertTrue(metrics.text.contains(pods + " 1\n"), metrics.text)
        watcher.close()
        try server.eventually("the watch counts no more") { metrics.text.contains(pods + " 0\n") }
    }
}
