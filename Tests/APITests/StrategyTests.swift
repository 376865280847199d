import Objects
import XCTest

@testable import API

final class StrategyTests: XCTestCase {
    private let table = ResourceTable.ofSchema()

    private func resource(_ name: String) throws -> Resource { try XCTUnwrap(table.stored(name), name) }

    func testScopesOfUpdates() throws {
        let deployments = try resource("deployments.apps")
        let present: JSON = [
            "metadata": ["name": "a", "uid": "u", "generation": 3, "creationTimestamp": "t", "labels": ["x": "1"]],
            "spec": ["replicas": 1], "status": ["replicas": 1],
        ]
        var wanted: JSON = [
            "metadata": ["name": "a", "uid": "other", "labels": ["x": "2"]], "spec": ["replicas": 2],
            "status": ["replicas": 9],
        ]
        let asked = wanted
        Strategy.merge(&wanted, present, deployments, .main)
        XCTAssertEqual(wanted["status"], ["replicas": 1], "status is not the client's")
        XCTAssertEqual(wanted["spec"], ["replicas": 2])
        XCTAssertEqual(wanted.uid, "u")
        XCTAssertEqual(wanted.labels["x"], "2")
        Strategy.countGeneration(&wanted, present, deployments)
        XCTAssertEqual(wanted.generation, 4)
        var status = asked
        Strategy.merge(&status, present, deployments, .status)
        XCTAssertEqual(status["status"], ["replicas": 9])
        XCTAssertEqual(status["spec"], ["replicas": 1], "the spec is not the status writer's")
        XCTAssertEqual(status.labels["x"], "1")
        Strategy.countGeneration(&status, present, deployments)
        XCTAssertEqual(status.generation, 3)
    }

    func testStatusesOfPods() throws {
        let present: JSON = [
            "metadata": ["name": "a"],
            "status": [
                "qosClass": "Burstable", "observedGeneration": 4,
                "conditions": [["type": "Ready", "observedGeneration": 3], ["type": "Own"]],
            ],
        ]
        var written: JSON = [
            "metadata": ["name": "a"],
            "status": [
                "conditions": [["type": "Ready"], ["type": "Ready"], ["type": "Own", "observedGeneration": 5]]
            ],
        ]
        Strategy.merge(&written, present, try resource("pods"), .status)
        XCTAssertEqual(
            written["status"],
            [
                "qosClass": "Burstable", "observedGeneration": 4,
                "conditions": [
                    ["type": "Ready", "observedGeneration": 3], ["type": "Ready"],
                    ["type": "Own", "observedGeneration": 5],
                ],
            ])
    }

    func testSpreadingByTheOwnLabels() throws {
        var pod: JSON = [
            "metadata": ["name": "a", "labels": ["app": "x"]],
            "spec": [
                "topologySpreadConstraints": [
                    ["labelSelector": [:], "matchLabelKeys": ["app", "none"]], ["matchLabelKeys": ["app"]],
                ]
            ],
        ]
        Strategy.prepareForCreate(&pod, try resource("pods"))
        XCTAssertEqual(
            pod["spec"]["topologySpreadConstraints"],
            [
                [
                    "labelSelector": ["matchExpressions": [["key": "app", "operator": "In", "values": ["x"]]]],
                    "matchLabelKeys": ["app", "none"],
                ], ["matchLabelKeys": ["app"]],
            ])
    }

    func testMetadataByTheStatus() throws {
        let present: JSON = [
            "metadata": [
                "name": "a", "uid": "u", "labels": ["x": "1"], "annotations": ["k": "1"],
                "ownerReferences": [["uid": "o"]],
            ], "status": [:],
        ]
        let wanted: JSON = [
            "metadata": ["name": "a", "uid": "other", "labels": ["x": "2"], "annotations": ["k": "2"]],
            "status": ["a": 1],
        ]
        let rows: [(resource: String, labels: JSON, annotations: JSON, owners: Int, reason: String)] = [
            ("namespaces", "2", "2", 0, "as with most kinds"), ("jobs.batch", "2", "2", 0, "as with most kinds"),
            (CertificateRequest.resource, "2", "2", 0, "as with most kinds"), ("pods", "2", "2", 1, "owners stay"),
            ("deployments.apps", "1", "2", 0, "labels stay"),
            ("flowschemas.flowcontrol.apiserver.k8s.io", "1", "1", 1, "all stays"),
            ("servicecidrs.networking.k8s.io", "1", "1", 1, "all stays"),
            ("customresourcedefinitions.apiextensions.k8s.io", "2", "2", 0, "as with most kinds"),
        ]
        for row in rows {
            var object = wanted
            Strategy.merge(&object, present, try resource(row.resource), .status)
            XCTAssertEqual(object.labels["x"], row.labels, "\(row.resource): \(row.reason)")
            XCTAssertEqual(object.annotations["k"], row.annotations, "\(row.resource): \(row.reason)")
            XCTAssertEqual(object.metadata["ownerReferences"].count, row.owners, "\(row.resource): \(row.reason)")
            XCTAssertEqual(object.uid, "u", "what is the server's is never the client's")
            XCTAssertEqual(object["status"], ["a": 1])
        }
    }

    func testNewObjects() throws {
        var pod: JSON = [
            "metadata": ["name": "a"], "spec": ["containers": [["name": "c"]]], "status": ["phase": "Running"],
        ]
        Strategy.prepareForCreate(&pod, try resource("pods"))
        XCTAssertEqual(pod["status"], ["phase": "Pending", "qosClass": "BestEffort"])
        var secret: JSON = ["metadata": ["name": "a"], "data": ["x": "eA=="], "stringData": ["y": "z"]]
        Strategy.settle(&secret, try resource("secrets"))
        XCTAssertEqual(secret["data"], ["x": "eA==", "y": "eg=="])
        XCTAssertTrue(secret["stringData"].isNull)
        var job: JSON = ["metadata": ["name": "j", "uid": "u"], "spec": ["template": [:]]]
        Strategy.prepareForCreate(&job, try resource("jobs.batch"))
        XCTAssertEqual(job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], "u")
        XCTAssertEqual(job["spec"]["template"].labels["job-name"], "j")
        var chosen: JSON = [
            "metadata": ["name": "j", "uid": "u"],
            "spec": [
                "selector": ["matchLabels": ["a": "b"]],
                "template": ["metadata": ["labels": ["job-name": "other"]]],
            ],
        ]
        Strategy.prepareForCreate(&chosen, try resource("jobs.batch"))
        XCTAssertEqual(
            chosen["spec"]["selector"]["matchLabels"], ["a": "b", "batch.kubernetes.io/controller-uid": "u"])
        XCTAssertEqual(
            chosen["spec"]["template"].labels["job-name"], "other", "what does not fit is refused, not replaced")
    }

    func testWhatCountsAsAChange() throws {
        let before: JSON = ["metadata": ["name": "a", "generation": 1], "spec": [:], "webhooks": []]
        let annotated: JSON = ["metadata": ["name": "a", "annotations": ["k": "v"]], "spec": [:], "webhooks": []]
        let hooked: JSON = ["metadata": ["name": "a"], "spec": [:], "webhooks": [["name": "w"]]]
        let hooks = "validatingwebhookconfigurations.admissionregistration.k8s.io"
        let rows: [(resource: String, object: JSON, scope: Strategy.Scope, generation: Int64)] = [
            ("deployments.apps", annotated, .main, 2), ("deployments.apps", annotated, .status, 1),
            ("replicasets.apps", annotated, .main, 1), (hooks, hooked, .main, 2), (hooks, annotated, .main, 1),
            ("priorityclasses.scheduling.k8s.io", annotated, .main, 1),
        ]
        for row in rows {
            var object = row.object
            Strategy.countGeneration(&object, before, try resource(row.resource), row.scope)
            XCTAssertEqual(object.generation, row.generation, "\(row.resource) \(row.scope)")
        }
    }

    /// Labels that affinity is to have in common with the pod, or not, become part of its selectors.
    func testAffinityToTheSameLabels() throws {
        func selector(_ term: JSON) throws -> JSON {
            let affinity: JSON = [
                "podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [term]],
                "podAntiAffinity": [
                    "preferredDuringSchedulingIgnoredDuringExecution": [["weight": 1, "podAffinityTerm": term]]
                ],
            ]
            var pod: JSON = [
                "metadata": ["name": "a", "labels": ["hash": "1", "tenant": "t"]], "spec": ["affinity": affinity],
            ]
            Strategy.prepareForCreate(&pod, try resource("pods"))
            let after = pod["spec"]["affinity"]
            let hard = after["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
            let soft = after["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
            XCTAssertEqual(hard, soft)
            return hard["labelSelector"]
        }
        let plain: JSON = ["matchLabels": ["app": "x"]]
        XCTAssertEqual(try selector(["labelSelector": plain, "topologyKey": "zone"]), plain)
        XCTAssertEqual(try selector(["labelSelector": plain, "matchLabelKeys": ["none"]]), plain)
        XCTAssertEqual(
            try selector(["labelSelector": plain, "matchLabelKeys": ["hash"], "mismatchLabelKeys": ["tenant"]]),
            [
                "matchLabels": ["app": "x"],
                "matchExpressions": [
                    ["key": "hash", "operator": "In", "values": ["1"]],
                    ["key": "tenant", "operator": "NotIn", "values": ["t"]],
                ],
            ])
        XCTAssertTrue(try selector(["matchLabelKeys": ["hash"]]).isNull, "a term without a selector selects nothing")
    }

    func testCertificateRequestsSayWhoAsks() throws {
        var object: JSON = ["spec": ["username": "root", "groups": ["system:masters"], "signerName": "x/y"]]
        var user = UserInfo(name: "jane", groups: ["developers"])
        user.extra = ["scope": ["a"]]
        CertificateRequest.sign(&object, as: user)
        XCTAssertEqual(
            object["spec"],
            ["signerName": "x/y", "username": "jane", "groups": ["developers"], "extra": ["scope": ["a"]]])
    }

    func testApprovalChangesConditionsAlone() throws {
        let now = Timestamp(seconds: 1_790_000_000)
        let requests = try resource(CertificateRequest.resource)
        let present: JSON = [
            "metadata": ["name": "a"], "spec": ["signerName": "x/y"], "status": ["certificate": "eA=="],
        ]
        var wanted: JSON = ["metadata": ["name": "a"], "spec": ["signerName": "other"], "status": [:]]
        wanted["status"]["conditions"] = [["type": "Approved", "status": "True", "reason": "Fine"]]
        let approved = CertificateRequest.approved(present, as: wanted, now: now)
        XCTAssertEqual(approved["spec"], present["spec"])
        XCTAssertEqual(approved["status"]["certificate"], "eA==")
        let time = JSON.string(now.formatted())
        XCTAssertEqual(approved["status"]["conditions"][0]["lastUpdateTime"], time)
        XCTAssertEqual(approved["status"]["conditions"][0]["lastTransitionTime"], time)
        let later = CertificateRequest.approved(approved, as: wanted, now: now.adding(seconds: 5))
        XCTAssertEqual(later["status"]["conditions"][0]["lastTransitionTime"], time, "since then")
        Strategy.merge(&wanted, present, requests, .approval)
        XCTAssertEqual(wanted["spec"], present["spec"])
    }

    func testWhatAVerdictMayNot() {
        func request(_ types: String..., status: JSON = "True") -> JSON {
            ["status": ["conditions": .array(types.map { ["type": .string($0), "status": status] })]]
        }
        let rows: [(JSON, JSON, Bool, Int, String)] = [
            (request(), request("Approved"), true, 0, "approve"), (request(), request("Denied"), true, 0, "deny"),
            (request(), request("Approved"), false, 1, "approve through the status"),
            (request("Approved"), request("Approved", "Failed"), false, 0, "fail through the status"),
            (request("Approved"), request(), true, 1, "take it back"),
            (request("Approved"), request("Approved", "Denied"), true, 1, "both"),
            (request(), request("Approved", status: "False"), true, 1, "a verdict that does not hold"),
        ]
        for (before, object, isApproval, faults, reason) in rows {
            XCTAssertEqual(
                CertificateRequest.faults(in: object, from: before, isApproval: isApproval).count, faults, reason)
        }
    }

    func testQualityOfService() {
        func pod(_ resources: JSON...) -> JSON {
            ["containers": .array(resources.map { ["name": "c", "resources": $0] })]
        }
        let full: JSON = ["limits": ["cpu": "1", "memory": "1Gi"], "requests": ["cpu": "1000m", "memory": "1024Mi"]]
        let rows: [(JSON, String)] = [
            (pod([:]), "BestEffort"), (pod(full), "Guaranteed"), (pod(full, [:]), "Burstable"),
            (pod(["requests": ["cpu": "1"]]), "Burstable"),
            (pod(["limits": ["cpu": "1", "memory": "1Gi"]]), "Guaranteed"),
            (pod(["limits": ["cpu": "2", "memory": "1Gi"], "requests": ["cpu": "1"]]), "Burstable"),
        ]
        for (spec, expected) in rows { XCTAssertEqual(QualityOfService.of(spec), expected, spec.serializedString()) }
    }

    func testTolerations() {
        var spec: JSON = [
            "tolerations": [["key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"]]
        ]
        DefaultTolerationSeconds.addDefaults(&spec)
        XCTAssertEqual(spec["tolerations"].arrayValue.count, 2)
        DefaultTolerationSeconds.addDefaults(&spec)
        XCTAssertEqual(spec["tolerations"].arrayValue.count, 2, "twice is once")
        var all: JSON = ["tolerations": [["operator": "Exists"]]]
        DefaultTolerationSeconds.addDefaults(&all)
        XCTAssertEqual(all["tolerations"].arrayValue.count, 1, "all is tolerated already")
    }

    func testTokenMounts() {
        var spec: JSON = [
            "containers": [
                ["name": "a"],
                [
                    "name": "b",
                    "volumeMounts": [["name": "own", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"]],
                ],
            ]
        ]
        ServiceAccountAdmission.mountToken(&spec)
        XCTAssertEqual(spec["volumes"].arrayValue.count, 1)
        XCTAssertEqual(spec["containers"][0]["volumeMounts"][0]["readOnly"], true)
        XCTAssertEqual(spec["containers"][1]["volumeMounts"].arrayValue.count, 1, "what is mounted there stays")
        let before = spec
        ServiceAccountAdmission.mountToken(&spec)
        XCTAssertEqual(spec, before)
    }

    func testAddressRanges() throws {
        let range = try XCTUnwrap(AddressRange(parsing: "10.96.3.7/16"))
        XCTAssertEqual(range.first, "10.96.0.1")
        XCTAssertEqual(range.size, 65535)
        XCTAssertTrue(range.contains("10.96.255.254"))
        XCTAssertFalse(range.contains("10.96.0.0"))
        XCTAssertFalse(range.contains("10.96.255.255"), "broadcast")
        XCTAssertFalse(range.contains("10.97.0.1"))
        for text in ["", "10.96.0.0", "10.96.0.0/33", "x/8", "::/8"] { XCTAssertNil(AddressRange(parsing: text), text) }
    }

    func testConversionOfEventsAndAutoscalers() throws {
        let events = try XCTUnwrap(table.find(group: "events.k8s.io", version: "v1", resource: "events"))
        let event: JSON = [
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": ["name": "a"], "note": "n",
            "regarding": ["name": "p"], "reportingController": "c", "deprecatedCount": 2,
        ]
        let stored = Conversion.toStorage(event, events)
        XCTAssertEqual(stored["message"], "n")
        XCTAssertEqual(stored["involvedObject"]["name"], "p")
        XCTAssertEqual(stored.apiVersion, "v1")
        XCTAssertEqual(Conversion.fromStorage(stored, events), event)
        let v1 = try XCTUnwrap(table.find(group: "autoscaling", version: "v1", resource: "horizontalpodautoscalers"))
        let scaler: JSON = [
            "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "a"],
            "spec": ["maxReplicas": 3, "targetCPUUtilizationPercentage": 50], "status": [:],
        ]
        let inV2 = Conversion.toStorage(scaler, v1)
        XCTAssertEqual(inV2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50)
        var shown = scaler
        shown["status"] = ["currentReplicas": 0, "desiredReplicas": 0]
        XCTAssertEqual(Conversion.fromStorage(inV2, v1), shown)
    }
}
