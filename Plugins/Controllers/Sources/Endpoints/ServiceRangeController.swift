import Objects
import PluginKit
import Synchronization

/// Shows the addresses of services as objects: the configured range as the ServiceCIDR `kubernetes`, and an IPAddress for
/// every cluster address that a service holds. What gives the addresses out is the API front, in the transaction that
/// writes the service; these objects follow. Further ranges are looked at here before the API front gives addresses of them,
/// and stay until no service needs them.
final class ServiceRangeController: Controller {
    private let cluster: Cluster
    private let queue: ControllerQueue
    private let configured: String
    /// Services by the addresses that they hold.
    private let holders = Mutex<[String: String]>([:])

    private static let rangePrefix = "range/"
    private static let addressPrefix = "address/"

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        configured = cluster.settings["serviceRange"].stringValue ?? "10.96.0.0/16"
        let box = Unowned<ServiceRangeController>()
        queue = try cluster.queue("service-ranges", workers: 1) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.serviceRanges.onObject { [unowned self] in
            queue.add(Self.rangePrefix + $0.name)
            // A range that is to go may have waited for another with the same addresses.
            queueLeavingRanges()
        }
        cluster.addresses.onEvent { [unowned self] in addressEvent($0) }
        cluster.services.onEvent { [unowned self] event in
            switch event {
            case .added(let service): serviceChanged(from: nil, to: service)
            case .updated(let old, let new): serviceChanged(from: old, to: new)
            case .deleted(let service): serviceChanged(from: service, to: nil)
            case .synchronized: break
            }
        }
    }

    func start() {
        queue.add(Self.rangePrefix + ServiceRangePlan.defaultName)
        queue.open()
    }
    func stop() { queue.stop() }

    private func serviceChanged(from old: JSON?, to new: JSON?) {
        let (before, after) = (old.map(ServiceRangePlan.addresses) ?? [], new.map(ServiceRangePlan.addresses) ?? [])
        if before == after { return }
        holders.withLock { holders in
            for address in before where holders[address] == old.map(objectKey) { holders[address] = nil }
            if let new { for address in after { holders[address] = objectKey(new) } }
        }
        for address in Set(before).union(after) { queue.add(Self.addressPrefix + address) }
    }

    private func addressEvent(_ event: InformerEvent) {
        switch event {
        case .added(let address), .updated(_, let address): queue.add(Self.addressPrefix + address.name)
        case .deleted(let address):
            queue.add(Self.addressPrefix + address.name)
            // A range that is to go may have waited for it.
            queueLeavingRanges()
        case .synchronized: break
        }
    }

    private func queueLeavingRanges() {
        for range in cluster.serviceRanges.list() where range.deletionTimestamp != nil {
            queue.add(Self.rangePrefix + range.name)
        }
    }

    private func sync(_ key: String) throws -> Requeue {
        do {
            if key.hasPrefix(Self.rangePrefix) {
                try syncRange(String(key.dropFirst(Self.rangePrefix.count)))
            } else {
                try syncAddress(String(key.dropFirst(Self.addressPrefix.count)))
            }
        } catch let error as APIError where error.isAlreadyExists || error.isConflict || error.isNotFound {
            // The cache is behind: its event brings the key back.
        }
        return .done
    }

    private func syncRange(_ name: String) throws {
        guard let range = cluster.serviceRanges.get("", name) else {
            guard name == ServiceRangePlan.defaultName else { return }
            try cluster.writer.create(
                .serviceRanges,
                [
                    "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": ["name": .string(name)],
                    "spec": ["cidrs": [.string(configured)]],
                ])
            return
        }
        let isLeaving = range.deletionTimestamp != nil
        let inUse = isLeaving && isInUse(range)
        let condition = ServiceRangePlan.ready(range, inUse: inUse)
        if let status = ServiceRangePlan.status(range, condition, now: Timestamp.now()) {
            try cluster.writer.updateStatus(.serviceRanges, range, status: status)
            return
        }
        let others = range.finalizers.filter { $0 != ServiceRangePlan.finalizer }
        let wanted = isLeaving && !inUse ? others : others + [ServiceRangePlan.finalizer]
        if Set(wanted) == Set(range.finalizers) { return }
        var changed = range.typed(.serviceRanges)
        changed["metadata"]["finalizers"] = JSON(wanted)
        try cluster.writer.update(.serviceRanges, changed)
    }

    private func isInUse(_ range: JSON) -> Bool {
        let others = cluster.serviceRanges.list().filter { $0.name != range.name && $0.deletionTimestamp == nil }
        // A service that was just made holds its address before there is an object for it.
        let held = holders.withLock { Array($0.keys) } + cluster.addresses.list().map(\.name)
        return held.contains { address in
            ServiceRangePlan.contains(range, address) && !others.contains { ServiceRangePlan.contains($0, address) }
        }
    }

    private func syncAddress(_ address: String) throws {
        let present = cluster.addresses.get("", address)
        guard let service = holders.withLock({ $0[address] }).flatMap({ cluster.services.get(key: $0) }) else {
            if let present, ServiceRangePlan.isOwn(present) { try cluster.writer.delete(.addresses, present) }
            return
        }
        if let present {
            if ServiceRangePlan.isHeld(present, by: service) || !ServiceRangePlan.isOwn(present) { return }
            // Its holder cannot be changed: the event of its end makes it anew.
            return try cluster.writer.delete(.addresses, present)
        }
        try cluster.writer.create(.addresses, ServiceRangePlan.address(address, of: service))
    }
}
