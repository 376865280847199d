import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The default scheduler: provides hostd.scheduler/1 over `Placement`, and hands it on in hostd.scheduler.state/1.
public final class SchedulerPlugin: Plugin, SchedulerProvider, LiveStateProvider {
    public static let description = PluginDescription(
        name: "scheduler", version: "0.1.0", summary: "Chooses nodes as Kubernetes' default profile does",
        provides: [HOSTD_SCHEDULER_1, HOSTD_STATE_1])
    public static let optionsSchema = ""

    /// What was told, and the revision that counts the telling.
    private struct Knowledge {
        var placement = Placement()
        /// Begins at the time, so that no two histories share a number.
        var revision = Self.freshRevision()
        /// Of the last base that was handed out, while its changes may be asked for.
        var trace: (mark: UInt64, changes: ChangeTrace)?

        mutating func forget() {
            placement = Placement()
            revision = Self.freshRevision()
            trace?.changes.noteReset()
        }

        private static func freshRevision() -> UInt64 {
            let now = Timestamp.now()
            return UInt64(bitPattern: now.seconds &* 1_000_000_000 &+ Int64(now.nanoseconds))
        }
    }

    private struct Tables: @unchecked Sendable {
        // SAFETY: written once under the mutex; the tables themselves are immutable and live as long as the image.
        var scheduler: UnsafePointer<hostd_interface>?
        var state: UnsafePointer<hostd_interface>?
    }

    private let knowledge = Mutex(Knowledge())
    private let tables = Mutex(Tables())
    private let marks = Atomic<UInt64>(0)

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
                if tables.state == nil { tables.state = RoleTable.liveState(self) }
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
        let (placement, revision) = try reading("the state") { try Self.content(of: state, Placement.imported) }
        knowledge.withLock {
            $0.placement = placement
            $0.revision = revision
        }
    }

    /// Calls go on beside the copy: it shares its memory with what they change until they do.
    public func exportBase() throws -> (mark: UInt64, state: [UInt8]) {
        let mark = marks.wrappingAdd(1, ordering: .relaxed).newValue
        let (placement, revision) = knowledge.withLock { knowledge in
            knowledge.trace = (mark, ChangeTrace())
            return (knowledge.placement, knowledge.revision)
        }
        return (mark, placement.exported(revision: revision))
    }

    public func exportChanges(since mark: UInt64) throws -> [UInt8] {
        try knowledge.withLock { knowledge in
            guard let trace = knowledge.trace, trace.mark == mark else {
                throw PluginError(code: HOSTD_ERROR_NOT_FOUND, message: "no changes are remembered for mark \(mark)")
            }
            knowledge.trace = (mark, ChangeTrace())
            return knowledge.placement.exported(trace.changes, revision: knowledge.revision)
        }
    }

    public func exportEnd(_ mark: UInt64) {
        knowledge.withLock { if $0.trace?.mark == mark { $0.trace = nil } }
    }

    public func importChanges(_ changes: [UInt8]) throws {
        try reading("the changes") {
            try Self.content(of: changes) { content in
                try knowledge.withLock { knowledge in
                    // Whoever follows this one is told everything anew.
                    knowledge.trace?.changes.noteReset()
                    knowledge.revision = try knowledge.placement.take(changes: content)
                }
            }
        }
    }

    /// What follows the first line, which must be the one that is known.
    private static func content<Result>(
        of state: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        let format = Array("\(HOSTD_SCHEDULER_STATE_1)\n".utf8)
        guard state.starts(with: format) else {
            throw PluginError(
                code: HOSTD_ERROR_VERSION,
                message: "the scheduler takes over state of format \(HOSTD_SCHEDULER_STATE_1)")
        }
        return try state.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[format.count...])) }
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
        told(.node(name)) { $0.setNode(description) }
    }

    public func nodeRemove(_ name: String) throws { told(.node(name)) { $0.removeNode(name) } }

    public func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {
        let description = try describe(pod, uid, object, isPlaced: true)
        told(.pod(uid)) { $0.setPod(uid: uid, description, node: node) }
    }

    public func podRemove(_ uid: String) throws { told(.pod(uid)) { $0.removePod(uid: uid) } }

    public func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
    ) throws -> SchedulingDecision {
        let description = try describe(pod, uid, object)
        switch told(.pod(uid), { $0.schedule(uid: uid, description) }) {
        case .placed(let node): return .place(node: node)
        case .refused(let nodes, let reasons):
            return .refuse(
                nodes: nodes, refusals: reasons.map { SchedulingRefusal(reason: $0.reason, nodes: $0.nodes) })
        }
    }

    public func reset() throws { knowledge.withLock { $0.forget() } }

    public func revision() -> UInt64 { knowledge.withLock { $0.revision } }

    private func told<Result: Sendable>(
        _ subject: ChangeTrace.Subject, _ change: (inout Placement) -> Result
    ) -> Result {
        knowledge.withLock { knowledge in
            knowledge.revision += 1
            knowledge.trace?.changes.note(subject)
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
        } catch let failure as PluginError {
            throw failure
        } catch let failure {
            throw PluginError.invalid("\(subject): \(failure)")
        }
    }
}
