import Objects
import PluginAPI
import PluginKit

/// Nodes and pods as a driver tells them: the amounts in structs, the rest as objects.
enum TestObjects {
    static func node(
        _ name: String, cpu: String = "4", memory: String = "8Gi", pods: String = "110", labels: JSON = [:],
        taints: JSON = [], extended: JSON = [:], ready: Bool = true, unschedulable: Bool = false
    ) -> JSON {
        var allocatable = extended
        allocatable["cpu"] = .string(cpu)
        allocatable["memory"] = .string(memory)
        allocatable["ephemeral-storage"] = "100Gi"
        allocatable["pods"] = .string(pods)
        var labels = labels
        labels["kubernetes.io/hostname"] = .string(name)
        return [
            "metadata": ["name": .string(name), "labels": labels],
            "spec": ["taints": taints, "unschedulable": .bool(unschedulable)],
            "status": [
                "allocatable": allocatable,
                "conditions": [["type": "Ready", "status": .string(ready ? "True" : "False")]],
            ],
        ]
    }

    static func pod(
        _ spec: JSON = [:], requests: JSON = [:], labels: JSON = [:], namespace: String = "default"
    ) -> JSON {
        var spec = spec
        if !spec["containers"].exists { spec["containers"] = [["name": "main", "resources": ["requests": requests]]] }
        return ["metadata": ["namespace": .string(namespace), "labels": labels], "spec": spec]
    }

    static func required(_ kind: String, _ terms: JSON...) -> JSON {
        [kind: ["requiredDuringSchedulingIgnoredDuringExecution": .array(terms)]]
    }

    static func term(_ key: String, _ labels: JSON, _ more: JSON = [:]) -> JSON {
        var term = more
        term["topologyKey"] = .string(key)
        term["labelSelector"] = ["matchLabels": labels]
        return term
    }

    static func nodeAffinity(_ expressions: JSON..., fields: [JSON] = []) -> JSON {
        var term: JSON = [:]
        if !expressions.isEmpty { term["matchExpressions"] = .array(expressions) }
        if !fields.isEmpty { term["matchFields"] = .array(fields) }
        return [
            "affinity": [
                "nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": [term]]]
            ]
        ]
    }

    static func ports(_ port: Int64, _ transport: String = "TCP", _ address: String = "") -> JSON {
        [
            "containers": [
                ["ports": [["hostPort": .integer(port), "protocol": .string(transport), "hostIP": .string(address)]]]
            ]
        ]
    }
}

extension SchedulerClient {
    func set(node: JSON) throws {
        let amounts = try PodRequests(amounts: node["status"]["allocatable"])
        var flags: Int32 = 0
        if node["spec"]["unschedulable"].boolValue == true { flags |= Int32(HOSTD_SCHEDULER_NODE_UNSCHEDULABLE) }
        if node["status"]["conditions"][0]["status"] == "True" { flags |= Int32(HOSTD_SCHEDULER_NODE_READY) }
        var input = hostd_scheduler_node()
        input.flags = UInt32(flags)
        input.milli_cpu = amounts.milliCPU
        input.memory_bytes = amounts.memory
        input.ephemeral_storage_bytes = amounts.ephemeralStorage
        input.pods = try Quantity(node["status"]["allocatable"]["pods"]).value
        try node.serialized().withUnsafeBytes {
            try nodeSet(input, name: node["metadata"]["name"].stringValue ?? "", object: $0)
        }
    }

    private static func amounts(_ pod: JSON) throws -> hostd_scheduler_pod {
        let requests = try PodRequests(pod: pod)
        var input = hostd_scheduler_pod()
        input.milli_cpu = requests.milliCPU
        input.memory_bytes = requests.memory
        input.ephemeral_storage_bytes = requests.ephemeralStorage
        return input
    }

    func set(pod: JSON, _ uid: String, on node: String) throws {
        try pod.serialized().withUnsafeBytes {
            try podSet(Self.amounts(pod), uid: uid, node: node, object: $0)
        }
    }

    func schedule(_ pod: JSON, _ uid: String) throws -> SchedulingDecision {
        try pod.serialized().withUnsafeBytes { try schedule(Self.amounts(pod), uid: uid, object: $0) }
    }
}
