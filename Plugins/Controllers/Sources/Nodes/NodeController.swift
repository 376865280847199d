import Objects
import PluginKit
import Synchronization

/// Watches over nodes: marks silent ones, evicts pods that do not tolerate a node's taints, and removes pods whose node is
/// gone. Nothing polls: each node is looked at when it changes and when its Lease would run out.
final class NodeController: Controller {
    private static let leaseNamespace = "kube-node-lease"

    private let cluster: Cluster
    private let nodes: ControllerQueue
    private let pods: ControllerQueue
    /// The last heartbeat of each node and when it was first seen here, in monotonic seconds. Clocks of other machines do
    /// not matter, and after a restart every node has its full time.
    private let heartbeats = Mutex<[String: (value: String, seen: Int64)]>([:])

    private let taintTimes = TaintTimes()

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<NodeController>()
        nodes = try cluster.queue("nodes", workers: 1) { try box.value?.syncNode($0) ?? .done }
        pods = try cluster.queue("evictions", workers: 1) { try box.value?.syncPod($0) ?? .done }
        box.value = self
        cluster.nodes.onEvent { [unowned self] in nodeEvent($0) }
        // A renewed Lease of a node that was given up brings it back; others are read when their time is up.
        cluster.leases.onObject { [nodes, cluster] lease in
            guard lease.namespace == Self.leaseNamespace, let node = cluster.nodes.get("", lease.name) else { return }
            if node["status"]["conditions"].condition("Ready")["status"].stringValue == "Unknown" {
                nodes.add(lease.name)
            }
        }
        cluster.pods.onEvent { [unowned self] event in
            switch event {
            case .added(let pod): podChanged(pod)
            case .updated(let old, let new):
                if old["spec"]["nodeName"] != new["spec"]["nodeName"] { podChanged(new) }
            case .deleted, .synchronized: break
            }
        }
    }

    func start() {
        nodes.open()
        pods.open()
    }

    func stop() {
        nodes.stop()
        pods.stop()
    }

    private func nodeEvent(_ event: InformerEvent) {
        switch event {
        case .added(let node), .deleted(let node):
            nodes.add(node.name)
            addPods(of: node.name)
        case .updated(let old, let new):
            let isRetainted = old["spec"]["taints"] != new["spec"]["taints"]
            if isRetainted { addPods(of: new.name) }
            if isRetainted || NodeTaints.facts(old) != NodeTaints.facts(new) { nodes.add(new.name) }
        case .synchronized: break
        }
    }

    private func addPods(of node: String) {
        for pod in cluster.pods.list() where PodState(pod).nodeName == node { pods.add(objectKey(pod)) }
    }

    /// A pod matters here when its node is gone or repels it.
    private func podChanged(_ pod: JSON) {
        let name = PodState(pod).nodeName
        if name.isEmpty { return }
        let isHome = cluster.nodes.get("", name).map { $0["spec"]["taints"].arrayValue.isEmpty } ?? false
        if !isHome { pods.add(objectKey(pod)) }
    }

    private func syncNode(_ name: String) throws -> Requeue {
        guard let node = cluster.nodes.get("", name) else {
            heartbeats.withLock { _ = $0.removeValue(forKey: name) }
            taintTimes.forget(node: name)
            return .done
        }
        let now = Timestamp.now()
        var left: Int64?
        let clock = Int64(monotonicNanoseconds() / 1_000_000_000)
        switch NodeHealth.judge(lastSeen: lastSeen(node, clock), now: clock) {
        case .alive(let seconds): left = seconds + 1
        case .silent:
            if let conditions = NodeHealth.unknownConditions(node, now: now) {
                try cluster.writer.updateStatus(.nodes, node, status: node["status"].with("conditions", conditions))
                record(node, "NodeNotReady", "Node \(name) status is now: NodeNotReady")
                // Its event brings the node back, with the condition that the taints follow.
                return .done
            }
        }
        if let taints = NodeTaints.taints(node, now: now) {
            let patch: JSON = [
                "metadata": ["resourceVersion": .string(node.resourceVersion)], "spec": ["taints": .array(taints)],
            ]
            try cluster.writer.patch(.nodes, node, patch)
        }
        return .afterSeconds(left)
    }

    private func lastSeen(_ node: JSON, _ clock: Int64) -> Int64? {
        let lease = cluster.leases.get(Self.leaseNamespace, node.name)
        guard let value = NodeHealth.heartbeat(node, lease: lease) else { return nil }
        return heartbeats.withLock { heartbeats in
            if let known = heartbeats[node.name], known.value == value { return known.seen }
            heartbeats[node.name] = (value, clock)
            return clock
        }
    }

    private func syncPod(_ key: String) throws -> Requeue {
        guard let pod = cluster.pods.get(key: key) else { return .done }
        let name = PodState(pod).nodeName
        if name.isEmpty { return .done }
        let taints: [JSON]
        if let node = cluster.nodes.get("", name) {
            taints = node["spec"]["taints"].arrayValue
        } else if let node = try cluster.store.object("nodes//\(name)") {
            taints = node["spec"]["taints"].arrayValue
        } else {
            // No one is left who could end it.
            cluster.host.log.info("a pod of a vanished node is removed", ["pod": .string(key), "node": .string(name)])
            try cluster.writer.delete(.pods, pod, gracePeriodSeconds: 0)
            return .done
        }
        if PodState(pod).isTerminating { return .done }
        let now = Timestamp.now()
        let dated = taintTimes.dated(taints, node: name, now: now)
        guard let left = NodeHealth.eviction(pod, taints: dated, now: now) else { return .done }
        if left > 0 { return .afterSeconds(left) }
        try cluster.writer.markDisruption(
            of: pod, reason: "DeletionByTaintManager", message: "Taint manager: deleting due to NoExecute taint",
            now: now)
        cluster.recorder.record(
            pod.typed(.pods), .normal, reason: "TaintManagerEviction", message: "Marking for deletion Pod \(key)",
            component: "taint-eviction-controller")
        try cluster.writer.delete(.pods, pod)
        return .done
    }

    private func record(_ node: JSON, _ reason: String, _ message: String) {
        cluster.recorder.record(
            node.typed(.nodes), .normal, reason: reason, message: message, component: "node-controller")
    }
}
