import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The default scheduler: provides hostd.scheduler/1 over `Placement`.
public final class SchedulerPlugin: Plugin, SchedulerProvider {
    public static let description = PluginDescription(
        name: "scheduler", version: "0.1.0", summary: "Chooses nodes as Kubernetes' default profile does",
        provides: [HOSTD_SCHEDULER_1])
    public static let optionsSchema = ""

    private let placement = Mutex(Placement())
    private let table = Mutex(Table())
    private struct Table: @unchecked Sendable {
        // SAFETY: written once under the mutex; the table itself is immutable and lives as long as the image.
        var pointer: UnsafePointer<hostd_interface>?
    }

    public init(host: Host) throws {}

    public func configure(_ configuration: PluginConfiguration) throws {}

    public func activate() throws {}

    /// Forgets everything: the caller feeds a provider anew when it becomes active.
    public func deactivate() throws { placement.withLock { $0 = Placement() } }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard id == HOSTD_SCHEDULER_1 else { return nil }
        return table.withLock { table in
            if table.pointer == nil { table.pointer = RoleTable.scheduler(self) }
            return table.pointer
        }
    }

    // MARK: hostd.scheduler/1

    public func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) throws {
        let flags = Int32(bitPattern: node.flags)
        let allocatable = Amounts(
            milliCPU: node.milli_cpu, memory: node.memory_bytes, ephemeralStorage: node.ephemeral_storage_bytes,
            pods: node.pods)
        let description = try reading("node \(name)") {
            try NodeDescription(
                name: name, object: JSON(parsing: object), allocatable: allocatable,
                isReady: flags & Int32(HOSTD_SCHEDULER_NODE_READY) != 0,
                isUnschedulable: flags & Int32(HOSTD_SCHEDULER_NODE_UNSCHEDULABLE) != 0)
        }
        placement.withLock { $0.setNode(description) }
    }

    public func nodeRemove(_ name: String) throws { placement.withLock { $0.removeNode(name) } }

    public func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {
        let description = try describe(pod, uid, object)
        placement.withLock { $0.setPod(uid: uid, description, node: node) }
    }

    public func podRemove(_ uid: String) throws { placement.withLock { $0.removePod(uid: uid) } }

    public func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
    ) throws -> SchedulingDecision {
        let description = try describe(pod, uid, object)
        switch placement.withLock({ $0.schedule(uid: uid, description) }) {
        case .placed(let node): return .place(node: node)
        case .refused(let nodes, let reasons):
            return .refuse(
                nodes: nodes, refusals: reasons.map { SchedulingRefusal(reason: $0.reason, nodes: $0.nodes) })
        }
    }

    public func reset() throws { placement.withLock { $0 = Placement() } }

    private func describe(
        _ pod: hostd_scheduler_pod, _ uid: String, _ object: UnsafeRawBufferPointer
    ) throws -> PodDescription {
        var description = try reading("pod \(uid)") { try PodDescription(JSON(parsing: object)) }
        description.priority = pod.priority
        description.amounts = Amounts(
            milliCPU: pod.milli_cpu, memory: pod.memory_bytes, ephemeralStorage: pod.ephemeral_storage_bytes, pods: 1)
        return description
    }

    /// Names the object in the error of a value that cannot be read.
    private func reading<Result>(_ subject: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let failure {
            throw PluginError.invalid("\(subject): \(failure)")
        }
    }
}
