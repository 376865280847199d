import Objects

/// A port that a pod claims on its node's own addresses.
public struct HostPort: Sendable, Hashable {
    var port: Int64
    var transport: String
    /// Empty or "0.0.0.0" means every address.
    var address: String

    public init(port: Int64, transport: String = "TCP", address: String = "") {
        self.port = port
        self.transport = transport
        self.address = address == "0.0.0.0" || address == "::" ? "" : address
    }

    func conflicts(_ other: HostPort) -> Bool {
        port == other.port && transport == other.transport
            && (address == other.address || address.isEmpty || other.address.isEmpty)
    }
}

/// A pod as the scheduler sees it: parsed once, then only compared.
public struct PodDescription: Sendable {
    public var namespace = ""
    public var labels: [String: String] = [:]
    public var priority: Int32 = 0
    /// What the pod uses; `pods` is 1.
    public var amounts = Amounts(pods: 1)
    /// What the pod counts for in scores, see `NodeLoad`.
    public var scoredMilliCPU: Int64 = 0
    public var scoredMemory: Int64 = 0
    public var extended: [(name: String, amount: Int64)] = []
    /// The node that the pod names itself, empty for none.
    public var nodeName = ""
    public var nodeSelector: [(key: String, value: String)] = []
    /// Nil requires nothing; otherwise one of the terms must match.
    public var requiredNodeTerms: [NodeSelectorTerm]?
    public var preferredNodeTerms: [(weight: Int64, term: NodeSelectorTerm)] = []
    public var tolerations: [Toleration] = []
    public var hostPorts: [HostPort] = []
    public var affinity: [PodAffinityTerm] = []
    public var antiAffinity: [PodAffinityTerm] = []
    /// Weighted; negative weights come from preferred anti-affinity.
    public var preferredAffinity: [(weight: Int64, term: PodAffinityTerm)] = []
    public var spread: [SpreadConstraint] = []
    /// It is about to end: it still uses its node, but no spread counts it.
    public var isTerminating = false

    /// Whom the pod would rather have near, or far, once it is placed: its preferences, and its required affinity as one of
    /// weight 1 (Kubernetes' hardPodAffinityWeight).
    var attraction: [(weight: Int64, term: PodAffinityTerm)] { affinity.map { (1, $0) } + preferredAffinity }
    var attracts: Bool { !affinity.isEmpty || !preferredAffinity.isEmpty }

    public init() {}

    /// Parses a Pod object.
    /// - Parameter isPlaced: what the pod wishes and this scheduler cannot honour is left out: it uses its node all the same.
    /// - Throws: the error of a quantity or selector that does not parse.
    public init(_ pod: JSON, isPlaced: Bool = false) throws {
        let spec = pod["spec"]
        namespace = pod["metadata"]["namespace"].stringValue ?? ""
        labels = pod["metadata"]["labels"].stringDictionary
        isTerminating = pod["metadata"]["deletionTimestamp"].exists
        priority = Int32(clamping: spec["priority"].integerValue ?? 0)
        try readRequests(pod)
        nodeName = spec["nodeName"].stringValue ?? ""
        nodeSelector = spec["nodeSelector"].stringDictionary.map { ($0.key, $0.value) }
        tolerations = spec["tolerations"].arrayValue.compactMap(Toleration.init)
        for container in spec["containers"].arrayValue + spec["initContainers"].arrayValue.filter(\.isSidecar) {
            for port in container["ports"].arrayValue {
                guard let number = port["hostPort"].integerValue, number > 0 else { continue }
                hostPorts.append(
                    HostPort(
                        port: number, transport: port["protocol"].stringValue ?? "TCP",
                        address: port["hostIP"].stringValue ?? ""))
            }
        }
        try readAffinity(spec["affinity"], isPlaced)
        spread = try spec["topologySpreadConstraints"].arrayValue.map { try SpreadConstraint($0, labels: labels) }
    }

    private mutating func readRequests(_ pod: JSON) throws {
        let requests = try PodRequests(pod: pod)
        amounts = Amounts(
            milliCPU: requests.milliCPU, memory: requests.memory, ephemeralStorage: requests.ephemeralStorage, pods: 1)
        extended = requests.extended.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        scoredMilliCPU = requests.milliCPU
        scoredMemory = requests.memory
        for container in pod["spec"]["containers"].arrayValue {
            let resources = container["resources"]
            if resources["requests"]["cpu"].isNull && resources["limits"]["cpu"].isNull { scoredMilliCPU &+= 100 }
            if resources["requests"]["memory"].isNull && resources["limits"]["memory"].isNull {
                scoredMemory &+= 200 << 20
            }
        }
    }

    private mutating func readAffinity(_ affinity: JSON, _ isPlaced: Bool) throws {
        guard affinity.exists else { return }
        let node = affinity["nodeAffinity"]
        let required = node["requiredDuringSchedulingIgnoredDuringExecution"]
        if required.exists { requiredNodeTerms = required["nodeSelectorTerms"].arrayValue.map(NodeSelectorTerm.init) }
        preferredNodeTerms = node["preferredDuringSchedulingIgnoredDuringExecution"].arrayValue.map {
            ($0["weight"].integerValue ?? 0, NodeSelectorTerm($0["preference"]))
        }
        for (name, sign) in [("podAffinity", Int64(1)), ("podAntiAffinity", -1)] {
            let part = affinity[name]
            let terms = try part["requiredDuringSchedulingIgnoredDuringExecution"].arrayValue
                .filter { !isPlaced || !PodAffinityTerm.isUnsupported($0) }
                .map { try PodAffinityTerm($0, namespace: namespace) }
            if sign > 0 { self.affinity = terms } else { antiAffinity = terms }
            for item in part["preferredDuringSchedulingIgnoredDuringExecution"].arrayValue
            where !isPlaced || !PodAffinityTerm.isUnsupported(item["podAffinityTerm"]) {
                let term = try PodAffinityTerm(item["podAffinityTerm"], namespace: namespace)
                preferredAffinity.append((sign * (item["weight"].integerValue ?? 0), term))
            }
        }
    }

    /// With every amount within `Amounts.limit`.
    var clamped: PodDescription {
        var pod = self
        pod.amounts = amounts.clamped
        pod.scoredMilliCPU = min(max(scoredMilliCPU, 0), Amounts.limit)
        pod.scoredMemory = min(max(scoredMemory, 0), Amounts.limit)
        for index in extended.indices {
            pod.extended[index].amount = min(max(extended[index].amount, 0), Amounts.limit)
        }
        return pod
    }

    /// Whether nodeSelector and required node affinity accept the node.
    func selects(_ node: NodeDescription) -> Bool {
        for (key, value) in nodeSelector where node.labels[key] != value { return false }
        guard let requiredNodeTerms else { return true }
        return requiredNodeTerms.contains { $0.matches(node) }
    }
}

extension JSON {
    /// Whether this container object is a restartable init container.
    var isSidecar: Bool { self["restartPolicy"].stringValue == "Always" }
}
