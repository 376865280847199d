import Objects
import PluginKit
import Synchronization

/// Keeps the Node object and its Lease true.
final class NodeRegistration: Sendable {
    static let leaseSeconds: Int64 = 40
    /// Without news the status is written this often, seconds.
    static let heartbeatSeconds = 300.0

    struct Inputs: Sendable {
        var host: HostFacts
        var dataDirectory: String
        var runtimeVersion: String
        /// Of the node's own paths.
        var port = NodePort.usual
    }

    private struct State {
        var isRegistered = false
        var hasLease = false
        /// The lease goes with the node when that is deleted.
        var leaseHasOwner = false
        var last: JSON = .null
        var lastWritten = 0.0
        var leaseFailures = 0
        /// Whether the event log was told that the node works.
        var hasAnnounced = false
        /// Nil before it was looked at.
        var isSchedulable: Bool?
    }

    private let api: APIClient
    private let objects: any ObjectReader
    private let runtime: any RuntimeProvider
    private let network: any NetworkProvider
    private let devices: DeviceAllocator
    private let inputs: Inputs
    private let facts: @Sendable () -> NodeFacts
    private let tell: @Sendable (JSON, NodeEvent) -> Void
    private let log: NodeLog
    private let state = Mutex(State())

    init(
        api: APIClient, objects: any ObjectReader, runtime: any RuntimeProvider, network: any NetworkProvider,
        devices: DeviceAllocator, inputs: Inputs, facts: @escaping @Sendable () -> NodeFacts,
        tell: @escaping @Sendable (JSON, NodeEvent) -> Void, log: NodeLog
    ) {
        self.api = api
        self.objects = objects
        self.runtime = runtime
        self.network = network
        self.devices = devices
        self.inputs = inputs
        self.facts = facts
        self.tell = tell
        self.log = log
    }

    /// Registers the node when needed, and writes its status when it changed or was not written for five minutes.
    func update() throws {
        let builder = try builder()
        let name = builder.nodeName
        if !state.withLock({ $0.isRegistered }) { try register(builder) }
        let present = try objects.object("nodes//\(name)") ?? .null
        if present.isNull {
            // Deleted by someone: a node that lives comes back.
            state.withLock { $0.isRegistered = false }
            try register(builder)
        }
        announce(present)
        let now = WallClock.now()
        let status = builder.status(old: present["status"], now: WallClock.timestamp())
        let plain = NodeStatusBuilder.withoutHeartbeats(status)
        let isNews = state.withLock { $0.last != plain || now - $0.lastWritten > Self.heartbeatSeconds }
        guard isNews else { return }
        try api.patch("v1", "nodes", namespace: "", name: name, subresource: "status", ["status": status])
        if present.exists { tellChanges(from: present["status"], to: status, of: present) }
        state.withLock { state in
            state.last = plain
            state.lastWritten = now
        }
    }

    /// Tells the event log that the node works, once, and whether it takes pods, when that has changed.
    private func announce(_ node: JSON) {
        guard node.exists else { return }
        let isSchedulable = node["spec"]["unschedulable"].boolValue != true
        let (isFirst, hasChanged) = state.withLock { state in
            defer {
                state.hasAnnounced = true
                state.isSchedulable = isSchedulable
            }
            return (!state.hasAnnounced, state.isSchedulable.map { $0 != isSchedulable } ?? false)
        }
        if isFirst { tell(node, .starting) }
        if hasChanged { tell(node, .schedulable(node.name, isSchedulable)) }
    }

    private func tellChanges(from old: JSON, to new: JSON, of node: JSON) {
        for event in NodeEvent.between(old, new, node: node.name) { tell(node, event) }
    }

    private func builder() throws -> NodeStatusBuilder {
        let facts = facts()
        let deadline = WallClock.deadline(seconds: 10)
        var problems: [String] = []
        var features: JSON = [:]
        for (name, call) in [
            ("container runtime", { try self.runtime.status([:], deadline: deadline) }),
            ("network", { try self.network.status([:], deadline: deadline) }),
        ] as [(String, () throws -> JSON)] {
            do {
                let status = try call()
                if status["features"].exists { features = status["features"] }
                if status["ready"].boolValue == false {
                    problems.append("\(name) is not ready: \(status["reason"].stringValue ?? "no reason given")")
                }
            } catch {
                problems.append("\(name) does not answer: \(error)")
            }
        }
        var images: [JSON] = []
        if problems.isEmpty { images = try runtime.listImages([:], deadline: deadline)["images"].arrayValue }
        images.sort { ($0["size"].integerValue ?? 0) > ($1["size"].integerValue ?? 0) }
        return NodeStatusBuilder(
            nodeName: facts.nodeName, host: inputs.host,
            pressure: try HostPressure.read(dataDirectory: inputs.dataDirectory),
            diskBytes: HostPressure.diskBytes(inputs.dataDirectory), addresses: facts.addresses,
            devices: devices.resources, images: images,
            notReady: problems.isEmpty ? nil : problems.joined(separator: "; "), runtimeVersion: inputs.runtimeVersion,
            runtimeFeatures: features, port: inputs.port)
    }

    private func register(_ builder: NodeStatusBuilder) throws {
        var object = builder.registration()
        object["status"] = builder.status(old: .null, now: WallClock.timestamp())
        do {
            let made = try api.create("nodes", object)
            tellChanges(from: .null, to: object["status"], of: made)
            log.info("registered the node", ["node": .string(builder.nodeName)])
        } catch let error as APIError where error.isAlreadyExists {
            // The labels that the node owns are brought up to date; others are left alone.
            try api.patch(
                "v1", "nodes", namespace: "", name: builder.nodeName, ["metadata": ["labels": .object(builder.labels)]])
        }
        state.withLock { $0.isRegistered = true }
    }

    // MARK: - Lease

    /// Says that the node lives: every ten seconds.
    func renewLease() throws {
        let name = facts().nodeName
        let time = JSON.string(WallClock.microTimestamp())
        if state.withLock({ $0.hasLease && $0.leaseHasOwner }) {
            do {
                try api.patch(
                    "coordination.k8s.io/v1", "leases", namespace: "kube-node-lease", name: name,
                    ["spec": ["renewTime": time]])
                return
            } catch let error as APIError where error.isNotFound {
                state.withLock { $0.hasLease = false }
            }
        }
        let specification: JSON = [
            "holderIdentity": .string(name), "leaseDurationSeconds": .integer(Self.leaseSeconds), "renewTime": time,
        ]
        var metadata: JSON = ["name": .string(name), "namespace": "kube-node-lease"]
        // The node may not have registered yet: then the next renewal adds it.
        let node = try objects.object("nodes//\(name)")
        if let node {
            metadata["ownerReferences"] = [
                ["apiVersion": "v1", "kind": "Node", "name": .string(name), "uid": .string(node.uid)]
            ]
        }
        do {
            try api.create(
                "leases",
                [
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
                    "spec": specification,
                ])
        } catch let error as APIError where error.isAlreadyExists {
            try api.patch(
                "coordination.k8s.io/v1", "leases", namespace: "kube-node-lease", name: name,
                ["metadata": metadata, "spec": specification])
        }
        state.withLock { state in
            state.hasLease = true
            state.leaseHasOwner = node != nil
        }
    }
}
