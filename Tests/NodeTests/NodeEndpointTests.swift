import Glibc
import Objects
import XCTest

@testable import Node

final class NodeEndpointTests: XCTestCase {
    func testLogFiles() throws {
        let directory = try TemporaryDirectory()
        let root = "\(directory.path)/logs"
        try Files.makeDirectories("\(root)/pods/a<b")
        try Files.write(Array("x".utf8), to: "\(root)/pods/0.log", mode: 0o644)
        try Files.write(Array("secret".utf8), to: "\(directory.path)/outside", mode: 0o600)
        XCTAssertEqual(symlink("\(directory.path)/outside", "\(root)/link"), 0)
        let files = NodeLogFiles(root: root)
        XCTAssertEqual(
            try files.find("/pods/"),
            .directory("<!doctype html>\n<pre>\n<a href=\"0.log\">0.log</a>\n<a href=\"a&lt;b/\">a&lt;b/</a>\n</pre>\n")
        )
        XCTAssertEqual(try files.find("/pods/0.log"), .file("\(root)/pods/0.log"))
        XCTAssertEqual(try NodeLogFiles(root: "\(root)/none").find(""), .directory(NodeLogFiles.page([])))
        for (path, code) in [("/../outside", 400), ("/pods/../../outside", 400), ("/link", 404), ("/nothing", 404)] {
            XCTAssertThrowsError(try files.find(path), path) {
                XCTAssertEqual(($0 as? EndpointError)?.code, code, path)
            }
        }
    }

    func testFigures() {
        let metrics = ResourceMetrics(summary: [
            "node": ["cpu": ["usageCoreNanoSeconds": 2_500_000_000], "memory": ["workingSetBytes": 7]],
            "pods": [
                ["podRef": ["name": "idle", "namespace": "default"], "containers": []],
                [
                    "podRef": ["name": "web", "namespace": "default"],
                    "containers": [
                        [
                            "name": "a", "startTime": "1970-01-01T00:00:05Z",
                            "cpu": ["usageCoreNanoSeconds": 1_000_000_000],
                            "memory": ["workingSetBytes": 10, "usageBytes": 12, "rssBytes": 8],
                            "rootfs": ["usedBytes": 4],
                        ],
                        ["name": "b", "cpu": ["usageCoreNanoSeconds": 500_000_000], "memory": ["workingSetBytes": 5]],
                    ],
                ],
            ],
        ])
        let resource = metrics.resource.split(separator: "\n").map(String.init)
        for line in [
            "# TYPE node_cpu_usage_seconds_total counter", "node_cpu_usage_seconds_total 2.5",
            "node_memory_working_set_bytes 7",
            "container_cpu_usage_seconds_total{container=\"a\",namespace=\"default\",pod=\"web\"} 1.0",
            "container_start_time_seconds{container=\"a\",namespace=\"default\",pod=\"web\"} 5.0",
            "pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"web\"} 1.5",
            "pod_memory_working_set_bytes{namespace=\"default\",pod=\"web\"} 15", "resource_scrape_error 0",
        ] { XCTAssertTrue(resource.contains(line), line) }
        XCTAssertEqual(resource.count { $0 == "# TYPE container_cpu_usage_seconds_total counter" }, 1)
        XCTAssertFalse(metrics.resource.contains("idle"), "without containers there is nothing to count")
        XCTAssertTrue(
            metrics.cadvisor.contains("container_memory_rss{container=\"a\",namespace=\"default\",pod=\"web\"} 8\n"))
    }
}
