import Objects
import XCTest

@testable import API

/// What the row of a pod says, state by state.
final class PodTableTests: XCTestCase {
    private let now: Timestamp = {
        do { return try Timestamp(parsing: "2026-01-01T00:10:00Z") } catch { fatalError("\(error)") }
    }()

    private func row(_ status: JSON, _ spec: JSON = ["containers": [["name": "c"], ["name": "d"]]]) -> [String] {
        let pod: JSON = [
            "metadata": ["name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"], "spec": spec, "status": status,
        ]
        return PodTable.layout.cells(pod, now).map { Cell.string($0) }
    }

    private func container(
        _ name: String, _ state: JSON = ["running": [:]], ready: Bool = true, restarts: Int64 = 0, last: String? = nil,
        started: Bool? = nil
    ) -> JSON {
        var status: JSON = [
            "name": .string(name), "state": state, "ready": .bool(ready), "restartCount": .integer(restarts),
        ]
        if let last { status["lastState"] = ["terminated": ["exitCode": 1, "finishedAt": .string(last)]] }
        if let started { status["started"] = .bool(started) }
        return status
    }

    func testContainers() {
        let waiting: JSON = ["waiting": ["reason": "ImagePullBackOff"]]
        let rows: [(status: JSON, ready: String, word: String, restarts: String, reason: String)] = [
            (
                [
                    "phase": "Running",
                    "containerStatuses": [container("c", restarts: 3), container("d", [:], restarts: 3)],
                ],
                "1/2", "Running", "6", "ready without a state is not counted"
            ),
            (
                ["phase": "Running", "containerStatuses": [container("c"), container("d", waiting)]],
                "1/2", "ImagePullBackOff", "0", "what waits goes before what runs"
            ),
            (
                [
                    "phase": "Running",
                    "containerStatuses": [container("c", ["waiting": ["reason": "First"]]), container("d", waiting)],
                ],
                "0/2", "First", "0", "the first container has the last word"
            ),
            (
                [
                    "phase": "Running",
                    "containerStatuses": [container("c", ["terminated": ["reason": "Completed"]]), container("d")],
                    "conditions": [["type": "Ready", "status": "True"]],
                ], "1/2", "Running", "0", "one is done, and the pod is ready"
            ),
            (
                [
                    "phase": "Running",
                    "containerStatuses": [container("c", ["terminated": ["reason": "Completed"]]), container("d")],
                    "conditions": [["type": "Ready", "status": "False"]],
                ], "1/2", "NotReady", "0", "one is done, and the pod is not ready"
            ),
            (
                [
                    "phase": "Running",
                    "containerStatuses": [
                        container("c", restarts: 2, last: "2026-01-01T00:05:00Z"),
                        container("d", restarts: 1, last: "2026-01-01T00:09:30Z"),
                    ],
                ], "2/2", "Running", "3 (30s ago)", "the last restart of all"
            ),
            (["phase": "Failed", "reason": "Evicted"], "0/2", "Evicted", "0", "a reason goes before the phase"),
            (["phase": "Pending", "reason": ""], "0/2", "Pending", "0", "an empty one does not"),
            (
                [
                    "phase": "Pending",
                    "conditions": [["type": "PodScheduled", "status": "False", "reason": "SchedulingGated"]],
                ],
                "0/2", "SchedulingGated", "0", "held back"
            ),
        ]
        for row in rows {
            let cells = self.row(row.status)
            XCTAssertEqual(Array(cells[1...3]), [row.ready, row.word, row.restarts], row.reason)
        }
    }

    func testInitContainers() {
        let spec: JSON = [
            "initContainers": [["name": "i"], ["name": "s", "restartPolicy": "Always"]],
            "containers": [["name": "c"]],
        ]
        let done: JSON = ["terminated": ["exitCode": 0, "reason": "Completed"]]
        let early = "2026-01-01T00:01:00Z"
        let late = "2026-01-01T00:08:00Z"
        let rows: [(initial: [JSON], status: JSON, ready: String, word: String, restarts: String, reason: String)] = [
            ([container("i", restarts: 1, last: early)], [:], "0/2", "Init:0/2", "1 (9m ago)", "the first runs"),
            (
                [container("i", done), container("s", ["waiting": ["reason": "PodInitializing"]])], [:], "0/2",
                "Init:1/2", "0", "the second is about to start"
            ),
            (
                [container("i", done), container("s", started: false)], [:], "0/2", "Init:1/2", "0",
                "a sidecar that has not started holds the others up"
            ),
            (
                [
                    container("i", done, restarts: 4, last: late),
                    container("s", restarts: 2, last: early, started: true),
                ],
                ["containerStatuses": [container("c", restarts: 1)]], "2/2", "Running", "3 (9m ago)",
                "those of init containers that are done are not counted any more"
            ),
            (
                [container("i", done), container("s", ready: false, started: true)],
                ["containerStatuses": [container("c")]], "1/2", "Running", "0", "a sidecar that is not ready"
            ),
            (
                [container("i", ["terminated": ["exitCode": 1, "signal": 9]])], [:], "0/2", "Init:Signal:9", "0",
                "killed"
            ),
            (
                [container("i", ["terminated": ["exitCode": 1, "reason": "Error"]])], [:], "0/2", "Init:Error", "0",
                "failed"
            ),
            (
                [container("i", restarts: 3, last: late), container("s", restarts: 2, started: true)],
                [
                    "conditions": [["type": "Initialized", "status": "True"]],
                    "containerStatuses": [container("c", restarts: 1, last: early)],
                ], "1/2", "Init:0/2", "1 (9m ago)", "initialized once, and an init container runs again"
            ),
        ]
        for row in rows {
            var status = row.status
            status["phase"] = "Running"
            status["initContainerStatuses"] = .array(row.initial)
            let cells = self.row(status, spec)
            XCTAssertEqual(Array(cells[1...3]), [row.ready, row.word, row.restarts], row.reason)
        }
    }

    func testDeletion() {
        let rows: [(status: JSON, word: String)] = [
            (["phase": "Running"], "Terminating"), (["phase": "Pending"], "Terminating"),
            (["phase": "Succeeded"], "Succeeded"), (["phase": "Failed", "reason": "Evicted"], "Evicted"),
            (["phase": "Running", "reason": "NodeLost"], "Unknown"),
        ]
        for row in rows {
            let pod: JSON = [
                "metadata": ["name": "a", "deletionTimestamp": "2026-01-01T00:09:00Z"], "status": row.status,
            ]
            XCTAssertEqual(PodTable.layout.cells(pod, now)[2], .string(row.word), "\(row.status)")
        }
    }

    func testWideColumns() {
        let spec: JSON = [
            "nodeName": "n", "containers": [["name": "c"]],
            "readinessGates": [["conditionType": "x/y"], ["conditionType": "x/z"]],
        ]
        let status: JSON = [
            "phase": "Running", "podIP": "10.0.0.1", "nominatedNodeName": "m",
            "conditions": [["type": "x/y", "status": "True"], ["type": "x/z", "status": "False"]],
        ]
        XCTAssertEqual(Array(row(status, spec)[4...]), ["10m", "10.0.0.1", "n", "m", "1/2"])
        XCTAssertEqual(Array(row(["phase": "Pending"])[4...]), ["10m", "<none>", "<none>", "<none>", "<none>"])
    }

    func testEndedPodsAreSaidToBe() throws {
        let pods = try XCTUnwrap(ResourceTable.ofSchema().all.first { $0.qualified == "pods" })
        func conditions(_ phase: String) throws -> JSON {
            var writer = TableWriter(pods, version: "v1", includeObject: "None")
            writer.begin(revision: 1, more: nil, remaining: nil)
            let pod: JSON = ["metadata": ["name": "a"], "status": ["phase": .string(phase)]]
            pod.serialized().withUnsafeBytes { writer.add($0, revision: 1) }
            return try JSON(parsing: writer.finish())["rows"].arrayValue[0]["conditions"]
        }
        XCTAssertTrue(try conditions("Running").isNull)
        for phase in ["Succeeded", "Failed"] {
            let condition = try conditions(phase).arrayValue[0]
            XCTAssertEqual(
                [condition["type"], condition["status"], condition["reason"]], ["Completed", "True", .string(phase)])
        }
    }
}
