import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The default scheduler: provides hostd.scheduler/1 over `Placement`, and hands it on in hostd.scheduler.state/1.
public final class SchedulerPlugin: Plugin, SchedulerProvider, StateProvider {
    public static let description = PluginDescription(
        name: "scheduler", version: "0.1.0", summary: "Chooses nodes as Kubernetes' default profile does",
        provides: [HOSTD_SCHEDULER_1, HOSTD_STATE_1])
    public static let optionsSchema = ""

    /// What was told, and the revision that counts the telling.
    private struct Knowledge {
        var placement = Placement()
        /// Begins at the time, so that no two histories share a number.
        var revision: UInt64

        init() {
            let now = Timestamp.now()
            revision = UInt64(bitPattern: now.seconds &* 1_000_000_000 &+ Int64(now.nanoseconds))
        }
    }

    private struct Tables: @unchecked Sendable {
        // SAFETY: written once under the mutex; the tables themselves are immutable and live as long as the image.
        var scheduler: UnsafePointer<hostd_interface>?
        var state: UnsafePointer<hostd_interface>?
    }

    private let knowledge = Mutex(Knowledge())
    private let tables = Mutex(Tables())

    public init(host: Host) throws {}

    public func configure(_ configuration: PluginConfiguration) throws {}

    public func activate() throws {}

    /// Forgets everything: what was told since may be more.
    public func deactivate() throws { knowledge.withLock { $0 = Knowledge() } }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        tables.withLock { tables in
            switch id {
            case HOSTD_SCHEDULER_1:
                if tables.scheduler == nil { tables.scheduler = RoleTable.scheduler(self) }
                return tables.scheduler
            case HOSTD_STATE_1:
                if tables.state == nil { tables.state = RoleTable.state(self) }
                return tables.state
            default: return nil
            }
        }
    }

    // MARK: hostd.state/1

    public func exportState() throws -> [UInt8] {
        knowledge.withLock { $0.placement.exported(revision: $0.revision) }
    }

    public func importState(_ state: [UInt8]) throws {
        let format = Array("\(HOSTD_SCHEDULER_STATE_1)\n".utf8)
        guard state.starts(with: format) else {
            throw PluginError(
                code: HOSTD_ERROR_VERSION,
                message: "the scheduler takes over state of format \(HOSTD_SCHEDULER_STATE_1)")
        }
        let (placement, revision) = try reading("the state") {
            try state.withUnsafeBytes { try Placement.imported(UnsafeRawBufferPointer(rebasing: $0[format.count...])) }
        }
        knowledge.withLock {
            $0.placement = placement
            $0.revision = revision
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
        told { $0.setNode(description) }
    }

    public func nodeRemove(_ name: String) throws { told { $0.removeNode(name) } }

    public func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {
        let description = try describe(pod, uid, object, isPlaced: true)
        told { $0.setPod(uid: uid, description, node: node) }
    }

    public func podRemove(_ uid: String) throws { told { $0.removePod(uid: uid) } }

    public func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
    ) throws -> SchedulingDecision {
        let description = try describe(pod, uid, object)
        switch told({ $0.schedule(uid: uid, description) }) {
        case .placed(let node): return .place(node: node)
        case .refused(let nodes, let reasons):
            return .refuse(
                nodes: nodes, refusals: reasons.map { SchedulingRefusal(reason: $0.reason, nodes: $0.nodes) })
        }
    }

    public func reset() throws { knowledge.withLock { $0 = Knowledge() } }

    public func revision() -> UInt64 { knowledge.withLock { $0.revision } }

    private func told<Result: Sendable>(_ change: (inout Placement) -> Result) -> Result {
        knowledge.withLock { knowledge in
            knowledge.revision += 1
            return change(&knowledge.placement)
        }
    }

    private func describe(
        _ pod: hostd_scheduler_pod, _ uid: String, _ object: UnsafeRawBufferPointer, isPlaced: Bool = false
    ) throws -> PodDescription {
        var description = try reading("pod \(uid)") { try PodDescription(JSON(parsing: object), isPlaced: isPlaced) }
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
