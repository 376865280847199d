import Objects

/// Why the node does not take a pod that was bound to it past the scheduler: it would take what another pod has.
enum PodRefusal {
    /// - Parameter others: the pods that hold something of this node.
    static func judge(_ pod: Pod, among others: [Pod]) -> WaitingReason? {
        let wanted = ports(pod)
        if wanted.isEmpty { return nil }
        let taken = others.flatMap(ports)
        guard wanted.contains(where: { port in taken.contains { port.conflicts(with: $0) } }) else { return nil }
        return WaitingReason(
            reason: "NodePorts",
            message:
                "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
        )
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
