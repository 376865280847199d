import Objects
import XCTest

@testable import API

final class TableTests: XCTestCase {
    func testAges() {
        let rows: [(Int64, String)] = [
            (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (10_799, "179m"), (10_800, "3h"),
            (12_000, "3h20m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"), (180_000, "2d2h"), (691_200, "8d"),
            (63_072_000, "2y"), (70_000_000, "2y80d"), (-1, "0s"), (-5, "<invalid>"),
        ]
        for (seconds, text) in rows { XCTAssertEqual(HumanDuration.format(seconds), text, "\(seconds) s") }
    }

    func testPodStates() throws {
        let running: JSON = ["state": ["running": [:]], "ready": true, "name": "c", "restartCount": 0]
        func pod(_ status: JSON, spec: JSON = ["containers": [["name": "c"]]], deleted: Bool = false) -> JSON {
            var pod: JSON = ["metadata": ["name": "a"], "spec": spec, "status": status]
            if deleted { pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
            return pod
        }
        let withInit: JSON = ["containers": [["name": "c"]], "initContainers": [["name": "i"], ["name": "j"]]]
        let rows: [(JSON, String, String)] = [
            (pod(["phase": "Pending"]), "Pending", "0/1"),
            (pod(["phase": "Running", "containerStatuses": [running]]), "Running", "1/1"),
            (pod(["phase": "Running", "containerStatuses": [running]], deleted: true), "Terminating", "1/1"),
            (
                pod([
                    "phase": "Pending",
                    "containerStatuses": [["name": "c", "state": ["waiting": ["reason": "ContainerCreating"]]]],
                ]),
                "ContainerCreating", "0/1"
            ),
            (
                pod([
                    "phase": "Running",
                    "containerStatuses": [["name": "c", "state": ["waiting": ["reason": "CrashLoopBackOff"]]]],
                ]),
                "CrashLoopBackOff", "0/1"
            ),
            (
                pod([
                    "phase": "Succeeded",
                    "containerStatuses": [
                        ["name": "c", "state": ["terminated": ["reason": "Completed", "exitCode": 0]]]
                    ],
                ]),
                "Completed", "0/1"
            ),
            (
                pod([
                    "phase": "Failed", "containerStatuses": [["name": "c", "state": ["terminated": ["exitCode": 3]]]],
                ]), "ExitCode:3", "0/1"
            ),
            (
                pod([
                    "phase": "Failed",
                    "containerStatuses": [["name": "c", "state": ["terminated": ["signal": 9, "exitCode": 137]]]],
                ]),
                "Signal:9", "0/1"
            ),
            (pod(["phase": "Failed", "reason": "Evicted"]), "Evicted", "0/1"),
            (
                pod(
                    ["phase": "Pending", "initContainerStatuses": [["name": "i", "state": ["running": [:]]]]],
                    spec: withInit),
                "Init:0/2", "0/1"
            ),
            (
                pod(
                    [
                        "phase": "Pending",
                        "initContainerStatuses": [
                            ["name": "i", "state": ["terminated": ["exitCode": 0]]],
                            ["name": "j", "state": ["waiting": ["reason": "ErrImagePull"]]],
                        ],
                    ], spec: withInit), "Init:ErrImagePull", "0/1"
            ),
            (
                pod(
                    [
                        "phase": "Pending",
                        "initContainerStatuses": [["name": "i", "state": ["terminated": ["exitCode": 1]]]],
                    ], spec: withInit),
                "Init:ExitCode:1", "0/1"
            ),
        ]
        let now = try Timestamp(parsing: "2026-01-01T00:10:00Z")
        for (object, state, ready) in rows {
            let cells = PodTable.layout.cells(object, now)
            XCTAssertEqual(cells[2].stringValue, state)
            XCTAssertEqual(cells[1].stringValue, ready, state)
        }
        let restarted = pod([
            "phase": "Running",
            "containerStatuses": [
                [
                    "name": "c", "ready": true, "restartCount": 2, "state": ["running": [:]],
                    "lastState": ["terminated": ["finishedAt": "2026-01-01T00:05:00Z"]],
                ]
            ],
        ])
        XCTAssertEqual(PodTable.layout.cells(restarted, now)[3], "2 (5m ago)")
    }

    func testEveryResourceHasAsManyCellsAsColumns() throws {
        let now = Timestamp.now()
        for resource in ResourceTable.ofSchema().all {
            let layout = TableLayout.of(resource)
            let cells = layout.cells(["kind": .string(resource.kind), "metadata": ["name": "a"]], now)
            XCTAssertEqual(cells.count, layout.columns.count, resource.qualified)
            XCTAssertEqual(
                layout.columns.first?.name == "Name" || resource.qualified == "events", true, resource.qualified)
        }
    }

    func testServices() throws {
        let now = try Timestamp(parsing: "2026-01-01T00:00:10Z")
        let service: JSON = [
            "metadata": ["name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"],
            "spec": [
                "type": "NodePort", "clusterIP": "10.96.0.7", "selector": ["app": "web"],
                "ports": [["port": 80, "nodePort": 30000, "protocol": "TCP"], ["port": 53, "protocol": "UDP"]],
            ],
        ]
        let layout = try XCTUnwrap(CoreTables.layout("services"))
        XCTAssertEqual(
            layout.cells(service, now),
            ["web", "NodePort", "10.96.0.7", "<none>", "80:30000/TCP,53/UDP", "10s", "app=web"])
    }
}
