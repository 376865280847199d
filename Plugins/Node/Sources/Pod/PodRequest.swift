import Objects

/// How much of the node a pod keeps for itself: what its containers request, with the overhead of its runtime class.
struct PodRequest: Sendable, Equatable {
    /// Thousandths of a CPU.
    var cpuMilli: Int64 = 0
    var memoryBytes: Int64 = 0

    static func + (left: PodRequest, right: PodRequest) -> PodRequest {
        PodRequest(
            cpuMilli: left.cpuMilli &+ right.cpuMilli, memoryBytes: left.memoryBytes &+ right.memoryBytes)
    }

    /// The first resource of which `allocatable` has too little beside what `used` keeps, as messages tell of it.
    func shortage(
        of allocatable: ResourceFieldReference.NodeAllocatable, used: PodRequest = PodRequest()
    ) -> (resource: String, requested: Int64, used: Int64, capacity: Int64)? {
        let rows = [
            ("cpu", cpuMilli, used.cpuMilli, allocatable.cpuMilli),
            ("memory", memoryBytes, used.memoryBytes, allocatable.memoryBytes),
        ]
        return rows.first { $0.1 > 0 && $0.1 &+ $0.2 > $0.3 }
    }
}

extension PodRequest {
    /// Whether a pod may have what it wants in place of what it has; nil when it may. Deferred is what would fit once others
    /// have left, Infeasible what never will.
    static func judgeResize(
        _ wanted: PodRequest, others: PodRequest, allocatable: ResourceFieldReference.NodeAllocatable
    ) -> WaitingReason? {
        if let lack = wanted.shortage(of: allocatable) {
            return WaitingReason(
                reason: "Infeasible",
                message: "Node didn't have enough capacity: \(lack.resource), requested: \(lack.requested), "
                    + "capacity: \(lack.capacity)")
        }
        if let lack = wanted.shortage(of: allocatable, used: others) {
            return WaitingReason(
                reason: "Deferred",
                message: "Node didn't have enough resource: \(lack.resource), requested: \(lack.requested), "
                    + "used: \(lack.used), capacity: \(lack.capacity)")
        }
        return nil
    }
}
