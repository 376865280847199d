import Objects
import PluginKit

/// Shows Endpoints objects that somebody wrote by hand as EndpointSlices, which is what routes the traffic of Services.
final class MirrorController: Controller {
    private let cluster: Cluster
    private let barrier = WriteBarrier()
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<MirrorController>()
        queue = try cluster.queue("endpoint-mirror", workers: 1) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.endpoints.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.services.onEvent { [queue] event in
            switch event {
            case .added(let service), .deleted(let service): queue.add(objectKey(service))
            case .updated(let old, let new):
                if old["spec"]["selector"] != new["spec"]["selector"] { queue.add(objectKey(new)) }
            case .synchronized: break
            }
        }
        cluster.endpointSlices.onObject { [queue] slice in
            guard slice.labels[EndpointPlan.managedByLabel].stringValue == MirrorPlan.manager,
                let service = slice.labels[EndpointPlan.serviceLabel].stringValue
            else { return }
            queue.add("\(slice.namespace)/\(service)")
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard barrier.isSatisfied(key, cluster.endpointSlices) else { return .after(nanoseconds: 1_000_000_000) }
        let (namespace, name) = splitKey(key)
        let existing = cluster.endpointSlices.list(namespace).filter {
            $0.labels[EndpointPlan.serviceLabel].stringValue == name
                && $0.labels[EndpointPlan.managedByLabel].stringValue == MirrorPlan.manager
                && $0.deletionTimestamp == nil
        }
        let endpoints = cluster.endpoints.get(key: key).flatMap {
            MirrorPlan.isMirrored($0, service: cluster.services.get(key: key)) ? .some($0) : nil
        }
        let plan = MirrorPlan(endpoints, existing: existing)
        for slice in plan.update {
            barrier.wrote(try cluster.writer.update(.endpointSlices, slice.typed(.endpointSlices)), for: key)
        }
        for slice in plan.create {
            do {
                barrier.wrote(try cluster.writer.create(.endpointSlices, slice), for: key)
            } catch let error as APIError where error.isNamespaceTerminating {
                return .done
            }
        }
        for slice in plan.delete {
            try cluster.writer.delete(.endpointSlices, slice)
            barrier.deleted(slice, for: key)
        }
        return .done
    }
}
