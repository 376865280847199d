import Objects
import PluginAPI

/// What a scheduler decided for one pod.
public enum SchedulingDecision: Sendable, Equatable {
    /// The pod counts as placed on this node from now on.
    case place(node: String)
    /// No node fits: each node counts once, under its first reason.
    case refuse(nodes: Int, refusals: [SchedulingRefusal])
}

/// How many nodes were refused for one reason.
public struct SchedulingRefusal: Sendable, Equatable {
    public let reason: String
    public let nodes: Int
    public init(reason: String, nodes: Int) {
        self.reason = reason
        self.nodes = nodes
    }
}

/// Role hostd.scheduler/1 in Swift; see hostd/roles/scheduler.h. The caller never runs two calls at once. Objects are
/// borrowed JSON bytes.
public protocol SchedulerProvider: AnyObject, Sendable {
    func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) throws
    func nodeRemove(_ name: String) throws
    func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws
    func podRemove(_ uid: String) throws
    func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
    ) throws -> SchedulingDecision
    func reset() throws
    /// See `revision` in the header. Without an implementation the caller feeds anew after every change of provider.
    func revision() throws -> UInt64
}

extension SchedulerProvider {
    public func revision() throws -> UInt64 { throw PluginError.notSupported("this scheduler counts no revisions") }
}

extension SchedulingDecision {
    var json: JSON {
        switch self {
        case .place(let node): ["node": .string(node)]
        case .refuse(let nodes, let refusals):
            [
                "nodes": .integer(Int64(nodes)),
                "refusals": .array(
                    refusals.map { ["reason": .string($0.reason), "nodes": .integer(Int64($0.nodes))] }),
            ]
        }
    }

    init(json: JSON) {
        if let node = json["node"].stringValue {
            self = .place(node: node)
        } else {
            self = .refuse(
                nodes: Int(json["nodes"].integerValue ?? 0),
                refusals: json["refusals"].arrayValue.map {
                    SchedulingRefusal(
                        reason: $0["reason"].stringValue ?? "", nodes: Int($0["nodes"].integerValue ?? 0))
                })
        }
    }
}

extension RoleTable {
    /// The C table of a provider of hostd.scheduler/1. It keeps the provider alive until `release`.
    public static func scheduler(_ implementation: any SchedulerProvider) -> UnsafePointer<hostd_interface> {
        typealias Provider = any SchedulerProvider
        let table = allocate(
            hostd_scheduler_1.self, id: HOSTD_SCHEDULER_1, slots: HOSTD_SCHEDULER_1_SLOTS,
            box: ProviderBox<any SchedulerProvider>(implementation))
        table.pointee.node_set = { this, node, name, nameSize, object, objectSize, error in
            answering(error) {
                try provider(of: this, as: Provider.self).nodeSet(
                    try flat(node), name: borrowedText(name, nameSize), object: borrowedBytes(object, objectSize))
            }
        }
        table.pointee.node_remove = { this, name, size, error in
            answering(error) {
                try provider(of: this, as: Provider.self).nodeRemove(borrowedText(name, size))
            }
        }
        table.pointee.pod_set = { this, pod, uid, uidSize, node, nodeSize, object, objectSize, error in
            answering(error) {
                try provider(of: this, as: Provider.self).podSet(
                    try flat(pod), uid: borrowedText(uid, uidSize), node: borrowedText(node, nodeSize),
                    object: borrowedBytes(object, objectSize))
            }
        }
        table.pointee.pod_remove = { this, uid, size, error in
            answering(error) {
                try provider(of: this, as: Provider.self).podRemove(borrowedText(uid, size))
            }
        }
        table.pointee.schedule = { this, deadline, pod, uid, uidSize, object, objectSize, decision, error in
            answering(error) {
                let made = try provider(of: this, as: Provider.self).schedule(
                    try flat(pod), uid: borrowedText(uid, uidSize), object: borrowedBytes(object, objectSize),
                    deadline: deadline)
                decision.pointee = hostd_buffer(copying: made.json)
            }
        }
        table.pointee.reset = { this, error in
            answering(error) { try provider(of: this, as: Provider.self).reset() }
        }
        table.pointee.revision = { this, revision, error in
            answering(error) { revision.pointee = try provider(of: this, as: Provider.self).revision() }
        }
        return finish(table)
    }
}

/// The consumer's side of SchedulerProvider.
public final class SchedulerClient: SchedulerProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table; the role's contract makes the caller serialize its calls.
    private let table: UnsafePointer<hostd_scheduler_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public convenience init(_ host: Host) throws(PluginError) {
        self.init(try host.table(HOSTD_SCHEDULER_1, as: hostd_scheduler_1.self))
    }

    public init(_ table: UnsafePointer<hostd_scheduler_1>) { self.table = table }

    private func bytes<Result>(
        _ object: UnsafeRawBufferPointer, _ body: (UnsafePointer<UInt8>, UInt64) -> Result
    ) -> Result {
        guard let base = object.baseAddress else { return lend("", body) }
        return body(base.assumingMemoryBound(to: UInt8.self), UInt64(object.count))
    }

    public func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) throws {
        var node = node
        node.struct_size = UInt32(MemoryLayout<hostd_scheduler_node>.size)
        try checked { error in
            lend(name) { nameData, nameSize in
                bytes(object) { table.pointee.node_set(this, &node, nameData, nameSize, $0, $1, error) }
            }
        }
    }

    public func nodeRemove(_ name: String) throws {
        try checked { error in lend(name) { table.pointee.node_remove(this, $0, $1, error) } }
    }

    public func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {
        var pod = pod
        pod.struct_size = UInt32(MemoryLayout<hostd_scheduler_pod>.size)
        try checked { error in
            lend(uid) { uidData, uidSize in
                lend(node) { nodeData, nodeSize in
                    bytes(object) {
                        table.pointee.pod_set(this, &pod, uidData, uidSize, nodeData, nodeSize, $0, $1, error)
                    }
                }
            }
        }
    }

    public func podRemove(_ uid: String) throws {
        try checked { error in lend(uid) { table.pointee.pod_remove(this, $0, $1, error) } }
    }

    public func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64 = 0
    ) throws -> SchedulingDecision {
        var pod = pod
        pod.struct_size = UInt32(MemoryLayout<hostd_scheduler_pod>.size)
        let buffer = try checkedBuffer { out, error in
            lend(uid) { uidData, uidSize in
                bytes(object) { table.pointee.schedule(this, deadline, &pod, uidData, uidSize, $0, $1, out, error) }
            }
        }
        return SchedulingDecision(json: try buffer.json())
    }

    public func reset() throws { try checked { table.pointee.reset(this, $0) } }

    public func revision() throws -> UInt64 {
        var revision: UInt64 = 0
        try checked { table.pointee.revision(this, &revision, $0) }
        return revision
    }
}
