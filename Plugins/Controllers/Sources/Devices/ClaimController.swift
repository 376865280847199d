import Objects
import PluginKit
import Synchronization

/// Makes resource claims of templates for pods, takes reservations of pods that have ended back, and frees devices that nobody
/// uses any more.
final class ClaimController: Controller {
    private static let component = "resource_claim"
    private let cluster: Cluster
    private let queue: ControllerQueue

    private struct State {
        /// Keys of the pods that have claims, by namespace.
        var users: [String: Set<String>] = [:]
        /// Names of claims that were made, by the pod's uid and name of it, until the pod's status tells of them.
        var made: [String: [String: String]] = [:]
    }
    private let state = Mutex(State())

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<ClaimController>()
        queue = try cluster.queue("resource-claims", workers: 2) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.pods.onEvent { [unowned self] in podEvent($0) }
        cluster.resourceClaims.onEvent { [unowned self] in claimEvent($0) }
        cluster.claimTemplates.onEvent { [unowned self] event in
            guard case .added(let template) = event else { return }
            for key in users(in: template.namespace) { queue.add("pod:" + key) }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func users(in namespace: String) -> Set<String> { state.withLock { $0.users[namespace] ?? [] } }

    // MARK: - Events

    private func podEvent(_ event: InformerEvent) {
        switch event {
        case .added(let pod):
            guard PodClaims.areUsed(by: pod) else { return }
            state.withLock { _ = $0.users[pod.namespace, default: []].insert(objectKey(pod)) }
            look(at: pod)
        case .updated(let old, let new):
            guard PodClaims.areUsed(by: new) else { return }
            if old.uid != new.uid { release(old) }
            state.withLock { _ = $0.users[new.namespace, default: []].insert(objectKey(new)) }
            look(at: new)
        case .deleted(let pod):
            guard PodClaims.areUsed(by: pod) else { return }
            state.withLock { state in
                state.users[pod.namespace]?.remove(objectKey(pod))
                if state.users[pod.namespace]?.isEmpty == true { state.users[pod.namespace] = nil }
                state.made[pod.uid] = nil
            }
            release(pod)
        case .synchronized: break
        }
    }

    private func look(at pod: JSON) {
        if PodClaims.isDone(pod) { release(pod) } else { queue.add("pod:" + objectKey(pod)) }
    }

    /// Looks at the claims of a pod that does not need them any more.
    private func release(_ pod: JSON) {
        for name in PodClaims.names(pod) { queue.add("claim:\(pod.namespace)/\(name)") }
    }

    private func claimEvent(_ event: InformerEvent) {
        let claim: JSON
        switch event {
        case .added(let object), .deleted(let object): claim = object
        case .updated(_, let object): claim = object
        case .synchronized: return
        }
        queue.add("claim:" + objectKey(claim))
        for key in users(in: claim.namespace) {
            guard let pod = cluster.pods.get(key: key), PodClaims.names(pod).contains(claim.name) else { continue }
            queue.add("pod:" + key)
        }
    }

    // MARK: - Work

    private func sync(_ key: String) throws -> Requeue {
        let parts = key.split(separator: ":", maxSplits: 1).map(String.init)
        if parts[0] == "pod" { try syncPod(parts[1]) } else { try syncClaim(parts[1]) }
        return .done
    }

    private func syncPod(_ key: String) throws {
        guard let pod = cluster.pods.get(key: key), pod.deletionTimestamp == nil, !PodClaims.isDone(pod) else { return }
        var made: [JSON] = []
        for claim in pod["spec"]["resourceClaims"].arrayValue {
            let name = claim["name"].stringValue ?? ""
            do {
                guard let found = try self.made(claim, for: pod) else { continue }
                made.append(["name": .string(name), "resourceClaimName": .string(found)])
            } catch {
                let text = "PodResourceClaim \(name): \(error)"
                cluster.recorder.record(
                    pod.typed(.pods), .warning, reason: "FailedResourceClaimCreation", message: text,
                    component: Self.component)
                throw PluginError.unavailable("pod \(key), \(text)")
            }
        }
        if !made.isEmpty {
            _ = try cluster.writer.api.request(
                "PATCH application/strategic-merge-patch+json",
                APIPath.object("v1", "pods", pod.namespace, pod.name, "status"),
                body: [
                    "metadata": ["uid": .string(pod.uid)], "status": ["resourceClaimStatuses": .array(made)],
                ])
        }
        // The scheduler reserves for those that it places.
        if !PodState(pod).nodeName.isEmpty { try reserve(for: pod) }
    }

    /// The name of a claim that a pod's status does not tell of yet; nil when there is nothing to tell.
    private func made(_ claim: JSON, for pod: JSON) throws -> String? {
        guard let template = claim["resourceClaimTemplateName"].stringValue else { return nil }
        let name = claim["name"].stringValue ?? ""
        switch PodClaims.place(of: claim, in: pod) {
        case .needless: return nil
        case .named(let known, _):
            state.withLock { _ = $0.made[pod.uid]?.removeValue(forKey: name) }
            // One that somebody deleted is made again.
            let present = cluster.resourceClaims.get(pod.namespace, known)
            if let present, PodClaims.complaint(of: present, for: pod) == nil { return nil }
        case .missing: break
        }
        let own = cluster.resourceClaims.list(pod.namespace).first {
            $0.annotations[PodClaims.annotation].stringValue == name && PodClaims.owner(of: $0)?.uid == pod.uid
        }
        if let own { return own.name }
        // The cache may not show it yet.
        if let known = state.withLock({ $0.made[pod.uid]?[name] }), try exists(known, pod.namespace) { return known }
        guard let found = cluster.claimTemplates.get(pod.namespace, template) else {
            throw PluginError.notFound(
                "resource claim template \"\(template)\": resourceclaimtemplate.resource.k8s.io \"\(template)\" not found"
            )
        }
        let created = try cluster.writer.create(
            .resourceClaims, PodClaims.made(of: found, for: pod, named: name))
        state.withLock { $0.made[pod.uid, default: [:]][name] = created.name }
        return created.name
    }

    private func exists(_ name: String, _ namespace: String) throws -> Bool {
        let type = ResourceType.resourceClaims
        do {
            _ = try cluster.writer.api.get(type.apiVersion, type.plural, namespace: namespace, name: name)
            return true
        } catch let error as APIError where error.isNotFound {
            return false
        }
    }

    /// Reserves the allocated claims of a pod that somebody gave its node without asking a scheduler.
    private func reserve(for pod: JSON) throws {
        for name in PodClaims.names(pod) {
            guard let claim = cluster.resourceClaims.get(pod.namespace, name), claim["status"]["allocation"].exists,
                !PodClaims.isReserved(claim, for: pod), PodClaims.mayBeReserved(claim)
            else { continue }
            var status = claim["status"]
            status["reservedFor"].append(PodClaims.consumer(pod))
            try cluster.writer.updateStatus(.resourceClaims, claim, status: status)
        }
    }

    private func syncClaim(_ key: String) throws {
        guard let claim = cluster.resourceClaims.get(key: key) else { return }
        let plan = try ClaimPlan(
            claim, consumer: { try consumer($0, of: claim) }, pod: { cluster.pods.get(claim.namespace, $0) })
        var current = claim
        if plan.changesStatus {
            let written = try cluster.writer.updateStatus(.resourceClaims, claim, status: plan.status(of: claim))
            current = written ?? claim
        }
        if plan.releases {
            current = current.typed(.resourceClaims)
            current["metadata"]["finalizers"] = .array(
                current.finalizers.filter { $0 != PodClaims.finalizer }.map { .string($0) })
            do {
                current = try cluster.writer.update(.resourceClaims, current)
            } catch let error as APIError where error.isNotFound {
                return
            }
        }
        if plan.deletes { try cluster.writer.delete(.resourceClaims, current) }
    }

    /// A pod that the cache does not show may be too new for it: the server is asked before its reservation is taken away.
    private func consumer(_ reservation: JSON, of claim: JSON) throws -> ClaimPlan.Consumer {
        // Of other consumers nothing is known.
        guard reservation["resource"] == "pods", reservation["apiGroup"].isEmpty,
            let name = reservation["name"].stringValue
        else { return .needsIt }
        var pod = cluster.pods.get(claim.namespace, name)
        if pod == nil {
            do {
                pod = try cluster.writer.api.get("v1", "pods", namespace: claim.namespace, name: name)
            } catch let error as APIError where error.isNotFound {
                return .isGone
            }
        }
        guard let pod, pod.uid == reservation["uid"].stringValue else { return .isGone }
        return PodClaims.isDone(pod) ? .isDone : .needsIt
    }
}
