import Objects
import PluginAPI
import PluginKit

/// Objects as the scheduler role takes them.
enum SchedulerInput {
    /// - Throws: the error of a quantity that does not parse.
    static func node(_ node: JSON) throws -> hostd_scheduler_node {
        let allocatable = node["status"]["allocatable"]
        let amounts = try PodRequests(amounts: allocatable)
        let pods = try allocatable["pods"].stringValue.map { try Quantity(parsing: $0).value }
        var flags: Int32 = 0
        if node["spec"]["unschedulable"].boolValue == true { flags |= Int32(HOSTD_SCHEDULER_NODE_UNSCHEDULABLE) }
        if node["status"]["conditions"].condition("Ready")["status"].stringValue == "True" {
            flags |= Int32(HOSTD_SCHEDULER_NODE_READY)
        }
        return hostd_scheduler_node(
            struct_size: UInt32(MemoryLayout<hostd_scheduler_node>.size), flags: UInt32(flags),
            milli_cpu: amounts.milliCPU, memory_bytes: amounts.memory,
            ephemeral_storage_bytes: amounts.ephemeralStorage,
            pods: pods ?? allocatable["pods"].integerValue ?? 0)
    }

    /// - Throws: the error of a quantity that does not parse.
    static func pod(_ pod: JSON) throws -> hostd_scheduler_pod {
        let requests = try PodRequests(pod: pod)
        return hostd_scheduler_pod(
            struct_size: UInt32(MemoryLayout<hostd_scheduler_pod>.size),
            priority: Int32(clamping: pod["spec"]["priority"].integerValue ?? 0), milli_cpu: requests.milliCPU,
            memory_bytes: requests.memory, ephemeral_storage_bytes: requests.ephemeralStorage)
    }

    /// Whether two states of a node are the same to a scheduler: heartbeats are not worth a word.
    static func isSameNode(_ one: JSON, _ other: JSON) -> Bool {
        func ready(_ node: JSON) -> JSON { node["status"]["conditions"].condition("Ready")["status"] }
        return one.labels == other.labels && one["spec"] == other["spec"] && ready(one) == ready(other)
            && one["status"]["allocatable"] == other["status"]["allocatable"]
    }

    /// Whether two states of a pod are the same to a scheduler.
    static func isSamePod(_ one: JSON, _ other: JSON) -> Bool {
        let (before, after) = (PodState(one), PodState(other))
        return before.isFinished == after.isFinished && before.isTerminating == after.isTerminating
            && one.labels == other.labels && counted(one)["spec"] == counted(other)["spec"]
            && one["status"]["resourceClaimStatuses"] == other["status"]["resourceClaimStatuses"]
    }

    /// A placed pod as it counts on its node: wishes that the node can never grant leave it with what it has.
    static func counted(_ pod: JSON) -> JSON {
        let resize = pod["status"]["conditions"].condition("PodResizePending")
        guard resize["reason"].stringValue == "Infeasible" else { return pod }
        var result = pod
        for (list, statuses) in [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")] {
            let present = pod["status"][statuses].arrayValue
            result["spec"][list].updateElements { (_, container: inout JSON) throws(Never) in
                let status = present.first { $0["name"] == container["name"] } ?? .null
                if status["resources"].exists { container["resources"] = status["resources"] }
            }
        }
        return result
    }

    /// Whether a pod that shows its node is otherwise what it was when the node was chosen.
    static func isSamePlaced(_ chosen: JSON, _ placed: JSON) -> Bool {
        var (before, after) = (chosen["spec"], placed["spec"])
        before.removeValue(forKey: "nodeName")
        after.removeValue(forKey: "nodeName")
        return chosen.labels == placed.labels && before == after
    }
}

/// Kubernetes' words for a pod that no node can take.
enum SchedulingMessage {
    static func text(nodes: Int, refusals: [SchedulingRefusal]) -> String {
        if nodes == 0 { return "no nodes available to schedule pods" }
        let parts = refusals.map { "\($0.nodes) \($0.reason)" }.sorted()
        return "0/\(nodes) nodes are available: \(parts.joined(separator: ", "))."
    }

    static func text(nodes: Int, blocked reason: String) -> String { "0/\(nodes) nodes are available: \(reason)." }
}
