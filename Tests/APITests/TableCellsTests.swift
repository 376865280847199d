import Objects
import XCTest

@testable import API

/// What the cells of kinds say, value by value. Pods are in `PodTableTests`.
final class TableCellsTests: XCTestCase {
    func testServices() throws {
        func balanced(_ points: JSON, _ external: JSON = .null) -> JSON {
            var spec: JSON = [
                "type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [["port": 80, "protocol": "TCP"]],
            ]
            if external.exists { spec["externalIPs"] = external }
            return ["spec": spec, "status": ["loadBalancer": ["ingress": points]]]
        }
        func cells(_ address: JSON) -> [JSON] { ["a", "LoadBalancer", "10.0.0.1", address, "80/TCP", "10s", "<none>"] }
        try checkCells(
            "services",
            [
                (
                    ["spec": ["type": "ClusterIP", "clusterIP": "None"]],
                    ["a", "ClusterIP", "None", "<none>", "<none>", "10s", "<none>"], "headless, without ports"
                ),
                (
                    ["spec": ["type": "ExternalName", "externalName": "db.example.com"]],
                    ["a", "ExternalName", "<none>", "db.example.com", "<none>", "10s", "<none>"], "another name"
                ),
                (
                    [
                        "spec": [
                            "type": "NodePort", "clusterIP": "10.0.0.1", "externalIPs": ["9.9.9.9", "8.8.8.8"],
                            "ports": [
                                ["port": 53, "nodePort": 30053, "protocol": "UDP"], ["port": 80, "protocol": "TCP"],
                            ],
                            "selector": ["b": "2", "a": "1"],
                        ]
                    ],
                    ["a", "NodePort", "10.0.0.1", "9.9.9.9,8.8.8.8", "53:30053/UDP,80/TCP", "10s", "a=1,b=2"],
                    "by a node's port"
                ),
                (balanced([]), cells("<pending>"), "no point yet"),
                (
                    balanced([["ip": "2.2.2.2"], ["hostname": "b.example.com"], ["ip": "1.1.1.1"], ["ip": "2.2.2.2"]]),
                    cells("1.1.1.1,2.2.2.2,b.example.com"), "points in order, each once"
                ),
                (balanced([["ip": "2.2.2.2"]], ["9.9.9.9"]), cells("2.2.2.2,9.9.9.9"), "points before addresses"),
                (balanced([], ["9.9.9.9"]), cells("9.9.9.9"), "addresses alone"),
            ])
    }

    func testEndpoints() throws {
        try checkCells(
            "endpoints",
            [
                ([:], ["a", "<none>", "10s"], "nothing selected"),
                (
                    ["subsets": [["notReadyAddresses": [["ip": "1.1.1.1"]], "ports": [["port": 80]]]]],
                    ["a", "", "10s"],
                    "none is ready"
                ),
                (["subsets": [["addresses": [["ip": "1.1.1.1"]]]]], ["a", "1.1.1.1", "10s"], "no ports"),
                (
                    ["subsets": [["addresses": [["ip": "fd00::1"]], "ports": [["port": 80]]]]],
                    ["a", "[fd00::1]:80", "10s"], "IPv6"
                ),
                (
                    [
                        "subsets": [
                            ["addresses": [["ip": "1.1.1.1"], ["ip": "1.1.1.2"]], "ports": [["port": 80]]],
                            ["addresses": [["ip": "1.1.1.3"], ["ip": "1.1.1.4"]], "ports": [["port": 81]]],
                        ]
                    ], ["a", "1.1.1.1:80,1.1.1.2:80,1.1.1.3:81 + 1 more...", "10s"], "three at most"
                ),
            ])
        try checkCells(
            "endpointslices.discovery.k8s.io",
            [
                (["addressType": "IPv4"], ["a", "IPv4", "<unset>", "<unset>", "10s"], "empty"),
                (
                    ["addressType": "IPv4", "ports": [], "endpoints": []], ["a", "IPv4", "<unset>", "<unset>", "10s"],
                    "empty lists"
                ),
                (
                    [
                        "addressType": "IPv6",
                        "ports": [["port": 80], ["name": "any"], ["port": 82], ["port": 83], ["port": 84]],
                        "endpoints": [["addresses": ["fd00::1"]], ["addresses": ["fd00::2"]]],
                    ], ["a", "IPv6", "80,any,82 + 2 more...", "fd00::1,fd00::2", "10s"], "ports by number or name"
                ),
            ])
    }

    func testIngresses() throws {
        func rules(_ hosts: String...) -> JSON { .array(hosts.map { $0.isEmpty ? [:] : ["host": .string($0)] }) }
        func cells(_ hosts: JSON) -> [JSON] { ["a", "<none>", hosts, "", "80", "10s"] }
        try checkCells(
            "ingresses.networking.k8s.io",
            [
                (["spec": ["defaultBackend": [:]]], cells("*"), "no rules"),
                (["spec": ["rules": rules("")]], cells("*"), "a rule for any host"),
                (["spec": ["rules": rules("", "a", "b")]], cells("a,b"), "named hosts alone"),
                (["spec": ["rules": rules("a", "b", "c")]], cells("a,b,c"), "three"),
                (["spec": ["rules": rules("a", "b", "c", "d", "e")]], cells("a,b,c + 2 more..."), "five"),
                (
                    [
                        "spec": ["ingressClassName": "x", "tls": [[:]], "rules": rules("a")],
                        "status": ["loadBalancer": ["ingress": [["hostname": "z.example.com"], ["ip": "1.1.1.1"]]]],
                    ], ["a", "x", "a", "1.1.1.1,z.example.com", "80, 443", "10s"], "encrypted, and reached"
                ),
            ])
    }

    func testNodes() throws {
        let information: JSON = [
            "kubeletVersion": "v1.36.0", "osImage": "Debian", "kernelVersion": "6.18",
            "containerRuntimeVersion": "hostd://1",
        ]
        try checkCells(
            "nodes",
            [
                (
                    [:],
                    ["a", "Unknown", "<none>", "10s", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"],
                    "nothing is known of it"
                ),
                (
                    [
                        "metadata": [
                            "labels": [
                                "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "",
                                "kubernetes.io/role": "edge",
                                "node-role.kubernetes.io/control-plane": "",
                            ]
                        ],
                        "spec": ["unschedulable": true],
                        "status": [
                            "conditions": [
                                ["type": "MemoryPressure", "status": "False"], ["type": "Ready", "status": "True"],
                            ],
                            "nodeInfo": information,
                            "addresses": [
                                ["type": "Hostname", "address": "a"], ["type": "InternalIP", "address": "10.0.0.1"],
                                ["type": "InternalIP", "address": "fd00::1"],
                                ["type": "ExternalIP", "address": "9.9.9.9"],
                            ],
                        ],
                    ],
                    [
                        "a", "Ready,SchedulingDisabled", "control-plane,edge,worker", "10s", "v1.36.0", "10.0.0.1",
                        "9.9.9.9", "Debian", "6.18", "hostd://1",
                    ], "all is known"
                ),
                (
                    ["status": ["conditions": [["type": "Ready", "status": "Unknown"]], "nodeInfo": information]],
                    ["a", "NotReady", "<none>", "10s", "v1.36.0", "<none>", "<none>", "Debian", "6.18", "hostd://1"],
                    "silent"
                ),
            ])
    }

    func testVolumesAndClaims() throws {
        try checkCells(
            "persistentvolumes",
            [
                (
                    [
                        "spec": [
                            "capacity": ["storage": "1Gi"],
                            "accessModes": ["ReadWriteMany", "ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"],
                            "persistentVolumeReclaimPolicy": "Retain", "claimRef": ["namespace": "x", "name": "c"],
                            "storageClassName": "slow", "volumeMode": "Block", "volumeAttributesClassName": "gold",
                        ], "status": ["phase": "Bound", "reason": "Why"],
                    ], ["a", "1Gi", "RWO,RWX,RWOP", "Retain", "Bound", "x/c", "slow", "gold", "Why", "10s", "Block"],
                    "bound; modes in order"
                ),
                (
                    [
                        "metadata": [
                            "deletionTimestamp": "2026-01-01T00:00:05Z",
                            "annotations": ["volume.beta.kubernetes.io/storage-class": "old"],
                        ], "spec": ["storageClassName": "slow"], "status": ["phase": "Available"],
                    ], ["a", "0", "", "", "Terminating", "", "old", "<unset>", "", "10s", "<unset>"],
                    "deleted; the annotation goes first"
                ),
            ])
        try checkCells(
            "persistentvolumeclaims",
            [
                (
                    [
                        "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
                        "status": ["phase": "Pending"],
                    ], ["a", "Pending", "", "", "", "", "<unset>", "10s", "<unset>"], "what is asked for is not shown"
                ),
                (
                    ["spec": ["volumeName": "v", "storageClassName": "slow"], "status": ["phase": "Pending"]],
                    ["a", "Pending", "v", "0", "", "slow", "<unset>", "10s", "<unset>"], "a volume is chosen, not bound"
                ),
                (
                    [
                        "metadata": ["annotations": ["volume.beta.kubernetes.io/storage-class": "old"]],
                        "spec": ["volumeName": "v", "volumeMode": "Filesystem"],
                        "status": [
                            "phase": "Bound", "accessModes": ["ReadOnlyMany", "ReadWriteOnce"],
                            "capacity": ["storage": "2Gi"],
                        ],
                    ], ["a", "Bound", "v", "2Gi", "RWO,ROX", "old", "<unset>", "10s", "Filesystem"], "bound"
                ),
            ])
        try checkCells(
            "storageclasses.storage.k8s.io",
            [
                (
                    ["provisioner": "p", "allowVolumeExpansion": true],
                    ["a", "p", "Delete", "Immediate", true, "10s"], "defaults"
                ),
                (
                    [
                        "metadata": ["annotations": ["storageclass.beta.kubernetes.io/is-default-class": "true"]],
                        "provisioner": "p", "reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer",
                    ], ["a (default)", "p", "Retain", "WaitForFirstConsumer", false, "10s"],
                    "the default, by the old annotation"
                ),
            ])
        try checkCells(
            "volumeattributesclasses.storage.k8s.io",
            [
                (
                    [
                        "metadata": [
                            "annotations": ["volumeattributesclass.alpha.kubernetes.io/is-default-class": "true"]
                        ],
                        "driverName": "d",
                    ], ["a (default)", "d", "10s"], "the default"
                )
            ])
    }

    func testEvents() throws {
        let first: JSON = "2026-01-01T00:00:00Z"
        let last: JSON = "2026-01-01T00:00:07Z"
        let pod: JSON = ["kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"]
        try checkCells(
            "events",
            [
                (
                    [
                        "type": "Normal", "reason": "R", "message": " m\n", "involvedObject": pod, "count": 4,
                        "firstTimestamp": first, "lastTimestamp": last,
                        "source": ["component": "kubelet", "host": "n"],
                        "reportingComponent": "other", "reportingInstance": "i",
                    ],
                    ["3s", "Normal", "R", "pod/p", "spec.containers{c}", "kubelet, n", "m", "10s", 4, "a"],
                    "a row of events"
                ),
                (
                    [
                        "involvedObject": ["kind": "Node"], "eventTime": "2026-01-01T00:00:04.000000Z", "source": [:],
                        "firstTimestamp": .null, "lastTimestamp": .null, "reportingComponent": "c",
                        "reportingInstance": "i",
                    ], ["6s", "", "", "node", "", "c, i", "", "6s", 1, "a"], "one that stands for itself"
                ),
                (
                    [
                        "involvedObject": pod, "eventTime": first, "count": 9,
                        "series": ["count": 3, "lastObservedTime": "2026-01-01T00:00:09.500000Z"],
                    ], ["1s", "", "", "pod/p", "spec.containers{c}", "", "", "10s", 3, "a"],
                    "a series has its own count"
                ),
                ([:], ["<unknown>", "", "", "", "", "", "", "<unknown>", 1, "a"], "no time at all"),
            ])
        try checkCells(
            "events",
            [
                (
                    [
                        "regarding": pod, "note": "n", "deprecatedCount": 2, "deprecatedFirstTimestamp": first,
                        "deprecatedLastTimestamp": last, "deprecatedSource": ["component": "kubelet"],
                        "reportingController": "c",
                    ], ["3s", "", "", "pod/p", "spec.containers{c}", "kubelet", "n", "10s", 2, "a"], "the other shape"
                )
            ])
    }

    func testWorkloads() throws {
        let template: JSON = [
            "spec": [
                "nodeSelector": ["disk": "fast"],
                "containers": [["name": "c", "image": "i:1"], ["name": "d", "image": "j:2"]],
            ]
        ]
        let selector: JSON = [
            "matchLabels": ["b": "2", "a": "1"],
            "matchExpressions": [["key": "c", "operator": "In", "values": ["y", "x"]]],
        ]
        let status: JSON = ["replicas": 4, "readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 3]
        try checkCells(
            "deployments.apps",
            [
                (
                    ["spec": ["replicas": 5, "selector": selector, "template": template], "status": status],
                    ["a", "1/5", 2, 3, "10s", "c,d", "i:1,j:2", "a=1,b=2,c in (x,y)"], "halfway"
                )
            ])
        try checkCells(
            "replicasets.apps",
            [
                (
                    ["spec": ["replicas": 5, "selector": selector, "template": template], "status": status],
                    ["a", 5, 4, 1, "10s", "c,d", "i:1,j:2", "a=1,b=2,c in (x,y)"], "halfway"
                )
            ])
        try checkCells(
            "replicationcontrollers",
            [
                (
                    [
                        "kind": "ReplicationController",
                        "spec": ["replicas": 5, "selector": ["a": "1"], "template": template],
                        "status": status,
                    ], ["a", 5, 4, 1, "10s", "c,d", "i:1,j:2", "a=1"], "a plain selector"
                )
            ])
        try checkCells(
            "statefulsets.apps",
            [
                (
                    ["spec": ["replicas": 5, "template": template], "status": status],
                    ["a", "1/5", "10s", "c,d", "i:1,j:2"],
                    "halfway"
                )
            ])
        try checkCells(
            "daemonsets.apps",
            [
                (
                    [
                        "spec": ["selector": selector, "template": template],
                        "status": [
                            "desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3,
                            "updatedNumberScheduled": 2, "numberAvailable": 1,
                        ],
                    ], ["a", 5, 4, 3, 2, 1, "disk=fast", "10s", "c,d", "i:1,j:2", "a=1,b=2,c in (x,y)"], "halfway"
                )
            ])
        try checkCells(
            "controllerrevisions.apps",
            [
                (["revision": 3], ["a", "<none>", 3, "10s"], "nobody's"),
                (
                    [
                        "metadata": [
                            "ownerReferences": [
                                ["apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "controller": true]
                            ]
                        ],
                        "revision": 1,
                    ], ["a", "statefulset.apps/s", 1, "10s"], "of a group"
                ),
                (
                    [
                        "metadata": [
                            "ownerReferences": [["apiVersion": "v1", "kind": "Pod", "name": "p", "controller": true]]
                        ],
                        "revision": 1,
                    ], ["a", "pod/p", 1, "10s"], "of the core group"
                ),
            ])
    }

    func testJobs() throws {
        func job(_ spec: JSON, _ status: JSON, deleted: Bool = false) -> JSON {
            var job: JSON = ["spec": spec, "status": status]
            if deleted { job["metadata"] = ["deletionTimestamp": "2026-01-01T00:00:05Z"] }
            return job
        }
        func cells(_ state: JSON, _ completions: JSON, _ duration: JSON) -> [JSON] {
            ["a", state, completions, duration, "10s", "", "", "<none>"]
        }
        func condition(_ type: String) -> JSON { ["conditions": [["type": .string(type), "status": "True"]]] }
        try checkCells(
            "jobs.batch",
            [
                (
                    job(["completions": 3], ["succeeded": 1, "startTime": "2026-01-01T00:00:02Z"]),
                    cells("Running", "1/3", "8s"), "running"
                ),
                (job(["parallelism": 4], [:]), cells("Running", "0/1 of 4", ""), "a pool of workers"),
                (job(["parallelism": 1], ["succeeded": 1]), cells("Running", "1/1", ""), "no number of completions"),
                (
                    job(
                        ["completions": 1],
                        [
                            "succeeded": 1, "startTime": "2026-01-01T00:00:02Z",
                            "completionTime": "2026-01-01T00:00:06Z",
                            "conditions": [["type": "Complete", "status": "True"]],
                        ]), cells("Complete", "1/1", "4s"), "its duration stands still"
                ),
                (
                    job(["completions": 1], condition("Failed"), deleted: true), cells("Failed", "0/1", ""),
                    "failed goes before deleted"
                ),
                (
                    job(["completions": 1], condition("Suspended"), deleted: true), cells("Terminating", "0/1", ""),
                    "deleted goes before suspended"
                ),
                (job(["completions": 1], condition("Suspended")), cells("Suspended", "0/1", ""), "suspended"),
                (
                    job(["completions": 1], condition("FailureTarget")), cells("FailureTarget", "0/1", ""),
                    "about to fail"
                ),
                (
                    job(["completions": 1], condition("SuccessCriteriaMet")), cells("SuccessCriteriaMet", "0/1", ""),
                    "about to succeed"
                ),
            ])
        let template: JSON = ["spec": ["template": ["spec": ["containers": [["name": "c", "image": "i"]]]]]]
        try checkCells(
            "cronjobs.batch",
            [
                (
                    ["spec": ["schedule": "@daily", "suspend": false, "jobTemplate": template]],
                    ["a", "@daily", "<none>", "False", 0, "<none>", "10s", "c", "i", "<none>"], "never run"
                ),
                (
                    [
                        "spec": [
                            "schedule": "0 0 * * *", "timeZone": "Etc/UTC", "suspend": true, "jobTemplate": template,
                        ],
                        "status": ["active": [[:], [:]], "lastScheduleTime": "2026-01-01T00:00:04Z"],
                    ], ["a", "0 0 * * *", "Etc/UTC", "True", 2, "6s", "10s", "c", "i", "<none>"], "two at work"
                ),
            ])
    }
}

extension XCTestCase {
    /// Checks the cells of objects, which are named "a" and ten seconds old.
    func checkCells(
        _ resource: String, _ rows: [(object: JSON, cells: [JSON], reason: String)], line: UInt = #line
    ) throws {
        let now = try Timestamp(parsing: "2026-01-01T00:00:10Z")
        let layout = TableLayout.of(
            try XCTUnwrap(ResourceTable.ofSchema().all.first { $0.qualified == resource }, resource))
        for row in rows {
            var object = row.object
            object["metadata"]["name"] = "a"
            object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
            XCTAssertEqual(layout.cells(object, now), row.cells, row.reason, line: line)
        }
    }
}
