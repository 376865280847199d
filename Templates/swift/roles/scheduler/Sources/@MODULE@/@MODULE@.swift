import Objects
import PluginAPI
import PluginKit
import Synchronization

/// A scheduler. It places each pod on the node that has the greatest share of its cores and memory left.
///
/// To make it yours, change `Cluster.score`. `Cluster.refusal` decides which nodes are asked at all.
final class @MODULE@: Plugin, SchedulerProvider {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Places pods where most is left.", provides: [HOSTD_SCHEDULER_1])
    static let optionsSchema = """
        {"type":"object","properties":{"cpuWeight":{"type":"integer","minimum":0,"maximum":100,"default":50,
        "description":"How much cores count against memory, in percent."}}}
        """

    private let host: Host
    // The host calls a scheduler's slots one at a time; the lock makes that known to the compiler, for a few nanoseconds.
    private let cluster = Mutex(Cluster())
    private let table = ProvidedTable()

    init(host: Host) { self.host = host }

    func configure(_ configuration: PluginConfiguration) {
        let percent = configuration.options["cpuWeight"].integerValue ?? 50
        cluster.withLock { $0 = Cluster(cpuWeight: Double(percent) / 100) }
    }

    func activate() {
        let weight = cluster.withLock { $0.cpuWeight }
        host.log.info("cores count \(weight) of 1 against memory")
    }

    /// Whoever activates the scheduler again feeds it anew.
    func deactivate() { reset() }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_SCHEDULER_1 ? table.once { RoleTable.scheduler(self) } : nil
    }
}

extension @MODULE@ {
    func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) throws {
        let allocatable = try Amounts(
            milliCPU: node.milli_cpu, memory: node.memory_bytes, storage: node.ephemeral_storage_bytes, pods: node.pods)
        guard !name.isEmpty else { throw PluginError.invalid("the node's name is empty") }
        let object = (try? JSON(parsing: object)) ?? .null  // Without the object, the amounts still say enough.
        cluster.withLock { $0.setNode(name, Cluster.Node(allocatable: allocatable, flags: node.flags, object: object)) }
    }

    func nodeRemove(_ name: String) { cluster.withLock { $0.removeNode(name) } }

    func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {
        let uses = try Amounts(pod)
        guard !uid.isEmpty, !node.isEmpty else { throw PluginError.invalid("the pod's uid or its node is empty") }
        cluster.withLock { $0.confirm(uid, on: node, uses) }
    }

    func podRemove(_ uid: String) { cluster.withLock { $0.removePod(uid) } }

    func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
    ) throws -> SchedulingDecision {
        let uses = try Amounts(pod)
        guard !uid.isEmpty else { throw PluginError.invalid("the pod's uid is empty") }
        guard deadline == 0 || monotonicNanoseconds() <= deadline else {
            throw PluginError.deadlineExceeded("the deadline had passed when the call came in")
        }
        let object = (try? JSON(parsing: object)) ?? .null
        return cluster.withLock { $0.schedule(uid, uses, object) }
    }

    func reset() { cluster.withLock { $0 = Cluster(cpuWeight: $0.cpuWeight) } }

    func revision() throws -> UInt64 { cluster.withLock { $0.revision } }
}

extension Amounts {
    init(_ pod: hostd_scheduler_pod) throws {
        try self.init(
            milliCPU: pod.milli_cpu, memory: pod.memory_bytes, storage: pod.ephemeral_storage_bytes, pods: 1)
    }
}
