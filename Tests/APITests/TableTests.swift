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

    func testRowsOfFurtherKinds() throws {
        let rows: [(resource: String, object: JSON, cells: [JSON], reason: String)] = [
            (
                "podtemplates",
                [
                    "template": [
                        "metadata": ["labels": ["b": "2", "a": "1"]],
                        "spec": ["containers": [["name": "x", "image": "i"], ["name": "y", "image": "j"]]],
                    ]
                ], ["a", "x,y", "i,j", "a=1,b=2"], "no age"
            ),
            ("limitranges", ["spec": ["limits": []]], ["a", "2026-01-01T00:00:00Z"], "when, not how long ago"),
            (
                "endpoints",
                [
                    "subsets": [
                        ["addresses": [["ip": "1.1.1.1"], ["ip": "1.1.1.2"]], "ports": [["port": 80], ["port": 81]]]
                    ]
                ],
                ["a", "1.1.1.1:80,1.1.1.2:80,1.1.1.1:81 + 1 more...", "10s"], "port by port"
            ),
            (
                "ingressclasses.networking.k8s.io",
                ["spec": ["controller": "x/y", "parameters": ["kind": "P", "apiGroup": "x.io", "name": "p"]]],
                ["a", "x/y", "P.x.io/p", "10s"], "the kind with its group"
            ),
            (
                "ipaddresses.networking.k8s.io",
                ["spec": ["parentRef": ["resource": "services", "namespace": "default", "name": "web"]]],
                ["a", "services/default/web"], "a resource of the core group"
            ),
            (
                "servicecidrs.networking.k8s.io", ["spec": ["cidrs": ["10.0.0.0/8", "fd00::/64"]]],
                ["a", "10.0.0.0/8,fd00::/64", "10s"], "every range"
            ),
            (
                "csidrivers.storage.k8s.io", ["spec": ["tokenRequests": [["audience": "x"]]]],
                ["a", true, false, false, "x", false, "<none>", "10s"], "attaching is the default"
            ),
            ("csinodes.storage.k8s.io", ["spec": ["drivers": [["name": "d"]]]], ["a", 1, "10s"], "a number"),
            (
                "csistoragecapacities.storage.k8s.io", ["storageClassName": "fast"], ["a", "fast", "<unset>"],
                "nothing known"
            ),
            (
                "volumeattachments.storage.k8s.io",
                ["spec": ["attacher": "d", "nodeName": "n", "source": ["persistentVolumeName": "v"]]],
                ["a", "d", "v", "n", false, "10s"], "not yet attached"
            ),
            (
                "volumeattributesclasses.storage.k8s.io", ["driverName": "d"], ["a", "d", "10s"], "the driver"
            ),
            (
                "validatingwebhookconfigurations.admissionregistration.k8s.io", ["webhooks": [["name": "w"]]],
                ["a", 1, "10s"], "how many"
            ),
            (
                "validatingadmissionpolicies.admissionregistration.k8s.io",
                [
                    "spec": [
                        "validations": [["expression": "true"]], "paramKind": ["apiVersion": "v1", "kind": "Secret"],
                    ]
                ],
                ["a", 1, "v1/Secret", "10s"], "the kind of its parameters"
            ),
            (
                "mutatingadmissionpolicies.admissionregistration.k8s.io", ["spec": ["mutations": [[:], [:]]]],
                ["a", 2, "<unset>", "10s"], "no parameters"
            ),
            (
                "validatingadmissionpolicybindings.admissionregistration.k8s.io",
                ["spec": ["policyName": "p", "paramRef": ["name": "x"]]], ["a", "p", "*/x", "10s"], "any namespace"
            ),
            (
                "flowschemas.flowcontrol.apiserver.k8s.io",
                [
                    "spec": ["priorityLevelConfiguration": ["name": "exempt"], "matchingPrecedence": 1],
                    "status": ["conditions": [["type": "Dangling", "status": "False"]]],
                ], ["a", "exempt", 1, "<none>", "10s", "False"], "its level is there"
            ),
            (
                "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
                [
                    "spec": [
                        "type": "Limited",
                        "limited": [
                            "nominalConcurrencyShares": 5,
                            "limitResponse": ["queuing": ["queues": 64, "handSize": 6, "queueLengthLimit": 50]],
                        ],
                    ]
                ], ["a", "Limited", 5, 64, 6, 50, "10s"], "with queues"
            ),
            (
                "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", ["spec": ["type": "Exempt"]],
                ["a", "Exempt", "<none>", "<none>", "<none>", "<none>", "10s"], "without limits"
            ),
            (
                "resourceclaims.resource.k8s.io", ["status": ["allocation": [:], "reservedFor": [["name": "p"]]]],
                ["a", "allocated,reserved", "10s"], "in use"
            ),
            ("resourceclaims.resource.k8s.io", [:], ["a", "pending", "10s"], "not allocated"),
            (
                "resourceslices.resource.k8s.io",
                ["spec": ["nodeName": "n", "driver": "gpu.example.com", "pool": ["name": "p"]]],
                ["a", "n", "gpu.example.com", "p", "10s"], "where its devices are"
            ),
        ]
        let now = try Timestamp(parsing: "2026-01-01T00:00:10Z")
        for row in rows {
            let resource = try XCTUnwrap(
                ResourceTable.ofSchema().all.first { $0.qualified == row.resource }, row.resource)
            var object = row.object
            object["metadata"] = ["name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"]
            XCTAssertEqual(TableLayout.of(resource).cells(object, now), row.cells, "\(row.resource): \(row.reason)")
        }
    }

    func testTargetsOfAutoscalers() throws {
        func metric(_ type: String, _ source: String, _ target: JSON, name: String? = nil) -> JSON {
            var inner: JSON = ["target": target]
            if let name { inner["name"] = .string(name) }
            return .object(JSONObject([("type", .string(type)), (source, inner)]))
        }
        func status(_ source: String, _ current: JSON) -> JSON {
            .object(JSONObject([(source, JSON.object(["current": current]))]))
        }
        let cpu = metric("Resource", "resource", ["type": "Utilization", "averageUtilization": 80], name: "cpu")
        let memory = metric("ContainerResource", "containerResource", ["averageValue": "1Gi"], name: "memory")
        let pods = metric("Pods", "pods", ["averageValue": "10"])
        let object = metric("Object", "object", ["value": "5"])
        let external = metric("External", "external", ["averageValue": "3"])
        let rows: [(metrics: [JSON], current: [JSON], text: JSON)] = [
            ([], [], "<none>"),
            ([cpu], [], "cpu: <unknown>/80%"),
            ([cpu], [status("resource", ["averageUtilization": 12])], "cpu: 12%/80%"),
            ([memory], [status("containerResource", ["averageValue": "1Mi"])], "memory: 1Mi/1Gi"),
            ([pods, object], [status("pods", ["averageValue": "4"]), status("object", ["value": "2"])], "4/10, 2/5"),
            ([external, cpu, pods], [.null], "<unknown>/3 (avg), cpu: <unknown>/80% + 1 more..."),
        ]
        for row in rows {
            let autoscaler: JSON = [
                "metadata": ["name": "a"],
                "spec": ["scaleTargetRef": ["kind": "Deployment", "name": "web"], "metrics": .array(row.metrics)],
                "status": ["currentMetrics": .array(row.current)],
            ]
            XCTAssertEqual(AutoscalerTable.layout.cells(autoscaler, .now())[2], row.text)
        }
    }
}
