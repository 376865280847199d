import Objects
import PluginKit
import Quotas
import Synchronization

/// Holds writes to the ResourceQuotas of their namespace. What is used is written in the transaction of the object that uses
/// it, at the revision of the quota that it was computed from: however many write at once, no quota is exceeded, and none
/// counts what was not written. What is given back, the quota's controller finds.
/// See https://kubernetes.io/docs/concepts/policy/resource-quotas/.
final class QuotaAdmission: AdmissionPlugin {
    let name = "ResourceQuota"
    /// A quota as it was read, and the revision that it had.
    private struct Known {
        var record: StoreRecord
        var object: JSON
    }

    /// Whether a namespace has quotas.
    let quotas: AdmissionCache<Void>
    private let store: StoreClient
    private let turns = Turns()

    init(host: Host, store: StoreClient) {
        quotas = AdmissionCache(host, resource: "resourcequotas") { _ in () }
        self.store = store
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.operation != .delete, request.resource.isNamespaced, quotas.hasValues(in: request.namespace),
            let evaluator = QuotaEvaluator(resource: request.resource.qualified),
            evaluator.handles(isCreation: request.operation == .create, subresource: request.subresource)
        else { return }
        let charges = try charges(for: request.object, replacing: request.old, request.resource)
        // A new object waits for its turn, and is held against the quotas of then.
        if request.operation == .create { request.isCharged = !charges.isEmpty } else { request.steps += charges }
    }

    /// The steps that charge an object to the quotas of its namespace as they are now.
    /// - Throws: 403 when one of them would be exceeded.
    func charges(
        for object: JSON, replacing old: JSON, _ resource: Resource
    ) throws(APIStatus) -> [AllocationStep] {
        guard let evaluator = QuotaEvaluator(resource: resource.qualified) else { return [] }
        let known = try read(in: object.namespace)
        let charge = QuotaCharge(evaluator, object: object, replacing: old, now: .now())
        let used: [Int: ResourceList]
        do throws(QuotaCharge.Refusal) { used = try charge.used(known.map(\.object)) } catch {
            throw .forbidden(resource, object.name, error.message)
        }
        return used.sorted { $0.key < $1.key }.map { index, used in
            var quota = known[index].object
            quota["status"]["used"] = used.json
            return .charge(quota, at: known[index].record)
        }
    }

    private func read(in namespace: String) throws(APIStatus) -> [Known] {
        do {
            return try store.list(prefix: "resourcequotas/\(namespace)/").records.map {
                Known(record: $0, object: try $0.object())
            }
        } catch {
            throw .unavailable("\(error)")
        }
    }

    /// Runs `work` when nobody else of this server charges quotas of the namespace: writes that wait for each other do not
    /// have to try again. `work` calls what it is given exactly once, when it is done; the next one then runs on `pool`.
    func inTurn(
        _ namespace: String, _ pool: WorkerPool, _ work: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) {
        turns.enter(namespace, pool, work)
    }

    /// Who waits for whom, by namespace.
    private final class Turns: Sendable {
        typealias Work = @Sendable (@escaping @Sendable () -> Void) -> Void
        private let waiting = Mutex<[String: [Work]]>([:])

        func enter(_ namespace: String, _ pool: WorkerPool, _ work: @escaping Work) {
            let isFirst = waiting.withLock { waiting in
                if waiting[namespace] == nil {
                    waiting[namespace] = []
                    return true
                }
                waiting[namespace]?.append(work)
                return false
            }
            if isFirst { run(namespace, pool, work) }
        }

        private func run(_ namespace: String, _ pool: WorkerPool, _ work: Work) {
            work { [self] in leave(namespace, pool) }
        }

        private func leave(_ namespace: String, _ pool: WorkerPool) {
            let next = waiting.withLock { waiting -> Work? in
                guard let queue = waiting[namespace], !queue.isEmpty else {
                    waiting[namespace] = nil
                    return nil
                }
                return waiting[namespace]?.removeFirst()
            }
            guard let next else { return }
            // Without a free worker it runs here: it only hands work to the store.
            let here: @Sendable () -> Void = { [self] in run(namespace, pool, next) }
            if !pool.run(dropped: here, here) { here() }
        }
    }
}
