import Glibc
import Objects
import XCTest

@testable import Node

/// What pods may write to the node's disk.
final class PodStorageTests: XCTestCase {
    private func pod(_ containers: [JSON], volumes: [JSON] = []) -> Pod {
        TestPods.pod(specification: ["containers": .array(containers), "volumes": .array(volumes)])
    }

    private func container(_ name: String, _ limit: String? = nil) -> JSON {
        var json: JSON = ["name": .string(name), "image": "busybox:1"]
        if let limit { json["resources"] = ["limits": ["ephemeral-storage": .string(limit)]] }
        return json
    }

    func testExcess() {
        let one = pod([container("a", "5Mi")])
        let two = pod([container("a", "5Mi"), container("b", "5Mi")])
        let scratch: JSON = ["name": "scratch", "emptyDir": ["sizeLimit": "1Mi"]]
        let volume = pod([container("a")], volumes: [scratch, ["name": "m", "emptyDir": ["medium": "Memory"]]])
        let rows: [(name: String, pod: Pod, containers: [String: Int64], volumes: [String: Int64], expected: String?)] =
            [
                ("within", one, ["a": 5 << 20], [:], nil),
                (
                    "the pod", one, ["a": 6 << 20], [:],
                    "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "
                ),
                (
                    "with its volumes", one, ["a": 3 << 20], ["x": 3 << 20],
                    "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "
                ),
                (
                    "one of two containers", two, ["a": 1 << 20, "b": 6 << 20], [:],
                    "Container b exceeded its local ephemeral storage limit \"5Mi\". "
                ),
                (
                    "a volume", volume, [:], ["scratch": 2 << 20],
                    "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". "
                ),
                ("a volume within", volume, ["a": 1 << 30], ["scratch": 1 << 20], nil),
            ]
        for row in rows {
            let storage = PodStorage(pod: row.pod)
            XCTAssertTrue(storage.isBounded, row.name)
            XCTAssertEqual(
                storage.excess(.init(containers: row.containers, volumes: row.volumes)), row.expected, row.name)
        }
        XCTAssertFalse(
            PodStorage(
                pod: pod(
                    [container("a")], volumes: [["name": "m", "emptyDir": ["medium": "Memory", "sizeLimit": "1Mi"]]])
            ).isBounded, "what is in memory is bounded by its mount")
    }

    func testWhatIsCounted() throws {
        let directory = try TemporaryDirectory()
        let paths = NodePaths(data: directory.path)
        let pod = pod(
            [container("main", "5Mi")],
            volumes: [
                ["name": "scratch", "emptyDir": [:]], ["name": "settings", "configMap": ["name": "settings"]],
                ["name": "key", "secret": ["secretName": "key"]],
            ])
        for place in [
            "\(paths.logDirectory(pod))/main", paths.volume(pod.uid, kind: "kubernetes.io~empty-dir", name: "scratch"),
            paths.volume(pod.uid, kind: "kubernetes.io~configmap", name: "settings"),
            paths.volume(pod.uid, kind: "kubernetes.io~secret", name: "key"),
        ] {
            try Files.makeDirectories(place)
            try Files.write([UInt8](repeating: 1, count: 8192), to: "\(place)/file", mode: 0o600)
        }
        let usage = PodStorage(pod: pod).measure(
            [TestPods.container("main", "running"), TestPods.container("gone", "exited")], layers: ["main-0": 100],
            paths)
        XCTAssertEqual(usage.containers.keys.sorted(), ["main"])
        XCTAssertGreaterThanOrEqual(usage.containers["main"] ?? 0, 8292)
        XCTAssertEqual(usage.volumes.keys.sorted(), ["scratch", "settings"])
        for (name, bytes) in usage.volumes { XCTAssertGreaterThanOrEqual(bytes, 8192, name) }
    }

    /// It is killed at once, and has failed when nothing of it runs any more.
    func testEviction() {
        let failure = WaitingReason(reason: PodMemory.eviction, message: "too much")
        func status(_ snapshot: PodSnapshot) -> JSON {
            PodStatusBuilder(
                snapshot: snapshot, startTime: "2026-01-01T00:00:00Z", now: "2026-01-01T00:00:00Z", failure: failure
            ).build()
        }
        var running = TestPods.snapshot(TestPods.pod(), containers: [TestPods.container("main", "running")])
        running.isRefused = true
        running.isEvicted = true
        let stops = PodPlanner.plan(running).actions.compactMap { action -> Int64? in
            if case .stopContainer(_, _, let reason, let grace) = action, reason == .podFinished { return grace }
            return nil
        }
        XCTAssertEqual(stops, [1])
        XCTAssertEqual(status(running)["phase"], "Running")
        var ended = TestPods.snapshot(
            TestPods.pod(), containers: [TestPods.container("main", "exited", exitCode: 137)])
        ended.isRefused = true
        ended.isEvicted = true
        XCTAssertEqual(status(ended)["phase"], "Failed")
        XCTAssertEqual(status(ended)["reason"], "Evicted")
        XCTAssertEqual(status(ended)["message"], "too much")
        let condition = status(ended)["conditions"].arrayValue.first { $0["type"] == "DisruptionTarget" }
        XCTAssertEqual(condition?["status"], "True")
        XCTAssertEqual(condition?["reason"], "TerminationByKubelet")
    }
}
