import PluginAPI
import XCTest

@testable import Kernel

final class MetricsTests: XCTestCase {
    /// A histogram's definition may say where its buckets end.
    func testBounds() throws {
        let metrics = Metrics()
        let histogram = try metrics.define(HOSTD_METRIC_HISTOGRAM, "tries", labels: "role=\"a\",le=\"1.0,2.0,4.0\"")
        for value in [1.0, 2, 3, 9] { try metrics.record(histogram, value) }
        let alone = try metrics.define(HOSTD_METRIC_HISTOGRAM, "alone", labels: "le=\"0.5\"")
        try metrics.record(alone, 0.25)
        let wrong = try metrics.define(HOSTD_METRIC_HISTOGRAM, "wrong", labels: "role=\"1,2\"")
        try metrics.record(wrong, 0.25)
        let lines = metrics.collect().split(separator: "\n").map(String.init)
        for line in [
            "tries_bucket{role=\"a\",le=\"1\"} 1", "tries_bucket{role=\"a\",le=\"4\"} 3",
            "tries_bucket{role=\"a\",le=\"+Inf\"} 4", "tries_count{role=\"a\"} 4", "alone_bucket{le=\"0.5\"} 1",
            "alone_sum 0.25", "wrong_bucket{role=\"1,2\",le=\"60\"} 1",
        ] { XCTAssertTrue(lines.contains(line), line) }
        XCTAssertEqual(lines.count { $0.hasPrefix("tries_bucket") }, 4)
    }

    func testTextFormat() throws {
        let metrics = Metrics()
        let counter = try metrics.define(HOSTD_METRIC_COUNTER, "calls_total", labels: "role=\"a\"")
        let gauge = try metrics.define(HOSTD_METRIC_GAUGE, "depth")
        let histogram = try metrics.define(HOSTD_METRIC_HISTOGRAM, "size_bytes", labels: "k=\"v\"")
        try metrics.record(counter, 2)
        try metrics.record(counter, 0.5)
        try metrics.record(counter, -7)
        try metrics.record(gauge, 4)
        try metrics.record(gauge, 3)
        for value in [10.0, 100, 1e9] { try metrics.record(histogram, value) }
        let text = metrics.collect()
        for line in [
            "# TYPE calls_total counter", "calls_total{role=\"a\"} 2.5", "# TYPE depth gauge", "depth 3",
            "size_bytes_bucket{k=\"v\",le=\"64\"} 1", "size_bytes_bucket{k=\"v\",le=\"256\"} 2",
            "size_bytes_bucket{k=\"v\",le=\"+Inf\"} 3", "size_bytes_sum{k=\"v\"} 1000000110",
            "size_bytes_count{k=\"v\"} 3",
        ] { XCTAssertTrue(text.split(separator: "\n").contains(Substring(line)), "\(line) is not in\n\(text)") }
    }

    func testSeriesAreFoundAgainAndBadOnesRefused() throws {
        let metrics = Metrics()
        let one = try metrics.define(HOSTD_METRIC_COUNTER, "a_total")
        XCTAssertEqual(try metrics.define(HOSTD_METRIC_COUNTER, "a_total"), one)
        XCTAssertNotEqual(try metrics.define(HOSTD_METRIC_COUNTER, "a_total", labels: "x=\"1\""), one)
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT, naming: "another kind") {
            try metrics.define(HOSTD_METRIC_GAUGE, "a_total")
        }
        for name in ["", "1a", "a-b", "ä"] {
            assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try metrics.define(HOSTD_METRIC_GAUGE, name) }
        }
        assertFails(HOSTD_ERROR_INVALID_ARGUMENT) { try metrics.define(4, "b") }
        for handle: UInt64 in [0, 99, .max] { assertFails(HOSTD_ERROR_NOT_FOUND) { try metrics.record(handle, 1) } }
    }

    func testRecordingFromManyThreadsLosesNothing() throws {
        let metrics = Metrics()
        let counter = try metrics.define(HOSTD_METRIC_COUNTER, "n_total")
        let threads = try (0..<4).map { _ in
            try KernelThread(name: "recorder") {
                for _ in 0..<10_000 { do { try metrics.record(counter, 1) } catch { XCTFail("\(error)") } }
            }
        }
        for thread in threads { thread.join() }
        XCTAssertTrue(metrics.collect().contains("n_total 40000\n"))
    }
}
