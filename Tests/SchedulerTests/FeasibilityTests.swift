import Objects
import PluginAPI
import PluginKit
import XCTest

/// What a Kubernetes user expects of any scheduler, asked of both: where a pod may go, and in which words it may not.
final class FeasibilityTests: XCTestCase {
    private typealias Make = TestObjects

    private struct Case {
        var name: String
        var nodes: [JSON]
        /// Pods that are there already, with their nodes.
        var placed: [(JSON, String)] = []
        var pod: JSON
        /// The nodes that may be chosen …
        var fits: Set<String> = []
        /// … or why none may.
        var refused: [String: Int] = [:]
    }

    private func run(_ cases: [Case]) throws {
        for (kind, one) in SchedulerInstance.Kind.allCases.flatMap({ kind in cases.map { (kind, $0) } }) {
            let scheduler = try SchedulerInstance(kind)
            try scheduler.activate()
            for node in one.nodes { try scheduler.client.set(node: node) }
            for (index, (pod, node)) in one.placed.enumerated() {
                try scheduler.client.set(pod: pod, "placed-\(index)", on: node)
            }
            // What was handed over decides as what was told.
            for instance in [scheduler, try scheduler.successor(.standard), try scheduler.successor(.binPack)] {
                let name = "\(kind), then \(instance.kind): \(one.name)"
                switch try instance.client.schedule(one.pod, "new") {
                case .place(let node): XCTAssertTrue(one.fits.contains(node), "\(name): \(node)")
                case .refuse(let nodes, let refusals):
                    XCTAssertEqual(nodes, one.nodes.count, name)
                    XCTAssertEqual(
                        Dictionary(uniqueKeysWithValues: refusals.map { ($0.reason, $0.nodes) }), one.refused, name)
                    XCTAssertEqual(refusals.map(\.reason), refusals.map(\.reason).sorted(), name)
                    XCTAssertTrue(one.fits.isEmpty, name)
                }
            }
        }
    }

    func testAmounts() throws {
        let small = Make.node("a", cpu: "1", memory: "1Gi", pods: "2", extended: ["nvidia.com/gpu": "2"])
        let gpu = Make.pod(requests: ["nvidia.com/gpu": "1"])
        let sidecar: JSON = ["restartPolicy": "Always", "resources": ["requests": ["x.io/y": "1"]]]
        let step: JSON = ["resources": ["requests": ["x.io/y": "3"]]]
        let main: JSON = ["resources": ["requests": ["x.io/y": "1"]]]
        try run([
            Case(name: "nothing asked", nodes: [small], pod: Make.pod(), fits: ["a"]),
            Case(
                name: "exactly all", nodes: [small], pod: Make.pod(requests: ["cpu": "1", "memory": "1Gi"]), fits: ["a"]
            ),
            Case(
                name: "cpu", nodes: [small], pod: Make.pod(requests: ["cpu": "1001m"]), refused: ["Insufficient cpu": 1]
            ),
            Case(
                name: "memory", nodes: [small], pod: Make.pod(requests: ["memory": "1025Mi"]),
                refused: ["Insufficient memory": 1]),
            Case(
                name: "cpu is told before memory", nodes: [small],
                pod: Make.pod(requests: ["memory": "2Gi", "cpu": "2"]),
                refused: ["Insufficient cpu": 1]),
            Case(
                name: "storage", nodes: [small], pod: Make.pod(requests: ["ephemeral-storage": "101Gi"]),
                refused: ["Insufficient ephemeral-storage": 1]),
            Case(
                name: "in use", nodes: [small], placed: [(Make.pod(requests: ["cpu": "600m"]), "a")],
                pod: Make.pod(requests: ["cpu": "500m"]), refused: ["Insufficient cpu": 1]),
            Case(
                name: "too many pods", nodes: [small], placed: [(Make.pod(), "a"), (Make.pod(), "a")], pod: Make.pod(),
                refused: ["Too many pods": 1]),
            Case(name: "extended", nodes: [small], placed: [(gpu, "a")], pod: gpu, fits: ["a"]),
            Case(
                name: "no extended left", nodes: [small, Make.node("b")],
                placed: [(Make.pod(requests: ["nvidia.com/gpu": "2"]), "a")],
                pod: gpu, refused: ["Insufficient nvidia.com/gpu": 2]),
            Case(
                name: "limits are requests where there are none", nodes: [small],
                pod: Make.pod(["containers": [["resources": ["limits": ["nvidia.com/gpu": 3]]]]]),
                refused: ["Insufficient nvidia.com/gpu": 1]),
            Case(
                name: "init containers beside sidecars", nodes: [Make.node("a", extended: ["x.io/y": "3"])],
                pod: Make.pod(["containers": [main], "initContainers": [sidecar, step]]),
                refused: ["Insufficient x.io/y": 1]),
            Case(
                name: "init containers before sidecars", nodes: [Make.node("a", extended: ["x.io/y": "3"])],
                pod: Make.pod(["containers": [main], "initContainers": [step, sidecar]]), fits: ["a"]),
            Case(
                name: "overhead", nodes: [Make.node("a", extended: ["x.io/y": "3"])],
                pod: Make.pod(["containers": [main], "overhead": ["x.io/y": "2500m"]]),
                refused: ["Insufficient x.io/y": 1]),
            Case(name: "no nodes", nodes: [], pod: Make.pod()),
            Case(
                name: "a pod of a node that comes later", nodes: [small],
                placed: [(Make.pod(requests: ["cpu": "1"]), "b")],
                pod: Make.pod(requests: ["cpu": "1"]), fits: ["a"]),
        ])
    }

    func testNodesThemselves() throws {
        let taint: JSON = [["key": "role", "value": "db", "effect": "NoSchedule"]]
        let words = "node(s) had untolerated taint {role: db}"
        func tolerating(_ toleration: JSON) -> JSON { Make.pod(["tolerations": [toleration]]) }
        let unschedulable = Make.node(
            "a", taints: [["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"]], unschedulable: true)
        try run([
            Case(
                name: "unschedulable", nodes: [unschedulable], pod: Make.pod(),
                refused: ["node(s) were unschedulable": 1]),
            Case(
                name: "unschedulable, tolerated", nodes: [unschedulable],
                pod: tolerating(["key": "node.kubernetes.io/unschedulable", "operator": "Exists"]), fits: ["a"]),
            Case(
                name: "not ready", nodes: [Make.node("a", ready: false)], pod: Make.pod(),
                refused: ["node(s) had untolerated taint {node.kubernetes.io/not-ready: }": 1]),
            Case(
                name: "not ready, tolerated", nodes: [Make.node("a", ready: false)],
                pod: tolerating(["key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"]),
                fits: ["a"]),
            Case(name: "taint", nodes: [Make.node("a", taints: taint), Make.node("b")], pod: Make.pod(), fits: ["b"]),
            Case(name: "taint alone", nodes: [Make.node("a", taints: taint)], pod: Make.pod(), refused: [words: 1]),
            Case(
                name: "tolerated by value", nodes: [Make.node("a", taints: taint)],
                pod: tolerating(["key": "role", "value": "db"]), fits: ["a"]),
            Case(
                name: "another value", nodes: [Make.node("a", taints: taint)],
                pod: tolerating(["key": "role", "operator": "Equal", "value": "web"]), refused: [words: 1]),
            Case(
                name: "another effect", nodes: [Make.node("a", taints: taint)],
                pod: tolerating(["operator": "Exists", "effect": "NoExecute"]), refused: [words: 1]),
            Case(
                name: "an effect that nobody knows", nodes: [Make.node("a", taints: taint)],
                pod: tolerating(["operator": "Exists", "effect": "Sometimes"]), refused: [words: 1]),
            Case(
                name: "everything tolerated", nodes: [Make.node("a", taints: taint)],
                pod: tolerating(["operator": "Exists"]),
                fits: ["a"]),
            Case(
                name: "a preference does not refuse",
                nodes: [Make.node("a", taints: [["key": "k", "effect": "PreferNoSchedule"]])], pod: Make.pod(),
                fits: ["a"]),
            Case(
                name: "a preference counts",
                nodes: [Make.node("a", taints: [["key": "k", "effect": "PreferNoSchedule"]]), Make.node("b")],
                pod: Make.pod(), fits: ["b"]),
            Case(
                name: "node name", nodes: [Make.node("a"), Make.node("b")], pod: Make.pod(["nodeName": "b"]),
                fits: ["b"]),
            Case(
                name: "no such node", nodes: [Make.node("a"), Make.node("b")], pod: Make.pod(["nodeName": "c"]),
                refused: ["node(s) didn't match the requested node name": 2]),
        ])
    }

    func testSelectorsAndNodeAffinity() throws {
        let words = "node(s) didn't match Pod's node affinity/selector"
        let node = Make.node("a", labels: ["zone": "z1", "cores": "8", "odd": "-3"])
        let expressions: [(JSON, Bool)] = [
            (["key": "zone", "operator": "In", "values": ["z1", "z2"]], true),
            (["key": "zone", "operator": "In", "values": []], false),
            (["key": "zone", "operator": "NotIn", "values": ["z1"]], false),
            (["key": "rack", "operator": "NotIn", "values": ["r"]], true),
            (["key": "zone", "operator": "Exists"], true), (["key": "rack", "operator": "Exists"], false),
            (["key": "rack", "operator": "DoesNotExist"], true), (["key": "zone", "operator": "DoesNotExist"], false),
            (["key": "cores", "operator": "Gt", "values": ["7"]], true),
            (["key": "cores", "operator": "Gt", "values": ["8"]], false),
            (["key": "cores", "operator": "Lt", "values": ["8"]], false),
            (["key": "odd", "operator": "Lt", "values": ["-2"]], true),
            (["key": "zone", "operator": "Gt", "values": ["7"]], false),
            (["key": "cores", "operator": "Gt", "values": ["many"]], false),
            (["key": "cores", "operator": "Gt", "values": ["99999999999999999999"]], false),
            (["key": "cores", "operator": "Wrong"], false),
        ]
        var cases = expressions.map { expression, holds in
            Case(
                name: expression.serializedString(), nodes: [node], pod: Make.pod(Make.nodeAffinity(expression)),
                fits: holds ? ["a"] : [], refused: holds ? [:] : [words: 1])
        }
        cases += [
            Case(
                name: "selector", nodes: [node], pod: Make.pod(["nodeSelector": ["zone": "z1", "cores": "8"]]),
                fits: ["a"]),
            Case(
                name: "selector, one of two", nodes: [node],
                pod: Make.pod(["nodeSelector": ["zone": "z1", "disk": "ssd"]]),
                refused: [words: 1]),
            Case(name: "an empty term", nodes: [node], pod: Make.pod(Make.nodeAffinity()), refused: [words: 1]),
            Case(
                name: "by name", nodes: [node, Make.node("b")],
                pod: Make.pod(
                    Make.nodeAffinity(fields: [["key": "metadata.name", "operator": "In", "values": ["b"]]])),
                fits: ["b"]),
            Case(
                name: "by another field", nodes: [node],
                pod: Make.pod(Make.nodeAffinity(fields: [["key": "metadata.uid", "operator": "In", "values": ["a"]]])),
                refused: [words: 1]),
        ]
        try run(cases)
    }

    func testHostPorts() throws {
        let words = "node(s) didn't have free ports for the requested pod ports"
        let rows: [(JSON, JSON, Bool)] = [
            (Make.ports(80), Make.ports(80), false), (Make.ports(80), Make.ports(81), true),
            (Make.ports(80), Make.ports(80, "UDP"), true), (Make.ports(80, "TCP", "10.0.0.1"), Make.ports(80), false),
            (Make.ports(80, "TCP", "10.0.0.1"), Make.ports(80, "TCP", "10.0.0.2"), true),
            (Make.ports(80, "TCP", "0.0.0.0"), Make.ports(80, "TCP", "10.0.0.2"), false),
            (Make.ports(0), Make.ports(0), true),
        ]
        try run(
            rows.map { used, wanted, fits in
                Case(
                    name: "\(used.serializedString()) beside \(wanted.serializedString())", nodes: [Make.node("a")],
                    placed: [(Make.pod(used), "a")], pod: Make.pod(wanted), fits: fits ? ["a"] : [],
                    refused: fits ? [:] : [words: 1])
            })
    }

    func testPodAffinity() throws {
        let nodes = [Make.node("a", labels: ["zone": "z1"]), Make.node("b", labels: ["zone": "z2"]), Make.node("c")]
        let web = Make.pod(labels: ["app": "web"])
        func pod(_ kind: String, _ terms: JSON..., labels: JSON = [:], namespace: String = "default") -> JSON {
            let affinity: JSON = [kind: ["requiredDuringSchedulingIgnoredDuringExecution": .array(terms)]]
            return Make.pod(["affinity": affinity], labels: labels, namespace: namespace)
        }
        let near = Make.term("zone", ["app": "web"])
        let (together, apart, kept) = (
            "node(s) didn't match pod affinity rules", "node(s) didn't match pod anti-affinity rules",
            "node(s) didn't satisfy existing pods anti-affinity rules"
        )
        try run([
            Case(name: "together", nodes: nodes, placed: [(web, "b")], pod: pod("podAffinity", near), fits: ["b"]),
            Case(name: "nobody there", nodes: nodes, pod: pod("podAffinity", near), refused: [together: 3]),
            Case(
                name: "the first of its kind", nodes: nodes, pod: pod("podAffinity", near, labels: ["app": "web"]),
                fits: ["a", "b"]),
            Case(
                name: "all terms", nodes: nodes, placed: [(web, "a")],
                pod: pod("podAffinity", near, Make.term("zone", ["app": "db"])), refused: [together: 3]),
            Case(
                name: "another namespace", nodes: nodes, placed: [(web, "a")],
                pod: pod("podAffinity", near, namespace: "other"), refused: [together: 3]),
            Case(
                name: "a named namespace", nodes: nodes, placed: [(web, "a")],
                pod: pod(
                    "podAffinity", Make.term("zone", ["app": "web"], ["namespaces": ["default"]]), namespace: "other"),
                fits: ["a"]),
            Case(
                name: "all namespaces", nodes: nodes, placed: [(web, "a")],
                pod: pod(
                    "podAffinity", Make.term("zone", ["app": "web"], ["namespaceSelector": [:]]), namespace: "other"),
                fits: ["a"]),
            Case(
                name: "apart", nodes: nodes, placed: [(web, "b")], pod: pod("podAntiAffinity", near), fits: ["a", "c"]),
            Case(
                name: "apart from all", nodes: nodes, placed: [(web, "a"), (web, "b"), (web, "c")],
                pod: pod("podAntiAffinity", Make.term("kubernetes.io/hostname", ["app": "web"])), refused: [apart: 3]),
            Case(
                name: "kept away", nodes: nodes, placed: [(pod("podAntiAffinity", near), "a")], pod: web,
                fits: ["b", "c"]),
            Case(
                name: "kept away from all", nodes: Array(nodes.prefix(2)),
                placed: [(pod("podAntiAffinity", near), "a"), (pod("podAntiAffinity", near), "b")], pod: web,
                refused: [kept: 2]),
            Case(
                name: "keeps others away, not this", nodes: nodes, placed: [(pod("podAntiAffinity", near), "a")],
                pod: Make.pod(labels: ["app": "db"]), fits: ["a", "b", "c"]),
            Case(
                name: "without a selector nobody is meant", nodes: nodes, placed: [(web, "a")],
                pod: pod("podAntiAffinity", ["topologyKey": "zone"]), fits: ["a", "b", "c"]),
        ])
    }

    func testTopologySpread() throws {
        let nodes = [Make.node("a", labels: ["zone": "z1"]), Make.node("b", labels: ["zone": "z2"])]
        func pod(_ more: JSON = [:], _ spec: JSON = [:], labels: JSON = ["app": "web"]) -> JSON {
            var constraint = more
            constraint["topologyKey"] = "zone"
            if !more["maxSkew"].exists { constraint["maxSkew"] = 1 }
            if !more["labelSelector"].exists { constraint["labelSelector"] = ["matchLabels": ["app": "web"]] }
            var spec = spec
            spec["topologySpreadConstraints"] = [constraint]
            return Make.pod(spec, labels: labels)
        }
        let web = Make.pod(labels: ["app": "web"])
        var ending = web
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        let words = "node(s) didn't match pod topology spread constraints"
        let tainted = Make.node("b", labels: ["zone": "z2"], taints: [["key": "k", "effect": "NoSchedule"]])
        try run([
            Case(name: "the emptier zone", nodes: nodes, placed: [(web, "a")], pod: pod(), fits: ["b"]),
            Case(name: "balanced", nodes: nodes, placed: [(web, "a"), (web, "b")], pod: pod(), fits: ["a", "b"]),
            Case(
                name: "another namespace does not count", nodes: nodes,
                placed: [(Make.pod(labels: ["app": "web"], namespace: "x"), "a")], pod: pod(), fits: ["a", "b"]),
            Case(
                name: "a pod that is about to end does not count", nodes: nodes, placed: [(ending, "a")], pod: pod(),
                fits: ["a", "b"]),
            Case(
                name: "without a label", nodes: [Make.node("c")], pod: pod(),
                refused: ["\(words) (missing required label)": 1]),
            Case(
                name: "the other zone is taken",
                nodes: [nodes[0], Make.node("b", labels: ["zone": "z2"], unschedulable: true)],
                placed: [(web, "a")], pod: pod(), refused: [words: 1, "node(s) were unschedulable": 1]),
            Case(
                name: "a greater skew", nodes: [nodes[0], tainted], placed: [(web, "a")], pod: pod(["maxSkew": 2]),
                fits: ["a"]),
            Case(
                name: "tainted nodes take part", nodes: [nodes[0], tainted], placed: [(web, "a")], pod: pod(),
                refused: [words: 1, "node(s) had untolerated taint {k: }": 1]),
            Case(
                name: "unless taints are honoured", nodes: [nodes[0], tainted], placed: [(web, "a")],
                pod: pod(["nodeTaintsPolicy": "Honor"]), fits: ["a"]),
            Case(
                name: "nodes that the selector refuses take no part", nodes: nodes, placed: [(web, "a")],
                pod: pod([:], ["nodeSelector": ["zone": "z1"]]), fits: ["a"]),
            Case(
                name: "unless affinity is ignored", nodes: nodes, placed: [(web, "a")],
                pod: pod(["nodeAffinityPolicy": "Ignore"], ["nodeSelector": ["zone": "z1"]]),
                refused: [words: 1, "node(s) didn't match Pod's node affinity/selector": 1]),
            Case(
                name: "too few zones", nodes: nodes, placed: [(web, "a"), (web, "b")], pod: pod(["minDomains": 3]),
                refused: [words: 2]),
            Case(
                name: "only the same revision counts", nodes: nodes,
                placed: [(Make.pod(labels: ["app": "web", "pod-template-hash": "old"]), "a")],
                pod: pod(
                    ["matchLabelKeys": ["pod-template-hash"]], labels: ["app": "web", "pod-template-hash": "new"]),
                fits: ["a", "b"]),
            Case(
                name: "a node without the label of another constraint takes no part",
                nodes: [Make.node("a", labels: ["zone": "z1", "rack": "r1"]), Make.node("b", labels: ["zone": "z2"])],
                placed: [(web, "a")],
                pod: Make.pod(
                    [
                        "topologySpreadConstraints": [
                            ["topologyKey": "zone", "maxSkew": 1, "labelSelector": ["matchLabels": ["app": "web"]]],
                            ["topologyKey": "rack", "maxSkew": 1, "labelSelector": ["matchLabels": ["app": "web"]]],
                        ]
                    ], labels: ["app": "web"]),
                fits: ["a"]),
            Case(
                name: "ScheduleAnyway only prefers", nodes: [nodes[0]], placed: [(web, "a")],
                pod: pod(["whenUnsatisfiable": "ScheduleAnyway"]), fits: ["a"]),
        ])
    }

    func testWhatCannotBeReadIsRefusedWithTheSamePromise() throws {
        let pods: [(String, JSON)] = [
            ("quantity", Make.pod(requests: ["x.io/y": "many"])),
            (
                "Operator",
                Make.pod([
                    "topologySpreadConstraints": [
                        ["labelSelector": ["matchExpressions": [["key": "a", "operator": "Is"]]]]
                    ]
                ])
            ),
            (
                "namespaceSelector",
                Make.pod([
                    "affinity": Make.required(
                        "podAffinity", Make.term("zone", [:], ["namespaceSelector": ["matchLabels": ["team": "a"]]]))
                ])
            ),
        ]
        for kind in SchedulerInstance.Kind.allCases {
            let scheduler = try SchedulerInstance(kind)
            try scheduler.activate()
            try scheduler.client.set(node: Make.node("a"))
            try scheduler.client.set(pod: pods[2].1, "placed by hand", on: "a")
            let revision = try scheduler.client.revision()
            for (name, pod) in pods {
                XCTAssertThrowsError(
                    try pod.serialized().withUnsafeBytes {
                        try scheduler.client.schedule(.init(), uid: "u", object: $0)
                    },
                    "\(kind): \(name)"
                ) { error in
                    XCTAssertEqual((error as? PluginError)?.code, HOSTD_ERROR_INVALID_ARGUMENT, name)
                    XCTAssertTrue("\(error)".hasPrefix("pod u: "), "\(error)")
                }
            }
            XCTAssertThrowsError(
                try Array("{".utf8).withUnsafeBytes { try scheduler.client.nodeSet(.init(), name: "b", object: $0) })
            XCTAssertEqual(try scheduler.client.revision(), revision, "what failed does not count")
        }
    }
}
