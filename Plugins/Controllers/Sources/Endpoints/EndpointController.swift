import Objects
import PluginKit
import Synchronization

/// Keeps the EndpointSlices and the Endpoints object of each Service that has a selector.
final class EndpointController: Controller {
    private let cluster: Cluster
    private let barrier = WriteBarrier()
    private let queue: ControllerQueue
    /// What the last look at Services with the topology mode `Auto` said, by key and address family.
    private let outcomes = Mutex<[String: [String: String]]>([:])

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<EndpointController>()
        queue = try cluster.queue("endpoints", workers: 2) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.services.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.endpointSlices.onObject { [queue] slice in
            guard slice.labels[EndpointPlan.managedByLabel].stringValue == EndpointPlan.manager,
                let service = slice.labels[EndpointPlan.serviceLabel].stringValue
            else { return }
            queue.add("\(slice.namespace)/\(service)")
        }
        cluster.endpoints.onEvent { [queue] event in
            if case .deleted(let object) = event { queue.add(objectKey(object)) }
        }
        cluster.pods.onEvent { [unowned self] in podEvent($0) }
        cluster.nodes.onEvent { [queue] event in
            // Pods come to a node that is known; only another label concerns endpoints that there are.
            if case .updated(let old, let new) = event, Self.zone(old) != Self.zone(new) {
                for service in cluster.services.list() { queue.add(objectKey(service)) }
                return
            }
            if case .updated(let old, let new) = event, TopologyHints.facts(of: old) == TopologyHints.facts(of: new) {
                return
            }
            for service in cluster.services.list() where TopologyHints.areWanted(by: service) {
                queue.add(objectKey(service))
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private static func zone(_ node: JSON) -> String? { node.labels["topology.kubernetes.io/zone"].stringValue }

    private func podEvent(_ event: InformerEvent) {
        switch event {
        case .added(let pod), .deleted(let pod): podChanged(pod, labels: pod.labels)
        case .updated(let old, let new):
            guard !EndpointController.isSame(old, new) else { return }
            podChanged(new, labels: new.labels)
            if old.labels != new.labels { podChanged(old, labels: old.labels) }
        case .synchronized: break
        }
    }

    private func podChanged(_ pod: JSON, labels: JSON) {
        for service in cluster.services.list(pod.namespace) where EndpointController.selects(service, labels) {
            queue.add(objectKey(service))
        }
    }

    /// Whether two states of a pod make the same endpoint.
    private static func isSame(_ one: JSON, _ other: JSON) -> Bool {
        let (before, after) = (PodState(one), PodState(other))
        return one.labels == other.labels && one["status"]["podIP"] == other["status"]["podIP"]
            && one["status"]["podIPs"] == other["status"]["podIPs"] && before.isReady == after.isReady
            && before.isTerminating == after.isTerminating && before.isFinished == after.isFinished
            && before.nodeName == after.nodeName
    }

    private static func selects(_ service: JSON, _ labels: JSON) -> Bool {
        guard let selector = service["spec"]["selector"].objectValue, !selector.isEmpty else { return false }
        return selector.allSatisfy { labels[$0.key] == $0.value }
    }

    private func sync(_ key: String) throws -> Requeue {
        let (namespace, name) = splitKey(key)
        guard let service = cluster.services.get(key: key) else {
            // Slices go with their owner; the Endpoints object of the same name has none.
            barrier.forget(key)
            outcomes.withLock { $0[key] = nil }
            if let object = cluster.endpoints.get(namespace, name), EndpointController.isOwn(object) {
                try cluster.writer.delete(.endpoints, object)
            }
            return .done
        }
        guard service["spec"]["selector"].objectValue.map({ !$0.isEmpty }) ?? false, service.deletionTimestamp == nil,
            service["spec"]["type"].stringValue != "ExternalName"
        else { return .done }
        guard barrier.isSatisfied(key, cluster.endpointSlices) else { return .after(nanoseconds: 1_000_000_000) }
        let pods = cluster.pods.list(namespace).filter { EndpointController.selects(service, $0.labels) }
        var plan = EndpointPlan(service, pods: pods) { [cluster] node in
            cluster.nodes.get("", node).flatMap(Self.zone)
        }
        let existing = existingSlices(of: service)
        share(&plan, existing, service, key)
        try writeSlices(plan, existing, key)
        try writeEndpoints(plan, service)
        return .done
    }

    private func existingSlices(of service: JSON) -> [JSON] {
        cluster.endpointSlices.list(service.namespace).filter {
            $0.labels[EndpointPlan.serviceLabel].stringValue == service.name
                && $0.labels[EndpointPlan.managedByLabel].stringValue == EndpointPlan.manager
                && $0.deletionTimestamp == nil
        }
    }

    /// Hints by zone where the Service wants them. What comes of it is told when it is another than the last time.
    private func share(_ plan: inout EndpointPlan, _ existing: [JSON], _ service: JSON, _ key: String) {
        let before = outcomes.withLock { $0[key] }
        guard TopologyHints.areWanted(by: service) else {
            guard let before else { return }
            outcomes.withLock { $0[key] = nil }
            for (family, message) in before where message.isEmpty {
                record(service, .normal, "Topology Aware Hints has been disabled", family)
            }
            return
        }
        var now: [String: String] = [:]
        for (family, outcome) in plan.share(by: TopologyHints(nodes: cluster.nodes.list()), existing: existing) {
            if case .none(let message) = outcome { now[family] = message } else { now[family] = "" }
        }
        let after = now
        outcomes.withLock { $0[key] = after }
        for (family, message) in now where before?[family] != message {
            if message.isEmpty {
                record(service, .normal, "Topology Aware Hints has been enabled", family)
            } else {
                record(service, .warning, message, family)
            }
        }
    }

    private func record(_ service: JSON, _ kind: EventRecorder.Kind, _ message: String, _ family: String) {
        let isEnabled = message.hasSuffix("has been enabled")
        cluster.recorder.record(
            service.typed(.services), kind,
            reason: isEnabled ? "TopologyAwareHintsEnabled" : "TopologyAwareHintsDisabled",
            message: "\(message), addressType: \(family)", component: "endpoint-slice-controller")
    }

    private func writeSlices(_ plan: EndpointPlan, _ existing: [JSON], _ key: String) throws {
        let changes = plan.sliceChanges(existing: existing)
        for slice in changes.update {
            barrier.wrote(try cluster.writer.update(.endpointSlices, slice.typed(.endpointSlices)), for: key)
        }
        for slice in changes.create {
            do {
                barrier.wrote(try cluster.writer.create(.endpointSlices, slice), for: key)
            } catch let error as APIError where error.isNamespaceTerminating {
                return
            }
        }
        for slice in changes.delete {
            try cluster.writer.delete(.endpointSlices, slice)
            barrier.deleted(slice, for: key)
        }
    }

    /// Marks the Endpoints objects that this controller made, so that it deletes no one else's.
    private static let ownMark = "endpoints.kubernetes.io/managed-by"
    private static let manager: JSON = "endpoint-controller"

    /// Once the mark was an annotation.
    private static func isOwn(_ endpoints: JSON) -> Bool {
        endpoints.labels[ownMark] == manager || endpoints.annotations[ownMark].exists
    }

    private func writeEndpoints(_ plan: EndpointPlan, _ service: JSON) throws {
        let subsets = plan.subsets
        var labels: JSON = service.labels.exists ? service.labels : [:]
        labels[EndpointController.ownMark] = EndpointController.manager
        if service["spec"]["clusterIP"].stringValue == "None" { labels[EndpointPlan.headlessLabel] = "" }
        guard var object = cluster.endpoints.get(service.namespace, service.name) else {
            do {
                try cluster.writer.create(
                    .endpoints,
                    [
                        "apiVersion": "v1", "kind": "Endpoints",
                        "metadata": [
                            "name": .string(service.name), "namespace": .string(service.namespace), "labels": labels,
                        ],
                        "subsets": .array(subsets),
                    ])
            } catch let error as APIError where error.isNamespaceTerminating || error.isAlreadyExists {
                // Going, or not in the cache yet: its event brings the key back.
            }
            return
        }
        if object["subsets"].arrayValue == subsets && object.labels == labels { return }
        object["metadata"]["labels"] = labels
        object["subsets"] = .array(subsets)
        try cluster.writer.update(.endpoints, object.typed(.endpoints))
    }
}
