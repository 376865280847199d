import Objects
import XCTest

@testable import API

final class DeletionTests: XCTestCase {
    private let pods = Resource(
        group: "", version: "v1", kind: "Pod", plural: "pods", singular: "pod", isNamespaced: true, verbs: ["get"],
        hasGeneration: true)
    private let maps = Resource(
        group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", singular: "configmap", isNamespaced: true,
        verbs: ["get"])
    private let namespaces = Resource(
        group: "", version: "v1", kind: "Namespace", plural: "namespaces", singular: "namespace", isNamespaced: false,
        verbs: ["get"])

    private func pod(node: String = "n", phase: String = "Running", grace: JSON = 30, deleting: Int64? = nil) -> JSON {
        var pod: JSON = [
            "metadata": ["name": "a", "namespace": "b"], "spec": ["terminationGracePeriodSeconds": grace],
            "status": ["phase": .string(phase)],
        ]
        if !node.isEmpty { pod["spec"]["nodeName"] = .string(node) }
        if let deleting {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            pod["metadata"]["deletionGracePeriodSeconds"] = .integer(deleting)
        }
        return pod
    }

    private func options(grace: Int64? = nil, propagation: String? = nil) -> DeleteOptions {
        var options = DeleteOptions()
        options.gracePeriodSeconds = grace
        options.propagation = propagation
        return options
    }

    private func outcome(_ object: JSON, _ options: DeleteOptions, _ resource: Resource) -> String {
        switch Deletion.plan(object, options, resource) {
        case .pending: "pending"
        case .remove: "remove"
        case .write(let object):
            "write \(object.metadata["deletionGracePeriodSeconds"].integerValue ?? -1) \(object.finalizers)"
        }
    }

    func testPods() {
        let rows: [(JSON, DeleteOptions, String, String)] = [
            (pod(), options(), "write 30 []", "the pod's own grace"),
            (pod(), options(grace: 5), "write 5 []", "the client's"),
            (pod(), options(grace: 0), "remove", "at once"),
            (pod(), options(grace: -3), "write 1 []", "negative is one second"),
            (pod(node: ""), options(), "remove", "not scheduled"),
            (pod(phase: "Succeeded"), options(), "remove", "has ended"),
            (pod(deleting: 30), options(), "pending", "again"),
            (pod(deleting: 30), options(grace: 60), "pending", "not longer"),
            (pod(deleting: 30), options(grace: 2), "write 2 []", "shorter"),
            (pod(deleting: 30), options(grace: 0), "remove", "now"),
            (pod(), options(propagation: "Foreground"), #"write 30 ["foregroundDeletion"]"#, "waits for dependents"),
        ]
        for (object, options, expected, reason) in rows {
            XCTAssertEqual(outcome(object, options, pods), expected, reason)
        }
    }

    func testFinalizers() {
        let plain: JSON = ["metadata": ["name": "a"]]
        let held: JSON = ["metadata": ["name": "a", "finalizers": ["example.com/x"]]]
        let rows: [(JSON, DeleteOptions, String, String)] = [
            (plain, options(), "remove", "nothing holds it"), (held, options(), #"write 0 ["example.com/x"]"#, "held"),
            (plain, options(propagation: "Orphan"), #"write 0 ["orphan"]"#, "dependents are let go first"),
            (plain, options(propagation: "Foreground"), #"write 0 ["foregroundDeletion"]"#, "dependents end first"),
            (plain, options(propagation: "Background"), "remove", "dependents end later"),
        ]
        for (object, options, expected, reason) in rows {
            XCTAssertEqual(outcome(object, options, maps), expected, reason)
        }
        var pending = held
        pending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        pending["metadata"]["deletionGracePeriodSeconds"] = 0
        XCTAssertEqual(outcome(pending, options(), maps), "pending")
    }

    /// Jobs and ReplicationControllers have always left their pods behind where nobody says otherwise.
    func testDefaultPropagation() {
        func resource(_ group: String, _ plural: String) -> Resource {
            Resource(
                group: group, version: "v1", kind: "X", plural: plural, singular: "x", isNamespaced: true,
                verbs: ["get"])
        }
        let plain: JSON = ["metadata": ["name": "a"]]
        let foreground: JSON = ["metadata": ["name": "a", "finalizers": ["foregroundDeletion"]]]
        let rows: [(Resource, JSON, DeleteOptions, String)] = [
            (resource("batch", "jobs"), plain, options(), #"write 0 ["orphan"]"#),
            (resource("", "replicationcontrollers"), plain, options(), #"write 0 ["orphan"]"#),
            (resource("batch", "jobs"), plain, options(propagation: "Background"), "remove"),
            (resource("batch", "jobs"), foreground, options(), #"write 0 ["foregroundDeletion"]"#),
            (resource("batch", "cronjobs"), plain, options(), "remove"),
            (resource("apps", "replicasets"), plain, options(), "remove"),
        ]
        for (resource, object, options, expected) in rows {
            XCTAssertEqual(outcome(object, options, resource), expected, "\(resource.qualified) \(object)")
        }
        XCTAssertEqual(Deletion.warnings(options(), resource("batch", "jobs")).count, 1)
        XCTAssertEqual(Deletion.warnings(options(propagation: "Orphan"), resource("batch", "jobs")), [])
        XCTAssertEqual(Deletion.warnings(options(), resource("", "replicationcontrollers")), [])
    }

    func testNamespacesEndWhenTheirFinalizerHasGone() {
        var namespace: JSON = [
            "metadata": ["name": "a"], "spec": ["finalizers": ["kubernetes"]], "status": ["phase": "Active"],
        ]
        guard case .write(let marked) = Deletion.plan(namespace, options(), namespaces) else {
            return XCTFail("not marked")
        }
        XCTAssertEqual(marked["status"]["phase"], "Terminating")
        XCTAssertNotNil(marked.deletionTimestamp)
        namespace["spec"] = [:]
        XCTAssertEqual(outcome(namespace, options(), namespaces), "remove")
    }

    func testFinished() {
        var object: JSON = [
            "metadata": ["name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0]
        ]
        XCTAssertTrue(Strategy.isFinished(object, maps))
        object["metadata"]["finalizers"] = ["x"]
        XCTAssertFalse(Strategy.isFinished(object, maps))
        XCTAssertFalse(Strategy.isFinished(["metadata": ["name": "a"]], maps))
        XCTAssertFalse(Strategy.isFinished(pod(deleting: 30), pods), "its grace period runs")
    }
}
