import Objects

/// What pods take of a node: amounts by resource, one of "pods" each, and ports.
struct NodeUse: Equatable {
    var amounts: [String: Int64] = [:]
    var ports: [Port] = []

    /// A port of the node.
    struct Port: Equatable {
        var number: Int64
        var transport: String
        /// Empty for all addresses.
        var address: String

        func conflicts(with other: Port) -> Bool {
            number == other.number && transport == other.transport
                && (address.isEmpty || other.address.isEmpty || address == other.address)
        }
    }

    init() {}

    init(_ pod: JSON) throws {
        self.init(try PodRequests(pod: pod))
        amounts["pods"] = 1
        let sidecars = pod["spec"]["initContainers"].arrayValue.filter { $0["restartPolicy"] == "Always" }
        for container in pod["spec"]["containers"].arrayValue + sidecars {
            for port in container["ports"].arrayValue {
                guard let number = port["hostPort"].integerValue, number > 0 else { continue }
                let address = port["hostIP"].stringValue ?? ""
                ports.append(
                    Port(
                        number: number, transport: port["protocol"].stringValue ?? "TCP",
                        address: ["0.0.0.0", "::"].contains(address) ? "" : address))
            }
        }
    }

    init(allocatable: JSON) throws {
        self.init(try PodRequests(amounts: allocatable))
        // A node that does not say how many pods it takes does not limit them.
        amounts["pods"] = Int64(allocatable["pods"].stringValue ?? "") ?? allocatable["pods"].integerValue ?? .max
    }

    private init(_ requests: PodRequests) {
        amounts = requests.extended
        amounts["cpu"] = requests.milliCPU
        amounts["memory"] = requests.memory
        amounts["ephemeral-storage"] = requests.ephemeralStorage
    }

    mutating func add(_ other: NodeUse) {
        for (name, amount) in other.amounts { amounts[name, default: 0] += amount }
        ports += other.ports
    }

    func fits(into capacity: NodeUse, beside used: NodeUse) -> Bool {
        !ports.contains { port in used.ports.contains { port.conflicts(with: $0) } }
            && amounts.allSatisfy { name, amount in
                amount == 0 || amount <= (capacity.amounts[name] ?? 0) - (used.amounts[name] ?? 0)
            }
    }
}
