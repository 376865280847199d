import Objects

/// Why the node does not take a pod that was bound to it past the scheduler: it would take what another pod has, or it does
/// not belong here. Reasons are the kubelet's.
struct PodRefusal {
    let pod: Pod
    /// The pods that hold something of this node.
    let others: [Pod]

    /// The first reason against the pod; nil when there is none.
    /// - Parameter node: the Node object, asked for when the pod came without a scheduler's decision.
    /// - Throws: the error of `node`.
    func judge(node: () throws -> JSON?) throws -> WaitingReason? {
        if !wasScheduled, let node = try node() {
            if let shortage = shortage(of: node) { return shortage }
            if !NodeSelector.accepts(podSpec: pod.specification, node: node) {
                return Self.failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
            }
            if let reason = portConflict ?? taint(of: node) { return reason }
            return wrongSystem
        }
        return portConflict
    }

    /// Whether a scheduler has looked at all of this.
    private var wasScheduled: Bool {
        pod.status["conditions"].arrayValue.contains {
            $0["type"].stringValue == "PodScheduled" && $0["status"].stringValue == "True"
        }
    }

    private static func failed(_ predicate: String, _ message: String) -> WaitingReason {
        WaitingReason(
            reason: predicate, message: "Pod was rejected: Predicate \(predicate) failed: \(message)")
    }

    // MARK: - Amounts

    private func shortage(of node: JSON) -> WaitingReason? {
        // What cannot be read was refused by the API; it asks for nothing here.
        guard let wanted = try? PodRequests(pod: pod.object),
            let capacity = try? PodRequests(amounts: node["status"]["allocatable"])
        else { return nil }
        var used = PodRequests()
        for other in others { if let requests = try? PodRequests(pod: other.object) { used.add(requests) } }
        let places = node["status"]["allocatable"]["pods"]
        if let most = places.integerValue ?? places.stringValue.flatMap({ Int64($0) }), others.count >= most {
            return Self.short("pods", 1, Int64(others.count), most)
        }
        let amounts: [(String, KeyPath<PodRequests, Int64>)] = [
            ("cpu", \.milliCPU), ("memory", \.memory), ("ephemeral-storage", \.ephemeralStorage),
        ]
        for (name, amount) in amounts
        where wanted[keyPath: amount] > max(0, capacity[keyPath: amount] - used[keyPath: amount]) {
            return Self.short(name, wanted[keyPath: amount], used[keyPath: amount], capacity[keyPath: amount])
        }
        for (name, amount) in wanted.extended.sorted(by: { $0.key < $1.key }) {
            // What the node does not count it does not refuse.
            guard let most = capacity.extended[name] else { continue }
            let taken = used.extended[name] ?? 0
            if amount > max(0, most - taken) { return Self.short(name, amount, taken, most) }
        }
        return nil
    }

    private static func short(_ resource: String, _ wanted: Int64, _ used: Int64, _ capacity: Int64) -> WaitingReason {
        WaitingReason(
            reason: "OutOf\(resource)",
            message: "Pod was rejected: Node didn't have enough resource: \(resource), requested: \(wanted), "
                + "used: \(used), capacity: \(capacity)")
    }

    // MARK: - Taints and the system

    /// A pod that would have to leave at once does not begin.
    private func taint(of node: JSON) -> WaitingReason? {
        let tolerations = pod.specification["tolerations"].arrayValue
        let repels = node["spec"]["taints"].arrayValue.contains { taint in
            taint["effect"].stringValue == "NoExecute" && !tolerations.contains { TolerationMatch.covers($0, taint) }
        }
        return repels ? Self.failed("TaintToleration", "node(s) had taints that the pod didn't tolerate") : nil
    }

    private var wrongSystem: WaitingReason? {
        guard let name = pod.specification["os"]["name"].stringValue, name != "linux" else { return nil }
        return WaitingReason(
            reason: "PodOSNotSupported",
            message: "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS")
    }

    // MARK: - Ports

    private var portConflict: WaitingReason? {
        let wanted = Self.ports(pod)
        if wanted.isEmpty { return nil }
        let taken = others.flatMap(Self.ports)
        guard wanted.contains(where: { port in taken.contains { port.conflicts(with: $0) } }) else { return nil }
        return Self.failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    }

    private struct Port {
        var number: Int64
        var transport: String
        /// Empty for all addresses.
        var address: String

        func conflicts(with other: Port) -> Bool {
            number == other.number && transport == other.transport
                && (address.isEmpty || other.address.isEmpty || address == other.address)
        }
    }

    private static func ports(_ pod: Pod) -> [Port] {
        pod.regularContainers.flatMap { container in
            container.object["ports"].arrayValue.compactMap { port -> Port? in
                guard let number = port["hostPort"].integerValue, number > 0 else { return nil }
                let address = port["hostIP"].stringValue ?? ""
                return Port(
                    number: number, transport: port["protocol"].stringValue ?? "TCP",
                    address: address == "0.0.0.0" ? "" : address)
            }
        }
    }
}
