import Objects
import PluginKit
import Synchronization

/// Watches over nodes: marks silent ones and their pods, evicts pods that do not tolerate a node's taints, and removes pods that
/// nobody is left to end. Nothing polls: each node is looked at when it changes and when its Lease would run out.
final class NodeController: Controller {
    private static let leaseNamespace = "kube-node-lease"

    private let cluster: Cluster
    private let nodes: ControllerQueue
    private let pods: ControllerQueue
    /// The last heartbeat of each node and when it was first seen here, in monotonic seconds. Clocks of other machines do
    /// not matter, and after a restart every node has its full time.
    private let heartbeats = Mutex<[String: (value: String, seen: Int64)]>([:])

    private let taintTimes = TaintTimes()
    private let vanished = VanishedNodes()

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
                if old["spec"]["nodeName"] != new["spec"]["nodeName"] || old.deletionTimestamp != new.deletionTimestamp
                {
                    podChanged(new)
                }
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
            if case .added = event { vanished.appeared(node.name) }
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

    /// A pod matters here when its node is gone or repels it, or when it is to end and has none.
    private func podChanged(_ pod: JSON) {
        let name = PodState(pod).nodeName
        if name.isEmpty {
            if PodState(pod).isTerminating { pods.add(objectKey(pod)) }
            return
        }
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
                try markUnready(podsOf: name, now)
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

    /// Nobody knows any more whether the pods of a silent node serve.
    private func markUnready(podsOf node: String, _ now: Timestamp) throws {
        let ready = cluster.pods.list().filter { PodState($0).nodeName == node && PodState($0).isReady }
        let patches = ready.map { pod -> APIClient.Request in
            (
                "PATCH application/strategic-merge-patch+json",
                APIPath.object("v1", "pods", pod.namespace, pod.name, "status"),
                NodeHealth.unready(pod, now: now)
            )
        }
        for (pod, result) in zip(ready, cluster.writer.all(patches)) {
            switch result {
            case .success:
                cluster.recorder.record(
                    pod.typed(.pods), .warning, reason: "NodeNotReady", message: "Node is not ready",
                    component: "node-controller")
            case .failure(let error as APIError) where error.isNotFound || error.isConflict: continue
            case .failure(let error): throw error
            }
        }
    }

    private func syncPod(_ key: String) throws -> Requeue {
        guard let pod = cluster.pods.get(key: key) else { return .done }
        let name = PodState(pod).nodeName
        var node = name.isEmpty ? nil : cluster.nodes.get("", name)
        // The cache may be behind: a pod is on a node that came before it.
        if node == nil, !name.isEmpty { node = try cluster.store.object("nodes//\(name)") }
        if let reason = ForsakenPod(pod, node: node) {
            if reason == .nodeVanished {
                let left = vanished.secondsLeft(name, now: Int64(monotonicNanoseconds() / 1_000_000_000))
                if left > 0 { return .afterSeconds(left) }
            }
            try remove(pod, reason)
            return .done
        }
        guard let node else { return .done }
        let taints = node["spec"]["taints"].arrayValue
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
        cluster.metrics.count("node_collector_evictions_total", "zone=\"\(Self.zone(of: node))\"")
        return .done
    }

    /// Region and zone of a node, as Kubernetes joins them.
    private static func zone(of node: JSON) -> String {
        let region = node.labels["topology.kubernetes.io/region"].stringValue ?? ""
        let zone = node.labels["topology.kubernetes.io/zone"].stringValue ?? ""
        return region.isEmpty && zone.isEmpty ? "" : "\(region):\u{0}:\(zone)"
    }

    /// Says that a pod has failed, for whoever keeps it with a finalizer, and removes it.
    private func remove(_ pod: JSON, _ reason: ForsakenPod) throws {
        cluster.host.log.info(
            "a pod that nobody can end is removed", ["pod": .string(objectKey(pod)), "reason": .string("\(reason)")])
        if let patch = reason.patch(of: pod, now: .now()) {
            do {
                _ = try cluster.writer.api.patch(
                    "v1", "pods", namespace: pod.namespace, name: pod.name, subresource: "status", type: .strategic,
                    patch)
            } catch let error as APIError where error.isNotFound || error.isConflict {
                // Gone, or another pod of this name by now.
            }
        }
        try cluster.writer.delete(.pods, pod, gracePeriodSeconds: 0)
    }

    private func record(_ node: JSON, _ reason: String, _ message: String) {
        cluster.recorder.record(
            node.typed(.nodes), .normal, reason: reason, message: message, component: "node-controller")
    }
}
