import Objects
import XCTest

@testable import Quotas

final class QuotaEvaluatorTests: XCTestCase {
    private let now = Timestamp(seconds: 1_790_000_000)

    private func usage(_ resource: String, _ object: JSON) throws -> String {
        try XCTUnwrap(QuotaEvaluator(resource: resource)).usage(of: object, now: now).text
    }

    private func container(_ requests: JSON = [:], _ limits: JSON = [:], name: JSON = "a", sidecar: Bool = false)
        -> JSON
    {
        var container: JSON = ["name": name, "resources": ["requests": requests, "limits": limits]]
        if sidecar { container["restartPolicy"] = "Always" }
        return container
    }

    func testPods() throws {
        let table: [(JSON, String, String)] = [
            (["spec": ["containers": [["name": "a"]]]], "count/pods=1,pods=1", "asks for nothing"),
            (
                [
                    "spec": [
                        "containers": [
                            container(["cpu": "100m", "memory": "1Gi"], ["cpu": "1"]), container(["cpu": "1"]),
                        ]
                    ]
                ],
                "count/pods=1,cpu=1100m,limits.cpu=1,memory=1Gi,pods=1,requests.cpu=1100m,requests.memory=1Gi",
                "the sum over its containers"
            ),
            (
                ["spec": ["containers": [container(["cpu": "1"])], "initContainers": [container(["cpu": "3"])]]],
                "count/pods=1,cpu=3,pods=1,requests.cpu=3", "initialisation asks for more"
            ),
            (
                [
                    "spec": [
                        "containers": [container(["cpu": "1"])],
                        "initContainers": [container(["cpu": "2"], sidecar: true), container(["cpu": "2"])],
                    ]
                ],
                "count/pods=1,cpu=4,pods=1,requests.cpu=4", "beside a sidecar that runs on"
            ),
            (
                [
                    "spec": [
                        "containers": [container(["cpu": "1"], ["cpu": "2"])],
                        "overhead": ["cpu": "250m", "memory": "1Mi"],
                    ]
                ],
                "count/pods=1,cpu=1250m,limits.cpu=2250m,memory=1Mi,pods=1,requests.cpu=1250m,requests.memory=1Mi",
                "overhead comes on top, and limits nothing that has no limit"
            ),
            (
                ["spec": ["resources": ["requests": ["cpu": "5"]], "containers": [container(["cpu": "1"])]]],
                "count/pods=1,cpu=5,pods=1,requests.cpu=5", "amounts of the pod itself"
            ),
            (
                [
                    "spec": [
                        "containers": [
                            container(["nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"])
                        ]
                    ]
                ],
                "count/pods=1,ephemeral-storage=1Gi,hugepages-2Mi=4Mi,pods=1,requests.ephemeral-storage=1Gi,"
                    + "requests.hugepages-2Mi=4Mi,requests.nvidia.com/gpu=2", "devices and huge pages"
            ),
            (
                ["spec": ["containers": [container(["cpu": "1"])]], "status": ["phase": "Succeeded"]], "count/pods=1",
                "has ended"
            ),
            (
                [
                    "metadata": ["deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30],
                    "spec": ["containers": [container(["cpu": "1"])]],
                ],
                "count/pods=1", "should have gone long ago"
            ),
            (
                [
                    "metadata": [
                        "deletionTimestamp": .string(now.formatted()), "deletionGracePeriodSeconds": 30,
                    ], "spec": ["containers": [container(["cpu": "1"])]],
                ],
                "count/pods=1,cpu=1,pods=1,requests.cpu=1", "is going"
            ),
        ]
        for (pod, text, reason) in table { XCTAssertEqual(try usage("pods", pod), text, reason) }
    }

    func testOthers() throws {
        let ports: JSON = [["port": 80], ["port": 81, "nodePort": 30001]]
        let table: [(String, JSON, String, String)] = [
            (
                "services", ["spec": ["type": "ClusterIP", "ports": ports]],
                "count/services=1,services=1,services.loadbalancers=0,services.nodeports=0", "within the cluster"
            ),
            (
                "services", ["spec": ["type": "NodePort", "ports": ports]],
                "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2", "each port one"
            ),
            (
                "services", ["spec": ["type": "LoadBalancer", "ports": ports]],
                "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2", "with node ports"
            ),
            (
                "services",
                ["spec": ["type": "LoadBalancer", "ports": ports, "allocateLoadBalancerNodePorts": false]],
                "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1", "those that it has"
            ),
            (
                "persistentvolumeclaims",
                ["spec": ["storageClassName": "fast", "resources": ["requests": ["storage": "5Gi"]]]],
                "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1,"
                    + "fast.storageclass.storage.k8s.io/requests.storage=5Gi,persistentvolumeclaims=1,"
                    + "requests.storage=5Gi", "by class too"
            ),
            (
                "persistentvolumeclaims",
                [
                    "spec": ["resources": ["requests": ["storage": "5Gi"]]],
                    "status": ["allocatedResources": ["storage": "8Gi"]],
                ],
                "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=8Gi",
                "what has been allocated already"
            ),
            ("secrets", [:], "count/secrets=1,secrets=1", "has a plain name too"),
            ("deployments.apps", [:], "count/deployments.apps=1", "by number alone"),
        ]
        for (resource, object, text, reason) in table { XCTAssertEqual(try usage(resource, object), text, reason) }
        XCTAssertNil(QuotaEvaluator(resource: "events"), "events are never counted")
        XCTAssertNil(QuotaEvaluator(resource: "events.events.k8s.io"), "in no group")
    }

    func testWhichNamesMatch() throws {
        let names = [
            "count/pods", "pods", "cpu", "requests.storage", "requests.nvidia.com/gpu", "hugepages-2Mi",
            "fast.storageclass.storage.k8s.io/requests.storage", "services.nodeports", "secrets", "count/jobs.batch",
        ]
        let table: [(String, [String], String)] = [
            ("pods", ["count/pods", "pods", "cpu", "requests.nvidia.com/gpu", "hugepages-2Mi"], "compute"),
            (
                "persistentvolumeclaims",
                ["requests.storage", "fast.storageclass.storage.k8s.io/requests.storage"], "storage"
            ),
            ("services", ["services.nodeports"], "services"), ("secrets", ["secrets"], "a plain name"),
            ("jobs.batch", ["count/jobs.batch"], "by number"), ("deployments.apps", [], "none"),
        ]
        for (resource, expected, reason) in table {
            XCTAssertEqual(QuotaEvaluator(resource: resource)?.matching(names), expected, reason)
        }
    }

    func testScopes() {
        let plain: JSON = ["spec": ["containers": [["name": "a"]]]]
        var deadline = plain
        deadline["spec"]["activeDeadlineSeconds"] = 0
        var classed = plain
        classed["spec"]["priorityClassName"] = "high"
        var asking = plain
        asking["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "1"
        var near = plain
        near["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = [
            ["namespaces": ["other"]]
        ]
        let table: [(QuotaScope, JSON, Bool, String)] = [
            (.init(name: "Terminating", operator: "Exists", values: []), deadline, true, "a deadline, even 0"),
            (.init(name: "Terminating", operator: "Exists", values: []), plain, false, "none"),
            (.init(name: "NotTerminating", operator: "Exists", values: []), plain, true, "none"),
            (.init(name: "BestEffort", operator: "Exists", values: []), plain, true, "asks for nothing"),
            (.init(name: "BestEffort", operator: "Exists", values: []), asking, false, "is limited"),
            (.init(name: "NotBestEffort", operator: "Exists", values: []), asking, true, "is limited"),
            (.init(name: "PriorityClass", operator: "Exists", values: []), classed, true, "any class"),
            (.init(name: "PriorityClass", operator: "Exists", values: []), plain, false, "no class"),
            (.init(name: "PriorityClass", operator: "In", values: ["high"]), classed, true, "this class"),
            (.init(name: "PriorityClass", operator: "In", values: ["low"]), classed, false, "another class"),
            (.init(name: "PriorityClass", operator: "NotIn", values: ["high"]), plain, true, "not this class"),
            (.init(name: "PriorityClass", operator: "DoesNotExist", values: []), plain, true, "without a class"),
            (.init(name: "CrossNamespacePodAffinity", operator: "Exists", values: []), near, true, "names another one"),
            (.init(name: "CrossNamespacePodAffinity", operator: "Exists", values: []), plain, false, "has none"),
            (.init(name: "Unheard", operator: "Exists", values: []), plain, false, "unknown scopes match nothing"),
        ]
        for (scope, pod, matches, reason) in table {
            XCTAssertEqual(scope.matches(pod), matches, "\(scope.name): \(reason)")
        }
    }

    func testScopesOfClaims() throws {
        let plain: JSON = ["spec": ["storageClassName": "x"]]
        var gold = plain
        gold["spec"]["volumeAttributesClassName"] = "gold"
        var changing = gold
        changing["spec"]["volumeAttributesClassName"] = "silver"
        changing["status"]["currentVolumeAttributesClassName"] = "gold"
        var target = plain
        target["status"]["modifyVolumeStatus"]["targetVolumeAttributesClassName"] = "gold"
        func scope(_ relation: String, _ values: [String] = []) -> QuotaScope {
            .init(name: "VolumeAttributesClass", operator: relation, values: values)
        }
        let table: [([QuotaScope], JSON, Bool, String)] = [
            ([], gold, true, "no scope"), ([scope("In", ["gold"])], gold, true, "wants it"),
            ([scope("In", ["gold"])], changing, true, "still has it"),
            ([scope("In", ["silver"])], changing, true, "wants the other one"),
            ([scope("In", ["gold"])], target, true, "is being changed to it"),
            ([scope("In", ["gold"])], plain, false, "has none"), ([scope("NotIn", ["gold"])], plain, true, "has none"),
            ([scope("Exists")], gold, true, "has one"), ([scope("DoesNotExist")], gold, false, "has one"),
            ([scope("Exists"), .init(name: "BestEffort", operator: "Exists", values: [])], gold, false, "about pods"),
        ]
        let evaluator = try XCTUnwrap(QuotaEvaluator(resource: "persistentvolumeclaims"))
        for (scopes, claim, isMeant, reason) in table {
            XCTAssertEqual(evaluator.isInScope(scopes, claim), isMeant, reason)
        }
        let pods = try XCTUnwrap(QuotaEvaluator(resource: "pods"))
        XCTAssertFalse(pods.isInScope([scope("DoesNotExist")], ["spec": [:]]), "pods have no such class")
    }

    func testCharges() throws {
        func quota(_ name: JSON = "q", hard: JSON, used: JSON, scopes: JSON = .null) -> JSON {
            var quota: JSON = ["metadata": ["name": name], "spec": [:], "status": ["hard": hard, "used": used]]
            if scopes.exists { quota["spec"]["scopes"] = scopes }
            return quota
        }
        let pod: JSON = ["spec": ["containers": [container(["cpu": "500m"], name: "web")]]]
        let bare: JSON = ["spec": ["containers": [["name": "web"], ["name": "log"]]]]
        let table: [(JSON, [JSON], String, String)] = [
            (pod, [], "[:]", "no quota"),
            (pod, [quota(hard: ["secrets": "1"], used: ["secrets": "1"])], "[:]", "of other things"),
            (
                pod, [quota(hard: ["pods": "2", "cpu": "1"], used: ["pods": "1", "cpu": "500m"])], "0: cpu=1,pods=2",
                "just fits"
            ),
            (
                pod, [quota(hard: ["pods": "2", "cpu": "900m"], used: ["pods": "1", "cpu": "500m"])],
                "exceeded quota: q, requested: cpu=500m, used: cpu=500m, limited: cpu=900m",
                "only what is exceeded shows"
            ),
            (
                pod, [quota(hard: ["pods": "1", "requests.cpu": "0"], used: ["pods": "1", "requests.cpu": "0"])],
                "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=1,requests.cpu=0, "
                    + "limited: pods=1,requests.cpu=0", "all that is exceeded"
            ),
            (
                bare, [quota(hard: ["limits.cpu": "1", "cpu": "1"], used: ["limits.cpu": "0", "cpu": "0"])],
                "failed quota: q: must specify cpu for: log,web; limits.cpu for: log,web",
                "what is limited must be said by every container"
            ),
            (
                pod, [quota(hard: ["pods": "2"], used: [:])], "status unknown for quota: q, resources: pods",
                "its controller has not counted yet"
            ),
            (
                pod, [quota(hard: ["pods": "0"], used: ["pods": "0"], scopes: ["BestEffort"])], "[:]",
                "about other pods"
            ),
            (
                pod,
                [
                    quota(hard: ["pods": "9"], used: ["pods": "1"]),
                    quota("r", hard: ["count/pods": "1"], used: ["count/pods": "1"]),
                ], "exceeded quota: r, requested: count/pods=1, used: count/pods=1, limited: count/pods=1",
                "every quota counts"
            ),
        ]
        let evaluator = try XCTUnwrap(QuotaEvaluator(resource: "pods"))
        for (object, quotas, expected, reason) in table {
            var text: String
            do {
                let used = try QuotaCharge(evaluator, object: object, replacing: .null, now: now).used(quotas)
                text = used.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.text)" }.joined(separator: "; ")
                if text.isEmpty { text = "[:]" }
            } catch {
                text = error.message
            }
            XCTAssertEqual(text, expected, reason)
        }
    }

    func testChangesAreChargedForWhatIsMore() throws {
        let evaluator = try XCTUnwrap(QuotaEvaluator(resource: "persistentvolumeclaims"))
        func claim(_ size: JSON) -> JSON { ["spec": ["resources": ["requests": ["storage": size]]]] }
        let quota: JSON = [
            "metadata": ["name": "q"],
            "status": [
                "hard": ["requests.storage": "10Gi", "persistentvolumeclaims": "1"],
                "used": ["requests.storage": "5Gi", "persistentvolumeclaims": "1"],
            ],
        ]
        let grown = try QuotaCharge(evaluator, object: claim("8Gi"), replacing: claim("5Gi"), now: now).used([quota])
        XCTAssertEqual(grown[0]?["requests.storage"]?.description, "8Gi")
        XCTAssertEqual(
            try QuotaCharge(evaluator, object: claim("4Gi"), replacing: claim("5Gi"), now: now).used([quota]), [:],
            "less is the controller's to find")
        XCTAssertThrowsError(
            try QuotaCharge(evaluator, object: claim("11Gi"), replacing: claim("5Gi"), now: now).used([quota])
        ) {
            XCTAssertEqual(
                ($0 as? QuotaCharge.Refusal)?.message,
                "exceeded quota: q, requested: requests.storage=6Gi, used: requests.storage=5Gi, limited: requests.storage=10Gi"
            )
        }
    }

    func testDeviceClaims() throws {
        func claim(_ requests: JSON) -> JSON { ["spec": ["devices": ["requests": requests]]] }
        func exactly(_ deviceClass: JSON, _ count: JSON) -> JSON {
            ["exactly": ["deviceClassName": deviceClass, "allocationMode": "ExactCount", "count": count]]
        }
        let all: JSON = ["exactly": ["deviceClassName": "gpu", "allocationMode": "All"]]
        let first: JSON = [
            "firstAvailable": [
                ["deviceClassName": "gpu", "count": 2], ["deviceClassName": "gpu", "count": 3],
                ["deviceClassName": "nic", "count": 1],
            ]
        ]
        let table: [(JSON, String, String)] = [
            (claim([]), "count/resourceclaims.resource.k8s.io=1", "of nothing"),
            (
                claim([exactly("gpu", 1), exactly("gpu", 4)]),
                "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=5", "the sum"
            ),
            (
                claim([all]), "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=32",
                "as many as a claim may get"
            ),
            (
                claim([first, exactly("gpu", 1)]),
                "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=4,"
                    + "nic.deviceclass.resource.k8s.io/devices=1",
                "the largest of the alternatives, by class"
            ),
        ]
        for (object, expected, reason) in table {
            XCTAssertEqual(try usage("resourceclaims.resource.k8s.io", object), expected, reason)
        }
        let quota: JSON = ["spec": ["hard": ["gpu.deviceclass.resource.k8s.io/devices": "1"]]]
        XCTAssertEqual(QuotaStatus(of: quota).resources, ["resourceclaims.resource.k8s.io"])
    }
}
