import Objects

/// How many replicas one value asks for that is not a pod's: of an object, or of something outside the cluster. Pure.
struct ValueDemand {
    /// Thousandths.
    let value: Int64
    let pods: [JSON]
    /// The size that the target is to have.
    let current: Int64
    /// How many pods it has.
    let present: Int64
    let tolerance: ReplicaCalculator.Tolerance

    /// The size that brings the whole value to a target: it is thought to fall as the pods that are ready grow in number.
    func replicas(reaching target: Int64) -> Int64 {
        let ratio = Double(value) / Double(max(1, target))
        if current == 0 { return Self.roundedUp(ratio) }
        if tolerance.covers(ratio) { return current }
        let ready = pods.count {
            PodState($0).phase == "Running" && PodState($0).isReady && !PodState($0).isTerminating
        }
        return Self.roundedUp(ratio * Double(ready))
    }

    /// The size at which each pod has its share of the value.
    func replicas(averaging target: Int64) -> Int64 {
        let target = max(1, target)
        let ratio = Double(value) / (Double(target) * Double(present))
        if present > 0, tolerance.covers(ratio) { return present }
        return Self.roundedUp(Double(value) / Double(target))
    }

    /// Thousandths per pod.
    var average: Int64 { present > 0 ? Int64((Double(value) / Double(present)).rounded(.up)) : 0 }

    private static func roundedUp(_ size: Double) -> Int64 { Int64(max(0, min(size.rounded(.up), 1e15))) }
}
