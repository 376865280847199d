import FieldManagement
import ObjectSchema
import Objects
import XCTest

/// Applies and updates a Deployment as several managers, and reads who owns what.
private struct Cluster {
    var live: JSON?
    var managed = ManagedFields()
    var clock = 0
    let manager: FieldManager

    init(
        apiVersion: String = "apps/v1", kind: String = "Deployment", reset: FieldSet = FieldSet([[.field("status")]])
    ) {
        manager = FieldManager(
            apiVersion: apiVersion, schema: Schema.shared.kind(GroupVersionKind(apiVersion: apiVersion, kind: kind)),
            reset: reset,
            convert: { object, version in version == apiVersion ? (object, nil) : nil })
    }

    private mutating func now() -> String {
        clock += 1
        return "2030-01-01T00:00:\(clock < 10 ? "0" : "")\(clock)Z"
    }

    mutating func apply(_ config: JSON, as name: String, force: Bool = false) throws {
        let outcome = try manager.apply(config, to: live, managed, manager: name, force: force, time: now())
        live = outcome.object
        managed = outcome.managed
    }

    mutating func update(as name: String, _ change: (inout JSON) -> Void) {
        var object = live ?? [:]
        change(&object)
        managed = manager.update(from: live, to: object, managed, manager: name, time: now())
        live = object
    }

    func fields(of name: String, _ operation: FieldManagerIdentity.Operation = .apply) -> JSON {
        let version = operation == .apply ? "" : manager.apiVersion
        let identity = FieldManagerIdentity(name: name, operation: operation, apiVersion: version)
        return managed.managers[identity]?.fields.fieldsV1 ?? .null
    }
}

final class FieldManagerTests: XCTestCase {
    private func deployment(_ spec: JSON, labels: JSON = .null) -> JSON {
        var object: JSON = ["apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"], "spec": spec]
        if labels.exists { object.labels = labels }
        return object
    }

    private func withContainers(_ containers: [JSON]) -> JSON {
        deployment(["template": ["spec": ["containers": .array(containers)]]])
    }

    private func names(_ object: JSON?) -> [String] {
        (object?["spec"]["template"]["spec"]["containers"].arrayValue ?? []).map(\.name0)
    }

    // MARK: Ownership

    func testApplyOwnsWhatItGives() throws {
        var cluster = Cluster()
        try cluster.apply(
            deployment(
                [
                    "replicas": 3,
                    "template": [
                        "spec": ["containers": [["name": "web", "image": "a", "ports": [["containerPort": 80]]]]]
                    ],
                ], labels: ["app": "web"]), as: "me")
        XCTAssertEqual(
            cluster.fields(of: "me"),
            [
                "f:metadata": ["f:labels": ["f:app": [:]]],
                "f:spec": [
                    "f:replicas": [:],
                    "f:template": [
                        "f:spec": [
                            "f:containers": [
                                "k:{\"name\":\"web\"}": [
                                    ".": [:], "f:image": [:], "f:name": [:],
                                    "f:ports": [
                                        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": [
                                            ".": [:], "f:containerPort": [:],
                                        ]
                                    ],
                                ]
                            ]
                        ]
                    ],
                ],
            ])
    }

    func testCreationOwnsWhatIsNotInEveryObject() {
        var cluster = Cluster()
        cluster.update(as: "kubectl-create") {
            $0 = self.deployment(
                [
                    "replicas": 1, "strategy": ["type": "RollingUpdate", "rollingUpdate": ["maxSurge": 1]],
                    "selector": ["matchLabels": ["app": "web"]],
                    "template": [
                        "metadata": ["labels": ["app": "web"]],
                        "spec": ["containers": [["name": "web", "image": "a"]]],
                    ],
                ], labels: ["app": "web"])
        }
        XCTAssertEqual(
            cluster.fields(of: "kubectl-create", .update),
            [
                "f:metadata": ["f:labels": [".": [:], "f:app": [:]]],
                "f:spec": [
                    "f:replicas": [:], "f:selector": [:],
                    "f:strategy": ["f:rollingUpdate": [".": [:], "f:maxSurge": [:]], "f:type": [:]],
                    "f:template": [
                        "f:metadata": ["f:labels": [".": [:], "f:app": [:]]],
                        "f:spec": [
                            "f:containers": ["k:{\"name\":\"web\"}": [".": [:], "f:image": [:], "f:name": [:]]]
                        ],
                    ],
                ],
            ])
    }

    func testUpdateTakesFieldsFromOthers() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3, "paused": true]), as: "me")
        cluster.update(as: "scaler") { $0["spec"]["replicas"] = 5 }
        XCTAssertEqual(cluster.fields(of: "me"), ["f:spec": ["f:paused": [:]]])
        XCTAssertEqual(cluster.fields(of: "scaler", .update), ["f:spec": ["f:replicas": [:]]])
    }

    func testUpdateThatRemovesLeavesNoOwner() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3, "paused": true]), as: "me")
        cluster.update(as: "other") { $0["spec"].removeValue(forKey: "paused") }
        XCTAssertEqual(cluster.fields(of: "me"), ["f:spec": ["f:replicas": [:]]])
        XCTAssertEqual(cluster.fields(of: "other", .update), .null)
    }

    func testUpdateWithoutAChangeChangesNoManager() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3]), as: "me")
        let before = cluster.managed
        cluster.update(as: "other") { _ in }
        XCTAssertEqual(cluster.managed, before)
    }

    func testObjectsThatNobodyManagesStaySo() {
        var cluster = Cluster()
        cluster.live = deployment(["replicas": 1])
        cluster.update(as: "other") { $0["spec"]["replicas"] = 2 }
        XCTAssertTrue(cluster.managed.isEmpty)
    }

    func testManagersOfUpdatesAreLimited() throws {
        var cluster = Cluster()
        for number in 0..<15 {
            cluster.update(as: "m\(number)") {
                $0 = $0.isNull || $0.objectValue?.isEmpty == true ? self.deployment([:]) : $0
                $0.labels["l\(number)"] = "x"
            }
        }
        XCTAssertEqual(cluster.managed.managers.count, 10)
        let bucket = cluster.fields(of: "ancient-changes", .update)
        XCTAssertEqual(bucket["f:metadata"]["f:labels"]["f:l0"], [:])
        XCTAssertEqual(cluster.fields(of: "m14", .update)["f:metadata"]["f:labels"]["f:l14"], [:])
    }

    // MARK: Conflicts

    func testConflictNamesManagerAndField() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3]), as: "me")
        XCTAssertThrowsError(try cluster.apply(deployment(["replicas": 4]), as: "you")) {
            let conflicts = $0 as? FieldConflicts
            XCTAssertEqual(
                conflicts?.message, "Apply failed with 1 conflict: conflict with \"me\": .spec.replicas")
            XCTAssertEqual(conflicts?.conflicts.first?.field, ".spec.replicas")
        }
        XCTAssertEqual(cluster.live?["spec"]["replicas"], 3, "nothing has changed")
    }

    func testConflictsWithSeveralManagers() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3]), as: "me")
        cluster.update(as: "editor") { $0["spec"]["paused"] = true }
        XCTAssertThrowsError(try cluster.apply(deployment(["replicas": 4, "paused": false]), as: "you")) {
            XCTAssertEqual(
                ($0 as? FieldConflicts)?.message,
                """
                Apply failed with 2 conflicts: conflicts with "editor" using apps/v1 at 2030-01-01T00:00:02Z:
                - .spec.paused
                conflicts with "me":
                - .spec.replicas
                """)
        }
    }

    func testSameValueIsShared() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3]), as: "me")
        try cluster.apply(deployment(["replicas": 3]), as: "you")
        XCTAssertEqual(cluster.fields(of: "me"), cluster.fields(of: "you"))
    }

    func testForceTakesOver() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3, "paused": true]), as: "me")
        try cluster.apply(deployment(["replicas": 4]), as: "you", force: true)
        XCTAssertEqual(cluster.live?["spec"]["replicas"], 4)
        XCTAssertEqual(cluster.fields(of: "me"), ["f:spec": ["f:paused": [:]]])
        XCTAssertEqual(cluster.fields(of: "you"), ["f:spec": ["f:replicas": [:]]])
    }

    // MARK: Removal

    func testWhatIsNoLongerAppliedGoes() throws {
        let rows: [(reason: String, first: JSON, second: JSON, wanted: JSON)] = [
            ("a field", ["replicas": 3, "paused": true], ["replicas": 3], ["replicas": 3]),
            (
                "all of an object", ["replicas": 3, "strategy": ["type": "Recreate"]], ["replicas": 3],
                ["replicas": 3]
            ),
            (
                "an element", ["template": ["spec": ["containers": [["name": "a"], ["name": "b"]]]]],
                ["template": ["spec": ["containers": [["name": "b"]]]]],
                ["template": ["spec": ["containers": [["name": "b"]]]]]
            ),
            (
                "one of two protocols",
                [
                    "template": [
                        "spec": [
                            "containers": [
                                [
                                    "name": "a",
                                    "ports": [["containerPort": 53, "protocol": "UDP"], ["containerPort": 53]],
                                ]
                            ]
                        ]
                    ]
                ],
                [
                    "template": [
                        "spec": ["containers": [["name": "a", "ports": [["containerPort": 53, "protocol": "UDP"]]]]]
                    ]
                ],
                [
                    "template": [
                        "spec": ["containers": [["name": "a", "ports": [["containerPort": 53, "protocol": "UDP"]]]]]
                    ]
                ]
            ),
        ]
        for row in rows {
            var cluster = Cluster()
            try cluster.apply(deployment(row.first), as: "me")
            try cluster.apply(deployment(row.second), as: "me")
            XCTAssertEqual(cluster.live?["spec"], row.wanted, row.reason)
        }
    }

    func testWhatOthersOwnStays() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3, "paused": true], labels: ["a": "1", "b": "1"]), as: "me")
        try cluster.apply(deployment(["replicas": 3], labels: ["b": "1"]), as: "you")
        try cluster.apply(deployment([:]), as: "me")
        XCTAssertEqual(cluster.live?["spec"], ["replicas": 3])
        XCTAssertEqual(cluster.live?.labels, ["b": "1"])
        XCTAssertEqual(cluster.live?.name, "web", "what identifies the object is not taken away")
    }

    func testDefaultsOfARemovedElementGoWithIt() throws {
        var cluster = Cluster()
        try cluster.apply(withContainers([["name": "a", "image": "x"], ["name": "b", "image": "y"]]), as: "me")
        // As the server's defaults come, which nobody owns.
        var object = cluster.live ?? [:]
        object["spec"]["template"]["spec"]["containers"].updateElements { _, container in
            container["imagePullPolicy"] = "Always"
        }
        cluster.live = object
        try cluster.apply(withContainers([["name": "a", "image": "x"]]), as: "me")
        XCTAssertEqual(names(cluster.live), ["a"])
        XCTAssertEqual(
            cluster.live?["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always",
            "the default of what stays, stays")
    }

    func testElementsOfASet() throws {
        var cluster = Cluster()
        func config(_ finalizers: JSON) -> JSON {
            var object = deployment([:])
            object["metadata"]["finalizers"] = finalizers
            return object
        }
        try cluster.apply(config(["a.b/c", "a.b/d"]), as: "me")
        try cluster.apply(config(["a.b/e"]), as: "you")
        try cluster.apply(config(["a.b/d"]), as: "me")
        XCTAssertEqual(cluster.live?.metadata["finalizers"], ["a.b/d", "a.b/e"])
    }

    // MARK: Merging

    func testOrderOfMergedElements() throws {
        let rows: [(live: [String], config: [String], wanted: [String])] = [
            (["a", "b", "c"], ["d"], ["a", "b", "c", "d"]),
            (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
            (["a", "b"], ["a", "x", "b"], ["a", "x", "b"]),
            (["a", "z", "b"], ["x", "a", "b"], ["x", "a", "z", "b"]),
            ([], ["a", "b"], ["a", "b"]),
        ]
        for row in rows {
            var cluster = Cluster()
            if !row.live.isEmpty {
                try cluster.apply(withContainers(row.live.map { ["name": .string($0)] }), as: "other")
            }
            try cluster.apply(withContainers(row.config.map { ["name": .string($0)] }), as: "me")
            XCTAssertEqual(names(cluster.live), row.wanted, "\(row.config) over \(row.live)")
        }
    }

    /// Keys that an element leaves out and that have no defaults are not among those that tell it from others.
    func testElementsThatOmitSomeOfTheirKeys() throws {
        func config(_ device: JSON) -> JSON {
            [
                "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": ["name": "c"],
                "status": ["devices": [device]],
            ]
        }
        var cluster = Cluster(apiVersion: "resource.k8s.io/v1", kind: "ResourceClaim", reset: FieldSet())
        let keys: JSON = ["driver": "d", "pool": "p", "device": "x"]
        var (whole, shared, ready) = (keys, keys, keys)
        whole["data"] = ["a": 1]
        shared["shareID"] = "s"
        ready["data"] = ["a": 2]
        try cluster.apply(config(whole), as: "me")
        try cluster.apply(config(shared), as: "you")
        try cluster.apply(config(ready), as: "me")
        XCTAssertEqual(cluster.live?["status"]["devices"], [ready, shared])
        XCTAssertThrowsError(try cluster.apply(config(whole), as: "other"))
    }

    func testAtomicListsAreReplaced() throws {
        var cluster = Cluster()
        try cluster.apply(withContainers([["name": "a", "args": ["1", "2"]]]), as: "me")
        try cluster.apply(withContainers([["name": "a", "args": ["3"]]]), as: "me")
        XCTAssertEqual(cluster.live?["spec"]["template"]["spec"]["containers"][0]["args"], ["3"])
    }

    func testStatusOfAnApplyToTheObjectIsIgnored() throws {
        var cluster = Cluster()
        var config = deployment(["replicas": 1])
        config["status"]["replicas"] = 7
        try cluster.apply(config, as: "me")
        XCTAssertEqual(cluster.live?["status"], ["replicas": 7], "of a new object its kind decides about it")
        XCTAssertEqual(cluster.fields(of: "me"), ["f:spec": ["f:replicas": [:]]])
        config["status"]["replicas"] = 8
        try cluster.apply(config, as: "me")
        XCTAssertEqual(cluster.live?["status"], ["replicas": 7])
        XCTAssertEqual(cluster.fields(of: "me"), ["f:spec": ["f:replicas": [:]]])
    }

    // MARK: What cannot be applied

    func testConfigurationsOutsideOfTheTypeAreRefused() {
        let rows: [(config: JSON, message: String)] = [
            (deployment(["replica": 3]), ".spec.replica: field not declared in schema"),
            (
                withContainers([["name": "a"], ["name": "a"]]),
                ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]"
            ), (deployment(["replicas": "two"]), ".spec.replicas: expected numeric (int or float), got string"),
            (deployment(["paused": 1]), ".spec.paused: expected boolean, got integer"),
            (deployment(["selector": "app=web"]), ".spec.selector: expected map, got string"),
            (
                withContainers([["name": 1]]),
                ".spec.template.spec.containers[name=1].name: expected string, got integer"
            ),
            (
                withContainers([["name": "a", "args": "x"]]),
                ".spec.template.spec.containers[name=\"a\"].args: expected list, got string"
            ),
            (
                withContainers(["x"]),
                ".spec.template.spec.containers: element 0: associative list with keys may not contain string"
            ),
        ]
        for row in rows {
            var cluster = Cluster()
            XCTAssertThrowsError(try cluster.apply(row.config, as: "me")) { XCTAssertEqual("\($0)", row.message) }
        }
    }

    // MARK: From client-side apply

    func testFirstApplyAdoptsTheObject() throws {
        var cluster = Cluster()
        cluster.live = deployment(["replicas": 1])
        try cluster.apply(deployment(["paused": true]), as: "me")
        XCTAssertEqual(cluster.fields(of: "before-first-apply", .update), ["f:spec": ["f:replicas": [:]]])
        XCTAssertThrowsError(try cluster.apply(deployment(["paused": true, "replicas": 2]), as: "me"))
    }

    func testKubectlTakesOverWhatItAppliedByTheClient() throws {
        var cluster = Cluster()
        var object = deployment(["replicas": 1, "paused": true])
        object.annotations[LastApplied.annotation] = .string(deployment(["replicas": 1]).serializedString())
        let created = object
        cluster.update(as: "kubectl-client-side-apply") { $0 = created }
        try cluster.apply(deployment(["replicas": 2]), as: "kubectl")
        XCTAssertEqual(cluster.live?["spec"]["replicas"], 2)
        XCTAssertThrowsError(try cluster.apply(deployment(["replicas": 2, "paused": false]), as: "kubectl")) {
            XCTAssertEqual(($0 as? FieldConflicts)?.conflicts.map(\.field), [".spec.paused"])
        }
        // What is not as kubectl left it is another's.
        cluster.update(as: "scaler") { $0["spec"]["replicas"] = 9 }
        XCTAssertThrowsError(try cluster.apply(deployment(["replicas": 3]), as: "kubectl")) {
            XCTAssertEqual(($0 as? FieldConflicts)?.conflicts.map(\.field), [".spec.replicas"])
        }
    }

    // MARK: The form in objects

    func testManagedFieldsRoundTrip() throws {
        var cluster = Cluster()
        try cluster.apply(deployment(["replicas": 3]), as: "me")
        cluster.update(as: "editor") { $0["spec"]["paused"] = true }
        let encoded = cluster.managed.encoded
        XCTAssertEqual(encoded[0]["manager"], "me")
        XCTAssertEqual(encoded[0]["operation"], "Apply")
        XCTAssertEqual(encoded[1]["fieldsV1"], ["f:spec": ["f:paused": [:]]])
        XCTAssertEqual(try ManagedFields(decoding: encoded), cluster.managed)
    }

    func testManagedFieldsThatAreNoneAreRefused() {
        let rows: [(entry: JSON, message: String)] = [
            (["manager": "m", "operation": "Patch"], "operation must be Apply or Update, not \"Patch\""),
            (["manager": "m", "operation": "Apply"], "apiVersion must not be empty"),
            (
                ["manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV2", "fieldsV1": [:]],
                "fieldsType must be FieldsV1, not \"FieldsV2\""
            ),
        ]
        for row in rows {
            XCTAssertThrowsError(try ManagedFields(decoding: [row.entry])) { XCTAssertEqual("\($0)", row.message) }
        }
    }
}

extension JSON {
    fileprivate var name0: String { self["name"].stringValue ?? "" }
}
