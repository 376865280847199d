import Objects

/// The quality-of-service class of a pod; it decides who is killed first when memory runs out.
enum QualityOfService: String, Sendable {
    case guaranteed = "Guaranteed"
    case burstable = "Burstable"
    case bestEffort = "BestEffort"

    /// The class by the rules of the Kubernetes API: every container with equal cpu and memory requests and limits is
    /// Guaranteed, none with any is BestEffort.
    static func classify(_ specification: JSON) -> QualityOfService {
        // Resources of the pod as a whole decide alone, where it has them.
        let own = specification["resources"]
        let containers =
            own["requests"].isEmpty && own["limits"].isEmpty
            ? specification["initContainers"].arrayValue + specification["containers"].arrayValue : [specification]
        var any = false
        var guaranteed = true
        for container in containers {
            for name in ["cpu", "memory"] {
                let limit = amount(container["resources"]["limits"][name])
                let request = amount(container["resources"]["requests"][name])
                if (limit ?? 0) > 0 || (request ?? 0) > 0 { any = true }
                if limit == nil || limit == 0 || (request != nil && request != limit) { guaranteed = false }
            }
        }
        if !any { return .bestEffort }
        return guaranteed ? .guaranteed : .burstable
    }

    /// A quantity in thousandths; nil when absent or unreadable (the API has validated it).
    static func amount(_ json: JSON) -> Int64? { ResourceQuantity.milliValue(json) }

    /// The kernel's oom_score_adj of a container: lower is killed later.
    static func oomScoreAdjust(
        _ quality: QualityOfService, memoryRequestBytes: Int64, nodeMemoryBytes: Int64
    ) -> Int64 {
        switch quality {
        case .guaranteed: return -997
        case .bestEffort: return 1000
        case .burstable:
            guard nodeMemoryBytes > 0 else { return 999 }
            let score = 1000 - Int64(1000 * Double(memoryRequestBytes) / Double(nodeMemoryBytes))
            return min(max(score, 3), 999)
        }
    }
}
