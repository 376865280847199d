import Objects
import PluginKit

/// Nodes and pods of all kinds, with a model of what is on each node.
struct RandomCluster {
    private var nodes: [String: JSON] = [:]
    private var pods: [String: (pod: JSON, node: String)] = [:]

    mutating func node(_ random: inout SplitMix) -> JSON {
        let name = "n\(Int.random(in: 0..<6, using: &random))"
        let odd = Int.random(in: 0..<8, using: &random)
        var labels: JSON = ["zone": .string("z\(Int.random(in: 0..<3, using: &random))")]
        if odd == 1 { labels.removeValue(forKey: "zone") }
        let node = TestObjects.node(
            name, cpu: "\(Int.random(in: 1...3, using: &random))", pods: "\(Int.random(in: 3...12, using: &random))",
            labels: labels, taints: odd == 2 ? [["key": "t", "value": "v", "effect": "NoSchedule"]] : [],
            extended: odd > 3 ? ["x.io/y": "2"] : [:], ready: odd != 3, unschedulable: odd == 4)
        nodes[name] = node
        return node
    }

    mutating func removeNode(_ random: inout SplitMix) -> String? {
        guard let name = nodes.keys.sorted().randomElement(using: &random) else { return nil }
        nodes[name] = nil
        return name
    }

    mutating func removePod(_ random: inout SplitMix) -> String? {
        guard let uid = pods.keys.sorted().randomElement(using: &random) else { return nil }
        pods[uid] = nil
        return uid
    }

    mutating func place(_ pod: JSON, _ uid: String, on node: String) { pods[uid] = (pod, node) }

    func pod(_ random: inout SplitMix) -> JSON {
        let app = JSON.string("app\(Int.random(in: 0..<2, using: &random))")
        let labels: JSON = ["app": app]
        var requests: JSON = ["cpu": .string("\(Int.random(in: 0...8, using: &random) * 100)m")]
        if Int.random(in: 0..<4, using: &random) == 0 { requests["x.io/y"] = "1" }
        let near = TestObjects.term(Bool.random(using: &random) ? "zone" : "kubernetes.io/hostname", ["app": app])
        let spread: JSON = [
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": ["matchLabels": ["app": app]],
        ]
        let specs: [JSON] = [
            [:], [:], ["nodeSelector": ["zone": "z1"]], ["tolerations": [["operator": "Exists"]]],
            ["affinity": TestObjects.required("podAffinity", near)],
            ["affinity": TestObjects.required("podAntiAffinity", near)], ["topologySpreadConstraints": [spread]],
        ]
        var spec = specs[Int.random(in: 0..<specs.count, using: &random)]
        var container: JSON = ["resources": ["requests": requests]]
        if Int.random(in: 0..<6, using: &random) == 0 { container["ports"] = [["hostPort": 80]] }
        spec["containers"] = [container]
        return TestObjects.pod(spec, labels: labels)
    }

    /// Whether there is room on a node for all that it holds, of everything that this pod asks for. (A node that shrank may
    /// hold more of what the pod does not ask for.)
    func fits(_ pod: JSON, _ name: String) throws -> Bool {
        guard let node = nodes[name] else { return false }
        let has = node["status"]["allocatable"]
        let wanted = try PodRequests(pod: pod)
        let all = try pods.values.filter { $0.node == name }.map { try PodRequests(pod: $0.pod) }
        let ports = pods.values.filter { $0.node == name && Self.hasPort($0.pod) }.count
        let extended = has["x.io/y"].exists ? try Quantity(has["x.io/y"]).value : 0
        return try all.count <= Quantity(has["pods"]).value && (!Self.hasPort(pod) || ports == 1)
            && (wanted.milliCPU == 0 || all.reduce(0) { $0 + $1.milliCPU } <= Quantity(has["cpu"]).milliValue)
            && (wanted.extended.isEmpty || all.reduce(0) { $0 + ($1.extended["x.io/y"] ?? 0) } <= extended)
    }

    private static func hasPort(_ pod: JSON) -> Bool { pod["spec"]["containers"][0]["ports"].exists }
}

/// The same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
