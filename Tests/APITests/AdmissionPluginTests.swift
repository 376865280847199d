import Objects
import XCTest

@testable import API

/// The smaller admission plugins, by what they decide.
final class AdmissionPluginTests: XCTestCase {
    typealias PriorityClass = PriorityAdmission.PriorityClass

    private func priorityClass(_ name: JSON, _ value: JSON, isDefault: JSON = false, policy: JSON = .null)
        -> PriorityClass
    {
        PriorityClass([
            "metadata": ["name": name], "value": value, "globalDefault": isDefault, "preemptionPolicy": policy,
        ])
    }

    func testPriorities() {
        let high = priorityClass("high", 1000, policy: "Never")
        let table: [(JSON, PriorityClass?, JSON, String?, String)] = [
            ([:], nil, ["priority": 0, "preemptionPolicy": "PreemptLowerPriority"], nil, "no class at all"),
            (
                [:], high, ["priorityClassName": "high", "priority": 1000, "preemptionPolicy": "Never"], nil,
                "what the class says"
            ),
            (
                ["priority": 1000], high, ["priorityClassName": "high", "priority": 1000, "preemptionPolicy": "Never"],
                nil, "what a pod says itself may be the same"
            ),
            (
                ["priority": 5], high, ["priority": 5],
                "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed "
                    + "1000 from the given PriorityClass name", "but not another one"
            ),
            (
                ["preemptionPolicy": "PreemptLowerPriority"], high, ["preemptionPolicy": "PreemptLowerPriority"],
                "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority "
                    + "admission controller computed Never from the given PriorityClass name", "nor another policy"
            ),
        ]
        for (given, chosen, expected, problem, reason) in table {
            var spec = given
            XCTAssertEqual(PriorityAdmission.fill(&spec, chosen), problem, reason)
            XCTAssertEqual(spec, expected, reason)
        }
        XCTAssertEqual(
            PriorityAdmission.defaultClass(of: [
                priorityClass("a", 9, isDefault: true), priorityClass("b", 5, isDefault: true), priorityClass("c", 1),
            ])?.name, "b", "the lowest of several defaults")
        XCTAssertNil(PriorityAdmission.defaultClass(of: [priorityClass("c", 1)]))
    }

    func testUpdatesKeepPriorities() {
        var spec: JSON = ["preemptionPolicy": "Never"]
        PriorityAdmission.keep(["priority": 7, "preemptionPolicy": "PreemptLowerPriority"], in: &spec)
        XCTAssertEqual(spec, ["preemptionPolicy": "Never", "priority": 7])
    }

    func testPriorityClasses() {
        let table: [(PriorityClass, String?, String)] = [
            (priorityClass("mine", 1_000_000_000), nil, "the highest of users"),
            (
                priorityClass("mine", 1_000_000_001),
                "Forbidden: maximum allowed value of a user defined priority is 1000000000", "beyond"
            ),
            (priorityClass("system-node-critical", 2_000_001_000), nil, "the system's own"),
            (
                priorityClass("system-node-critical", 5),
                "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of "
                    + "system-node-critical PriorityClass must be 2000001000", "with another value"
            ),
            (
                priorityClass("system-mine", 5),
                "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
                    + "system-mine is not a known system priority class", "under the system's name"
            ),
        ]
        for (wanted, message, reason) in table {
            XCTAssertEqual(PriorityAdmission.mistake(wanted)?.message, message, reason)
        }
    }

    func testRuntimeClasses() {
        let sandboxed: JSON = [
            "overhead": ["podFixed": ["cpu": "250m"]],
            "scheduling": [
                "nodeSelector": ["sandbox": "yes"], "tolerations": [["key": "sandbox", "operator": "Exists"]],
            ],
        ]
        let table: [(JSON, JSON, JSON?, String?, String)] = [
            (
                [:], sandboxed,
                [
                    "overhead": ["cpu": "250m"], "nodeSelector": ["sandbox": "yes"],
                    "tolerations": [["key": "sandbox", "operator": "Exists"]],
                ], nil, "all that the class says"
            ),
            (
                ["overhead": ["cpu": "0.25"], "tolerations": [["key": "sandbox", "operator": "Exists"]]], sandboxed,
                [
                    "overhead": ["cpu": "0.25"], "tolerations": [["key": "sandbox", "operator": "Exists"]],
                    "nodeSelector": ["sandbox": "yes"],
                ], nil, "what is there already stays, once"
            ),
            (
                ["overhead": ["cpu": "1"]], sandboxed, nil,
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead", "another overhead"
            ),
            (
                ["overhead": ["cpu": "1"]], [:], nil,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead", "of none"
            ),
            (
                ["nodeSelector": ["sandbox": "no"]], sandboxed, nil,
                "conflict: runtimeClass.scheduling.nodeSelector[sandbox] = yes; pod.spec.nodeSelector[sandbox] = no",
                "other nodes"
            ),
            ([:], [:], [:], nil, "a class that says nothing"),
        ]
        for (given, runtimeClass, expected, problem, reason) in table {
            var spec = given
            XCTAssertEqual(RuntimeClassAdmission.fill(&spec, runtimeClass), problem, reason)
            if let expected { XCTAssertEqual(spec, expected, reason) }
        }
    }

    func testDefaultClasses() {
        func made(_ name: JSON, _ time: JSON, _ key: String, _ value: JSON = "true") -> JSON {
            ["metadata": ["name": name, "creationTimestamp": time, "annotations": [.init(key): value]]]
        }
        let ingress = "ingressclass.kubernetes.io/is-default-class"
        XCTAssertEqual(
            DefaultIngressClass.defaultClass(of: [
                made("a", "2026-01-01T00:00:00Z", ingress), made("b", "2026-01-02T00:00:00Z", ingress),
                made("c", "2026-01-03T00:00:00Z", ingress, "false"),
            ]), "b", "the newest")
        let storage = "storageclass.beta.kubernetes.io/is-default-class"
        XCTAssertEqual(
            DefaultStorageClass.defaultClass(of: [
                made("b", "2026-01-01T00:00:00Z", storage), made("a", "2026-01-01T00:00:00Z", storage),
            ]), "a", "of equally old ones the first by name, under the old annotation too")
        XCTAssertNil(DefaultStorageClass.defaultClass(of: []))
    }

    func testClaimsThatGrow() {
        func claim(_ size: JSON) -> JSON { ["spec": ["resources": ["requests": ["storage": size]]]] }
        XCTAssertTrue(PersistentVolumeClaimResize.grows(claim("2Gi"), from: claim("1Gi")))
        XCTAssertFalse(
            PersistentVolumeClaimResize.grows(claim("1024Mi"), from: claim("1Gi")), "the same in other words")
    }

    // MARK: - Nodes

    private func resource(_ plural: String, group: String = "", namespaced: Bool = true) -> Resource {
        Resource(
            group: group, version: "v1", kind: "K", plural: plural, singular: "k", isNamespaced: namespaced,
            verbs: ["get"])
    }

    private func request(
        _ operation: AdmissionRequest.Operation, _ resource: Resource, _ object: JSON = .null, old: JSON = .null,
        subresource: String = ""
    ) throws -> AdmissionRequest {
        let user = UserInfo(name: "system:node:a", groups: ["system:nodes"])
        let context = RequestContext(
            request: try APIRequest(method: .post, target: "/", user: user, isInternal: false), path: .init(),
            resource: resource)
        return AdmissionRequest(operation, resource, subresource: subresource, context, old: old, object: object)
    }

    func testNodesKeepToThemselves() throws {
        let (nodes, pods) = (resource("nodes", namespaced: false), resource("pods"))
        let leases = resource("leases", group: "coordination.k8s.io")
        let (accounts, claims) = (resource("serviceaccounts"), resource("persistentvolumeclaims"))
        let mine: JSON = ["metadata": ["name": "a", "labels": ["kubernetes.io/hostname": "a"]]]
        func pod(_ node: JSON, mirror: Bool = false, spec: JSON = [:]) -> JSON {
            var pod: JSON = ["metadata": ["name": "p"], "spec": spec]
            pod["spec"]["nodeName"] = node
            guard mirror else { return pod }
            pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x"
            pod["metadata"]["ownerReferences"] = [
                ["apiVersion": "v1", "kind": "Node", "name": "a", "uid": "u", "controller": true]
            ]
            return pod
        }
        var orphan = pod("a", mirror: true)
        orphan["metadata"].removeValue(forKey: "ownerReferences")
        var labelled = mine
        labelled["metadata"]["labels"]["node-role.kubernetes.io/master"] = ""
        labelled["metadata"]["labels"]["mine.example.com/x"] = ""
        let table: [(AdmissionRequest, String?, String)] = [
            (try request(.create, nodes, mine), nil, "its own node"),
            (
                try request(
                    .update, nodes, ["metadata": ["name": "b"]], old: ["metadata": ["name": "b"]], subresource: "status"
                ),
                #"node "a" is not allowed to modify node "b""#, "another one"
            ),
            (
                try request(.create, nodes, labelled),
                #"node "a" is not allowed to set the following labels: node-role.kubernetes.io/master"#,
                "labels that others are placed by"
            ),
            (
                try request(
                    .update, nodes, ["metadata": mine.metadata, "spec": ["taints": [["key": "x"]]]], old: mine),
                #"node "a" is not allowed to modify taints"#, "taints"
            ),
            (try request(.update, pods, pod("a"), old: pod("a"), subresource: "status"), nil, "the status of its pods"),
            (
                try request(.update, pods, pod("b"), old: pod("b"), subresource: "status"),
                #"node "a" can only update pod status for pods with spec.nodeName set to itself"#, "of others"
            ),
            (try request(.delete, pods, old: pod("a")), nil, "its pods"),
            (
                try request(.delete, pods, old: pod("b")),
                #"node "a" can only delete pods with spec.nodeName set to itself"#, "others"
            ),
            (
                try request(.create, pods, pod("a")),
                #"pod does not have "kubernetes.io/config.mirror" annotation, node "a" can only create mirror pods"#,
                "a pod of its own making"
            ),
            (try request(.create, pods, pod("a", mirror: true)), nil, "a mirror of one that runs anyway"),
            (
                try request(.create, pods, orphan),
                #"node "a" can only create pods with an owner reference set to itself"#, "that is nobody's"
            ),
            (
                try request(
                    .create, pods,
                    pod(
                        "a", mirror: true,
                        spec: ["containers": [["name": "c", "envFrom": [["configMapRef": ["name": "c"]]]]]])),
                #"node "a" can not create pods that reference configmaps"#, "whose environment is a ConfigMap"
            ),
            (
                try request(.update, pods, pod("a"), old: pod("a"), subresource: "resize"),
                #"unexpected pod subresource "resize", only 'status' and 'eviction' are allowed"#, "what nodes never do"
            ),
            (
                try request(.create, accounts, ["spec": [:]], subresource: "token"),
                "node requested token not bound to a pod", "a token for itself"
            ),
            (
                try request(
                    .update, claims, ["metadata": ["name": "c", "labels": ["x": "y"]]],
                    old: ["metadata": ["name": "c"]], subresource: "status"),
                #"node "a" is not allowed to update fields other than status.capacity and status.conditions"#,
                "a claim's labels"
            ),
            (
                try request(
                    .update, claims, ["metadata": ["name": "c"], "status": ["capacity": ["storage": "1"]]],
                    old: ["metadata": ["name": "c"]], subresource: "status"), nil, "how large it is"
            ),
            (
                try request(
                    .create, pods,
                    pod("a", mirror: true, spec: ["volumes": [["name": "v", "secret": ["secretName": "s"]]]])),
                #"node "a" can not create pods that reference secrets"#, "that wants secrets"
            ),
            (
                try request(.update, leases, ["metadata": ["name": "b", "namespace": "kube-node-lease"]]),
                "can only access node lease with the same name as the requesting node", "another node's lease"
            ),
            (
                try request(.update, leases, ["metadata": ["name": "a", "namespace": "default"]]),
                #"can only access leases in the "kube-node-lease" system namespace"#, "leases elsewhere"
            ),
        ]
        for (request, problem, reason) in table {
            XCTAssertEqual(NodeRestriction.problem(request, "a"), problem, reason)
        }
    }
}
