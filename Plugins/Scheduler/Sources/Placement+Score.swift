extension Placement {
    /// Weights of the scores, each from 0 to 100 (Kubernetes' default profile).
    private enum Weight {
        static let leastAllocated: Int64 = 1
        static let balanced: Int64 = 1
        static let nodeAffinity: Int64 = 2
        static let taints: Int64 = 3
        static let podAffinity: Int64 = 2
        static let spread: Int64 = 2
    }

    /// The weighted score of each fitting node, in the same order.
    func scores(of fitting: [Int], for pod: PodDescription, relations: PodRelations?) -> [Int64] {
        var scores = fitting.map { position in
            Weight.leastAllocated * leastAllocated(pod, at: position) + Weight.balanced * balance(pod, at: position)
        }
        if !pod.preferredNodeTerms.isEmpty {
            add(to: &scores, weight: Weight.nodeAffinity, fitting, lowIsBest: false) { position in
                pod.preferredNodeTerms.reduce(0) {
                    $1.term.matches(nodes[position].description) ? $0 + $1.weight : $0
                }
            }
        }
        if fitting.contains(where: { loads[$0].flags.contains(.softTaints) }) {
            add(to: &scores, weight: Weight.taints, fitting, lowIsBest: true) { position in
                Int64(
                    nodes[position].description.taints.count {
                        $0.effect == .preferNoSchedule && !pod.tolerations.tolerate($0)
                    })
            }
        }
        if let relations, relations.scoresAffinity {
            add(to: &scores, weight: Weight.podAffinity, fitting, lowIsBest: false) {
                relations.affinityScore(of: nodes[$0].description)
            }
        }
        if let relations, relations.scoresSpread {
            add(to: &scores, weight: Weight.spread, fitting, lowIsBest: true) {
                relations.spreadCost(of: nodes[$0].description)
            }
        }
        return scores
    }

    /// Adds a raw measure, stretched so that its range over the fitting nodes becomes 0…100.
    private func add(
        to scores: inout [Int64], weight: Int64, _ fitting: [Int], lowIsBest: Bool, measure: (Int) -> Int64
    ) {
        let raw = fitting.map(measure)
        guard let least = raw.min(), let most = raw.max(), most > least else { return }
        // A measure that starts at zero keeps its proportion, as in Kubernetes' DefaultNormalizeScore.
        let floor = min(least, 0)
        for index in scores.indices {
            let share = 100 * (raw[index] - floor) / (most - floor)
            scores[index] += weight * (lowIsBest ? 100 - share : share)
        }
    }

    /// The free share of CPU and memory after placing the pod, 0…100.
    private func leastAllocated(_ pod: PodDescription, at position: Int) -> Int64 {
        let load = loads[position]
        var sum: Int64 = 0
        var count: Int64 = 0
        if load.allocatable.milliCPU > 0 {
            let free = load.allocatable.milliCPU - load.scoredMilliCPU - pod.scoredMilliCPU
            sum += free > 0 ? free * 100 / load.allocatable.milliCPU : 0
            count += 1
        }
        if load.allocatable.memory > 0 {
            let free = load.allocatable.memory - load.scoredMemory - pod.scoredMemory
            sum += free > 0 ? Int64(100 * Double(free) / Double(load.allocatable.memory)) : 0
            count += 1
        }
        return count == 0 ? 0 : sum / count
    }

    /// How evenly CPU and memory would be used, 0…100: 100 less the standard deviation of their used shares.
    private func balance(_ pod: PodDescription, at position: Int) -> Int64 {
        let load = loads[position]
        guard load.allocatable.milliCPU > 0, load.allocatable.memory > 0 else { return 100 }
        let cpu = min(
            1, Double(load.requested.milliCPU + pod.amounts.milliCPU) / Double(load.allocatable.milliCPU))
        let memory = min(1, Double(load.requested.memory + pod.amounts.memory) / Double(load.allocatable.memory))
        return Int64((1 - (cpu - memory).magnitude / 2) * 100)
    }
}
