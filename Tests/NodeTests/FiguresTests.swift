import Objects
import XCTest

@testable import Node

/// What Prometheus and metrics servers read of a node.
final class FiguresTests: XCTestCase {
    private let summary: JSON = [
        "node": [
            "cpu": ["time": "1970-01-01T00:00:02.5Z", "usageCoreNanoSeconds": 2_500_000_000],
            "memory": ["time": "1970-01-01T00:00:03Z", "workingSetBytes": 7], "swap": ["swapUsageBytes": 3],
        ],
        "pods": [
            ["podRef": ["name": "idle", "namespace": "default"], "containers": []],
            [
                "podRef": ["name": "web", "namespace": "default"],
                "cpu": ["usageCoreNanoSeconds": 1_500_000_000], "memory": ["workingSetBytes": 15],
                "containers": [
                    [
                        "name": "a", "startTime": "1970-01-01T00:00:05Z",
                        "cpu": ["time": "1970-01-01T00:00:09Z", "usageCoreNanoSeconds": 1_000_000_000],
                        "memory": ["workingSetBytes": 10],
                    ], ["name": "b", "cpu": ["usageCoreNanoSeconds": 500_000_000], "memory": ["workingSetBytes": 5]],
                ],
            ],
        ],
    ]

    func testResources() {
        let text = ResourceMetrics(summary: summary).text
        let lines = text.split(separator: "\n").map(String.init)
        for line in [
            "# TYPE node_cpu_usage_seconds_total counter", "node_cpu_usage_seconds_total 2.5 2500",
            "node_memory_working_set_bytes 7 3000", "node_swap_usage_bytes 3 3000",
            "container_cpu_usage_seconds_total{container=\"a\",namespace=\"default\",pod=\"web\"} 1.0 9000",
            "container_start_time_seconds{container=\"a\",namespace=\"default\",pod=\"web\"} 5.0",
            "pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"web\"} 1.5",
            "pod_memory_working_set_bytes{namespace=\"default\",pod=\"web\"} 15", "resource_scrape_error 0",
            "scrape_error 0",
        ] { XCTAssertTrue(lines.contains(line), line) }
        XCTAssertEqual(lines.count { $0 == "# TYPE container_cpu_usage_seconds_total counter" }, 1)
        XCTAssertTrue(lines.contains { $0.hasPrefix("# HELP pod_memory_working_set_bytes [STABLE] ") })
        XCTAssertFalse(text.contains("idle"), "without containers there is nothing to count")
        let failed = ResourceMetrics(summary: .null).text
        XCTAssertTrue(failed.contains("resource_scrape_error 1\n"))
        XCTAssertFalse(failed.contains("node_cpu_usage"))
    }

    func testContainers() throws {
        let interface = try XCTUnwrap(
            NetworkInterfaceFigures.read(
                """
                Inter-|   Receive                            |  Transmit
                 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls
                    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0
                  eth0:    1000      10    2    1    0     0          0         0     2000      20    3    4    0     0
                """
            ).first)
        XCTAssertEqual(interface.name, "eth0")
        XCTAssertEqual(interface.sent.dropped, 4)
        let metrics = ContainerMetrics(
            processors: 2, memoryBytes: 99, kernel: "6.1", system: "Debian", node: summary["node"],
            entries: [
                .init(id: "s1", namespace: "default", pod: "web", interfaces: [interface]),
                .init(
                    id: "c1", name: "a", image: "i:1", namespace: "default", pod: "web",
                    startedAt: "1970-01-01T00:00:05.25Z",
                    usage: [
                        "cpuUsageNanoseconds": 1_000_000_000, "memoryUsageBytes": 12, "memoryWorkingSetBytes": 10,
                        "memoryRSSBytes": 8, "pids": 2, "writableLayerBytes": 4,
                    ], resources: ["limits": ["memory": "1Ki", "cpu": "500m"]]),
            ])
        let lines = metrics.text.split(separator: "\n").map(String.init)
        let labels = "image=\"i:1\",name=\"c1\",namespace=\"default\",pod=\"web\"} "
        for line in [
            "container_cpu_usage_seconds_total{container=\"a\",cpu=\"total\",id=\"/c1\",\(labels)1.0",
            "container_memory_rss{container=\"a\",id=\"/c1\",\(labels)8",
            "container_fs_usage_bytes{container=\"a\",device=\"\",id=\"/c1\",\(labels)4",
            "container_start_time_seconds{container=\"a\",id=\"/c1\",\(labels)5",
            "container_spec_memory_limit_bytes{container=\"a\",id=\"/c1\",\(labels)1024",
            "container_spec_cpu_quota{container=\"a\",id=\"/c1\",\(labels)50000",
            "container_network_receive_bytes_total{container=\"\",id=\"/s1\",image=\"\",interface=\"eth0\",name=\"s1\",namespace=\"default\",pod=\"web\"} 1000",
            "container_network_transmit_packets_dropped_total{container=\"\",id=\"/s1\",image=\"\",interface=\"eth0\",name=\"s1\",namespace=\"default\",pod=\"web\"} 4",
            "container_cpu_usage_seconds_total{container=\"\",cpu=\"total\",id=\"/\",image=\"\",name=\"\",namespace=\"\",pod=\"\"} 2.5",
            "machine_cpu_cores 2", "machine_memory_bytes 99",
        ] { XCTAssertTrue(lines.contains(line), "\(line) in \(metrics.text)") }
        XCTAssertEqual(lines.count { $0.hasPrefix("# TYPE container_network_receive_bytes_total") }, 1)
    }

    func testProbes() {
        let metrics = ProbeMetrics()
        let key = ProbeMetrics.Key(podUID: "u", container: "c", kind: .readiness)
        metrics.record(key, namespace: "default", pod: "web", success: true, seconds: 0.02)
        metrics.record(key, namespace: "default", pod: "web", success: false, seconds: 9)
        let lines = metrics.text(startSeconds: 5).split(separator: "\n").map(String.init)
        let labels = "container=\"c\",namespace=\"default\",pod=\"web\""
        for line in [
            "process_start_time_seconds 5.0",
            "prober_probe_total{\(labels),pod_uid=\"u\",probe_type=\"Readiness\",result=\"successful\"} 1",
            "prober_probe_total{\(labels),pod_uid=\"u\",probe_type=\"Readiness\",result=\"failed\"} 1",
            "# TYPE prober_probe_duration_seconds histogram",
            "prober_probe_duration_seconds_bucket{\(labels),probe_type=\"Readiness\",le=\"0.01\"} 0",
            "prober_probe_duration_seconds_bucket{\(labels),probe_type=\"Readiness\",le=\"0.025\"} 1",
            "prober_probe_duration_seconds_bucket{\(labels),probe_type=\"Readiness\",le=\"+Inf\"} 1",
            "prober_probe_duration_seconds_count{\(labels),probe_type=\"Readiness\"} 1",
        ] { XCTAssertTrue(lines.contains(line), line) }
        metrics.forget(podUID: "u")
        XCTAssertFalse(metrics.text(startSeconds: nil).contains("prober"))
    }

    func testRates() {
        let rates = UsageRates()
        XCTAssertNil(rates.rate("a", "1970-01-01T00:00:10Z", 1_000_000_000))
        XCTAssertEqual(rates.rate("a", "1970-01-01T00:00:12Z", 2_000_000_000), 500_000_000)
        XCTAssertEqual(rates.rate("a", "1970-01-01T00:00:12.01Z", 2_005_000_000), 500_000_000, "too soon")
        XCTAssertEqual(rates.known("a"), 500_000_000)
        XCTAssertNil(rates.rate("a", "1970-01-01T00:00:20Z", 5), "it began anew")
        rates.forget(keeping: [])
        XCTAssertNil(rates.known("a"))
    }

    func testEscapedLabels() {
        var page = MetricPage()
        page.add(.init("a", "gauge", "what it is"), [("l", "a\"b\\c\nd")], "1")
        XCTAssertEqual(page.text, "# HELP a what it is\n# TYPE a gauge\na{l=\"a\\\"b\\\\c\\nd\"} 1\n")
    }
}
