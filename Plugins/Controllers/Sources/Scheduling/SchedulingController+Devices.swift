import Objects
import PluginKit

/// The devices that pods claim: chosen with the node, written into the claims before the pod is bound.
extension SchedulingController {
    /// A pod that is to be placed, with what its volumes and devices ask of the node.
    struct Wish: Sendable {
        var pod: JSON
        /// With the affinity of its volumes and devices.
        var constrained: JSON
        /// Volume claims that are bound once the pod has its node.
        var unbound: [String]
        var devices: DevicePlan?

        init(pod: JSON, constrained: JSON, _ unbound: [String], _ devices: DevicePlan?) {
            (self.pod, self.constrained, self.unbound, self.devices) = (pod, constrained, unbound, devices)
        }
    }

    /// How often a claim is read again that somebody else writes meanwhile.
    private static let attempts = 5

    func devices(of pod: JSON, _ state: State) -> PodDevices {
        let classes = cluster.deviceClasses.list()
        let extended =
            classes.isEmpty
            ? nil : ExtendedResources(pod, classes: classes, nodes: cluster.nodes.list(), makeUID: makeUID)
        guard PodClaims.areUsed(by: pod) || extended != nil else { return .none }
        if extended != nil,
            let stale = ExtendedResources.claim(of: pod, among: cluster.resourceClaims.list(pod.namespace))
        {
            // From an attempt that came to nothing: its devices may be the wrong ones now.
            discard(stale)
            return .blocked("cannot schedule extended resource claim")
        }
        return PodDevices(
            pod, extended: extended, claim: { self.cluster.resourceClaims.get(pod.namespace, $0) },
            isBeingAllocated: { state.heldDevices.contains($0) },
            deviceClass: { self.cluster.deviceClasses.get("", $0) }, nodes: cluster.nodes.list(), now: .now(),
            allocator: { claims in
                let given = self.cluster.resourceClaims.list().map { $0["status"]["allocation"] }.filter(\.exists)
                return DeviceAllocator(
                    claims: claims, inventory: DeviceInventory(self.cluster.resourceSlices.list()),
                    used: DevicesInUse(given + state.heldDevices.allocations), selection: self.selection,
                    makeShare: makeUID, deviceClass: { self.cluster.deviceClasses.get("", $0) })
            })
    }

    /// No node has what the pod claims. Devices of a claim that nobody uses, and that are elsewhere, are given back.
    func refuse(
        _ pod: JSON, _ item: SchedulingQueue.Item, _ plan: DevicePlan, _ refusal: String, _ state: inout State
    ) {
        let message = SchedulingMessage.text(nodes: cluster.nodes.list().count, blocked: refusal)
        refuse(pod, item, message, [.devices, .node], &state)
        guard let claim = plan.useless(for: pod) else { return }
        var freed = claim.typed(.resourceClaims)
        for field in ["allocation", "reservedFor"] { freed["status"].removeValue(forKey: field) }
        let log = cluster.host.log
        cluster.writer.send("PUT", Self.path(of: claim) + "/status", body: freed) { result in
            guard case .failure(let error) = result, !((error as? APIError)?.isConflict ?? false) else { return }
            log.info("a claim keeps its devices: \(error)", ["claim": .string(objectKey(claim))])
        }
    }

    // MARK: - Devices that have to get ready

    func devicesReserved(_ pod: JSON, _ state: inout State) {
        guard let assumed = state.assumed[pod.uid] else { return }
        state.assumed[pod.uid]?.awaitsDevices = true
        state.devicesDue = 0
        record(
            pod, .normal, "BindingConditionsPending",
            "waiting for binding conditions for device on node \(assumed.node)")
    }

    /// Binds the pods whose devices are ready, and gives those up whose devices will not be.
    func lookAtDevices(_ state: inout State) {
        guard let due = state.devicesDue, due <= monotonicNanoseconds() else { return }
        state.devicesDue = nil
        for (uid, assumed) in state.assumed where assumed.awaitsDevices {
            let claims = (assumed.devices?.claims ?? []).map { claim in
                stored(claim.namespace, claim.name, pod: uid) ?? claim
            }
            // The caches may not show the devices yet.
            guard claims.allSatisfy({ $0["status"]["allocation"].exists }) else {
                state.devicesDue = monotonicNanoseconds() + 1_000_000_000
                continue
            }
            let now = Timestamp.now()
            switch BindingConditions(claims, now: now) {
            case .ready:
                state.assumed[uid]?.awaitsDevices = false
                bind(assumed.pod, to: assumed.node, assumed.item)
            case .failed(let why): post(.bindingFailed(assumed.pod, assumed.item, message: why))
            case .pending(let end):
                let left = UInt64(max(1, end.seconds - now.seconds)) * 1_000_000_000
                state.devicesDue = min(state.devicesDue ?? .max, monotonicNanoseconds() + left)
            }
        }
    }

    /// A claim as the caches show it.
    func stored(_ namespace: String, _ name: String, pod: String) -> JSON? {
        guard name == ExtendedResources.unwrittenName else { return cluster.resourceClaims.get(namespace, name) }
        return cluster.resourceClaims.list(namespace).first {
            ExtendedResources.isSpecial($0) && PodClaims.owner(of: $0)?.uid == pod
        }
    }

    static func path(of claim: JSON) -> String {
        let type = ResourceType.resourceClaims
        return APIPath.object(type.apiVersion, type.plural, claim.namespace, claim.name)
    }

    /// Writes down what a pod's claims get on a node, and that it has them, one claim after the other.
    /// - Parameter done: is told what went wrong; nil for nothing.
    func reserve(_ plan: DevicePlan, for pod: JSON, on node: String, _ done: @escaping @Sendable (String?) -> Void) {
        let steps = plan.claims.filter { !PodClaims.isReserved($0, for: pod) }.map {
            (claim: $0, allocation: plan.allocation(of: $0, on: node))
        }
        reserve(steps[...], plan.extended, for: pod, done)
    }

    private typealias Step = (claim: JSON, allocation: JSON?)

    private func reserve(
        _ steps: ArraySlice<Step>, _ extended: ExtendedResources?, for pod: JSON,
        _ done: @escaping @Sendable (String?) -> Void
    ) {
        guard let step = steps.first else { return done(nil) }
        let rest = steps.dropFirst()
        let goOn: @Sendable (String?) -> Void = { [weak self] failure in
            if failure != nil { return done(failure) }
            self?.reserve(rest, extended, for: pod, done)
        }
        if let extended, step.claim.uid == extended.claim.uid {
            make(extended, step.allocation, for: pod, goOn)
        } else {
            write(step.claim, step.allocation, for: pod, attempts: Self.attempts, goOn)
        }
    }

    /// Writes the claim for extended resources, and tells of it in the pod's status. A claim that does not get that far is taken
    /// back.
    private func make(
        _ extended: ExtendedResources, _ allocation: JSON?, for pod: JSON, _ done: @escaping @Sendable (String?) -> Void
    ) {
        let type = ResourceType.resourceClaims
        let path = APIPath.collection(type.apiVersion, type.plural, namespace: pod.namespace)
        cluster.writer.send("POST", path, body: extended.written) { [weak self] result in
            switch result {
            case .failure(let error):
                done("create claim for extended resources \(objectKey(extended.claim)): \(error)")
            case .success(let claim):
                self?.write(claim, allocation, for: pod, attempts: Self.attempts) { [weak self] failure in
                    guard let self else { return }
                    guard let failure else { return tell(pod, of: claim, extended, done) }
                    discard(claim)
                    done(failure)
                }
            }
        }
    }

    private func tell(
        _ pod: JSON, of claim: JSON, _ extended: ExtendedResources, _ done: @escaping @Sendable (String?) -> Void
    ) {
        let told: JSON = [
            "resourceClaimName": .string(claim.name), "requestMappings": .array(extended.mappings),
        ]
        cluster.writer.send(
            "PATCH application/merge-patch+json", APIPath.object("v1", "pods", pod.namespace, pod.name, "status"),
            body: ["metadata": ["uid": .string(pod.uid)], "status": ["extendedResourceClaimStatus": told]]
        ) { [weak self] result in
            guard case .failure(let error) = result else { return done(nil) }
            self?.discard(claim)
            done("update pod \(objectKey(pod)) ExtendedResourceClaimStatus: \(error)")
        }
    }

    /// Deletes a claim for extended resources that no pod uses.
    private func discard(_ claim: JSON) {
        let (path, writer, log) = (Self.path(of: claim), cluster.writer, cluster.host.log)
        @Sendable func failed(_ error: any Error) {
            guard (error as? APIError)?.isNotFound != true else { return }
            log.info("a claim that no pod uses stays: \(error)", ["claim": .string(objectKey(claim))])
        }
        writer.send("GET", path, body: nil) { result in
            switch result {
            case .failure(let error): failed(error)
            case .success(let current):
                guard current.uid == claim.uid else { return }
                var current = current.typed(.resourceClaims)
                current["metadata"]["finalizers"] = .array(
                    current.finalizers.filter { $0 != PodClaims.finalizer }.map { .string($0) })
                writer.send("PUT", path, body: current) { result in
                    if case .failure(let error) = result { return failed(error) }
                    writer.send("DELETE", path, body: nil) { if case .failure(let error) = $0 { failed(error) } }
                }
            }
        }
    }

    /// First that the claim stays while it has devices, then the devices and who has them.
    private func write(
        _ claim: JSON, _ allocation: JSON?, for pod: JSON, attempts: Int, _ done: @escaping @Sendable (String?) -> Void
    ) {
        var claim = claim.typed(.resourceClaims)
        if claim.deletionTimestamp != nil {
            return done("claim \(objectKey(claim)) got deleted in the meantime")
        }
        if allocation != nil, claim["status"]["allocation"].exists {
            return done("claim \(objectKey(claim)) got allocated elsewhere in the meantime")
        }
        if allocation != nil, !claim.finalizers.contains(PodClaims.finalizer) {
            claim["metadata"]["finalizers"].append(.string(PodClaims.finalizer))
            let what = "add finalizer to claim"
            return put(claim, to: Self.path(of: claim), what, allocation, for: pod, attempts, done) {
                [weak self] (written) in
                self?.write(written, allocation, for: pod, attempts: attempts, done)
            }
        }
        if var allocation {
            allocation["allocationTimestamp"] = .string(Timestamp.now().formatted(fraction: .none))
            claim["status"]["allocation"] = allocation
        }
        claim["status"]["reservedFor"].append(PodClaims.consumer(pod))
        let what = allocation == nil ? "add reservation to claim" : "add allocation and reservation to claim"
        put(claim, to: Self.path(of: claim) + "/status", what, allocation, for: pod, attempts, done) { _ in done(nil) }
    }

    /// Replaces a claim; where somebody else was faster, it is read again and everything is looked at anew.
    private func put(
        _ claim: JSON, to path: String, _ what: String, _ allocation: JSON?, for pod: JSON, _ attempts: Int,
        _ done: @escaping @Sendable (String?) -> Void, then next: @escaping @Sendable (JSON) -> Void
    ) {
        cluster.writer.send("PUT", path, body: claim) { [weak self] result in
            switch result {
            case .success(let written): next(written)
            case .failure(let error):
                guard let self, attempts > 1, (error as? APIError)?.isConflict == true else {
                    return done("\(what) \(objectKey(claim)): \(error)")
                }
                readAgain(claim, allocation, for: pod, attempts - 1, done)
            }
        }
    }

    private func readAgain(
        _ claim: JSON, _ allocation: JSON?, for pod: JSON, _ attempts: Int,
        _ done: @escaping @Sendable (String?) -> Void
    ) {
        cluster.writer.send("GET", Self.path(of: claim), body: nil) { [weak self] result in
            switch result {
            case .success(let current): self?.write(current, allocation, for: pod, attempts: attempts, done)
            case .failure(let error): done("get updated claim \(objectKey(claim)) after conflict: \(error)")
            }
        }
    }
}
