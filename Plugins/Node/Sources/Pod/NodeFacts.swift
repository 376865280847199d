import Synchronization

/// What the node knows of itself and needs when it starts pods.
struct NodeFacts: Sendable, Equatable {
    var nodeName: String
    var clusterDomain = "cluster.local"
    var clusterDNS = "10.96.0.10"
    var addresses: [String] = []
    var memoryBytes: Int64 = 0
    var allocatable = ResourceFieldReference.NodeAllocatable()

    static func == (left: NodeFacts, right: NodeFacts) -> Bool {
        left.nodeName == right.nodeName && left.addresses == right.addresses && left.memoryBytes == right.memoryBytes
            && left.clusterDomain == right.clusterDomain && left.clusterDNS == right.clusterDNS
    }
}
