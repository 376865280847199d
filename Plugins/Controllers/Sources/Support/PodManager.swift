import Objects
import PluginKit

/// Pods on behalf of their controllers: what is owned, what is created and deleted, and the wait until the cache shows it.
final class PodManager: Sendable {
    private let cluster: Cluster
    private let component: String
    private let owner: ResourceType
    /// What the owner's pods carry until it has counted them.
    private let finalizer: String?
    private let barrier = WriteBarrier()

    /// - Parameters:
    ///   - component: the source of events.
    ///   - owner: the kind of the controlling object.
    ///   - finalizer: what pods are given when they are taken in, and lose when they are let go.
    init(_ cluster: Cluster, component: String, owner: ResourceType, finalizer: String? = nil) {
        self.cluster = cluster
        self.component = component
        self.owner = owner
        self.finalizer = finalizer
    }

    /// Whether the cache shows everything that was written for `key`.
    func isSettled(_ key: String) -> Bool { barrier.isSatisfied(key, cluster.pods) }
    func forget(_ key: String) { barrier.forget(key) }

    /// Hears of pods, by the keys of the owners that control them or, of pods without an owner, whose selectors match.
    func onPod(of owners: ObjectCache, _ handler: @escaping @Sendable (_ key: String) -> Void) {
        cluster.podOwners.add(owner, owners, handler)
    }

    /// The pods that `object` controls, after it took in orphans that match its selector and let go of those that match no
    /// longer.
    /// - Parameter isCandidate: leaves out pods that do not concern the object.
    func claimed(by object: JSON, _ key: String, where isCandidate: (JSON) -> Bool = { _ in true }) throws -> [JSON] {
        let reference = ControllerReference(owner, object)
        var claim = Claim(
            cluster.pods.list(object.namespace).filter(isCandidate), owner: object,
            selector: try owner.selector(of: object))
        for pod in claim.adopt {
            let adopted = try cluster.writer.patch(
                .pods, pod, withFinalizer(pod, true, Claim.adoption(of: pod, by: reference)))
            barrier.wrote(adopted, for: key)
            claim.owned.append(adopted)
        }
        for pod in claim.release {
            do {
                barrier.wrote(
                    try cluster.writer.patch(
                        .pods, pod, withFinalizer(pod, false, Claim.releasing(pod, from: reference.uid))), for: key)
            } catch let error as APIError where error.isNotFound {
                // The pod is gone, and with it the reference.
            }
        }
        return claim.owned
    }

    /// The merge patch of a pod's metadata that gives it the owner's finalizer, or takes it.
    private func withFinalizer(_ pod: JSON, _ isWanted: Bool, _ patch: JSON) -> JSON {
        guard let finalizer else { return patch }
        let present = pod.finalizers
        if present.contains(finalizer) == isWanted { return patch }
        let finalizers = isWanted ? present + [finalizer] : present.filter { $0 != finalizer }
        var patch = patch
        patch["metadata"]["finalizers"] = .array(finalizers.map { .string($0) })
        return patch
    }

    /// Gives pods of an owner its finalizer, all at once. A pod that has changed meanwhile is left for the next look.
    func track(_ pods: [JSON], _ key: String) throws {
        let patches = pods.map { pod -> APIClient.Request in
            let metadata: JSON = ["uid": .string(pod.uid), "resourceVersion": .string(pod.resourceVersion)]
            return (
                "PATCH application/merge-patch+json", APIPath.object("v1", "pods", pod.namespace, pod.name),
                withFinalizer(pod, true, ["metadata": metadata])
            )
        }
        try settle(patches, key)
    }

    /// Takes the owner's finalizer off pods, all at once; those that are gone, or new ones of their names, are no error.
    func release(_ pods: [JSON], _ key: String) throws {
        guard let finalizer else { return }
        let body: (JSON) -> JSON = {
            [
                "metadata": [
                    "uid": .string($0.uid), "$deleteFromPrimitiveList/finalizers": .array([.string(finalizer)]),
                ]
            ]
        }
        let patches = pods.map { pod -> APIClient.Request in
            (
                "PATCH application/strategic-merge-patch+json",
                APIPath.object("v1", "pods", pod.namespace, pod.name), body(pod)
            )
        }
        try settle(patches, key)
    }

    private func settle(_ patches: [APIClient.Request], _ key: String) throws {
        if patches.isEmpty { return }
        var failure: (any Error)?
        for result in cluster.writer.all(patches) {
            switch result {
            case .success(let pod): barrier.wrote(pod, for: key)
            case .failure(let error as APIError) where error.isNotFound || error.isConflict: continue
            case .failure(let error): failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Creates pods in growing batches, and stops at the first batch that fails.
    /// - Returns: the failure, nil when all were made.
    func create(_ pods: [JSON], for object: JSON, _ key: String) -> (any Error)? {
        var left = pods[...]
        for size in ReplicaSetPlan.batches(of: pods.count) {
            var failure: (any Error)?
            let batch = Array(left.prefix(size))
            for (pod, result) in zip(batch, cluster.writer.createAll(.pods, batch)) {
                switch result {
                case .success(let created):
                    barrier.wrote(created, for: key)
                    record(object, .normal, "SuccessfulCreate", words("create", created.name, object))
                case .failure(let error as APIError) where error.isNamespaceTerminating: return nil
                case .failure(let error):
                    failure = error
                    record(object, .warning, "FailedCreate", words("create", pod.name, object, error))
                }
            }
            if failure != nil { return failure }
            left = left.dropFirst(size)
        }
        return nil
    }

    /// Deletes pods; those that are gone are no error.
    func delete(_ pods: [JSON], of object: JSON, _ key: String) throws {
        if pods.isEmpty { return }
        let requests = pods.map { pod -> (method: String, path: String, body: JSON) in
            ("DELETE", APIPath.object("v1", "pods", pod.namespace, pod.name), DeleteOptions.of(pod))
        }
        var failure: (any Error)?
        for (pod, result) in zip(pods, cluster.writer.all(requests)) {
            switch result {
            case .success:
                barrier.deleted(pod, for: key)
                record(object, .normal, "SuccessfulDelete", words("delete", pod.name, object))
            case .failure(let error as APIError) where error.isNotFound || error.isConflict:
                barrier.deleted(pod, for: key)
            case .failure(let error):
                failure = error
                record(object, .warning, "FailedDelete", words("delete", pod.name, object, error))
            }
        }
        if let failure { throw failure }
    }

    /// What events say of a pod that was made or deleted. StatefulSets, whose pods have names of their own, have their own words.
    private func words(_ verb: String, _ pod: String, _ object: JSON, _ error: (any Error)? = nil) -> String {
        if owner == .statefulSets {
            let outcome = error.map { "failed error: \($0)" } ?? "successful"
            return "\(verb) Pod \(pod) in StatefulSet \(object.name) \(outcome)"
        }
        if let error { return "Error \(verb.dropLast())ing: \(error)" }
        return "\(verb == "create" ? "Created" : "Deleted") pod: \(pod)"
    }

    func record(_ object: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(object.typed(owner), kind, reason: reason, message: message, component: component)
    }
}
