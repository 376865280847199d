import Objects
import PluginKit
import Synchronization

/// Gives each namespace its service account and certificate authority, and empties those that are being deleted.
final class NamespaceController: Controller {
    /// Namespaces that every cluster has.
    static let builtIn = ["default", "kube-system", "kube-public", "kube-node-lease"]

    /// Seconds until a namespace is looked at again that objects of other servers are left in.
    private static let again: Int64 = 5

    private let cluster: Cluster
    private let queue: ControllerQueue
    /// Namespaces that are being emptied: the end of any object in them is a reason to look again.
    private let terminating = Mutex<Set<String>>([])

    init(_ cluster: Cluster, _ observer: StoreObserver) throws {
        self.cluster = cluster
        let box = Unowned<NamespaceController>()
        queue = try cluster.queue("namespace") { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.namespaces.onObject { [queue] in queue.add($0.name) }
        for cache in [cluster.serviceAccounts, cluster.rootCertificates] {
            cache.onObject { [queue] in queue.add($0.namespace) }
        }
        observer.onEvent { [unowned self] event in
            guard let namespace = event.namespaceOfEnd else { return }
            if terminating.withLock({ $0.contains(namespace) }) { queue.add(namespace) }
        }
    }

    func start() {
        // The built-in ones are looked at even when they do not exist yet.
        for name in Self.builtIn { queue.add(name) }
        queue.open()
    }

    func stop() { queue.stop() }

    private func sync(_ name: String) throws -> Requeue {
        guard let namespace = cluster.namespaces.get("", name) else {
            terminating.withLock { _ = $0.remove(name) }
            if Self.builtIn.contains(name) {
                try createUnlessPresent(
                    .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]])
            }
            return .done
        }
        if namespace.deletionTimestamp != nil { return try empty(namespace) }
        return try furnish(name)
    }

    private func furnish(_ name: String) throws -> Requeue {
        if cluster.serviceAccounts.get(name, "default") == nil {
            try createUnlessPresent(
                .serviceAccounts,
                [
                    "apiVersion": "v1", "kind": "ServiceAccount",
                    "metadata": ["name": "default", "namespace": .string(name)],
                ])
        }
        guard let certificate = try RootCertificate.read(dataDirectory: cluster.dataDirectory) else {
            // The API front writes it before it serves; until then there is no one to give it to.
            return .afterSeconds(1)
        }
        let wanted = RootCertificate.configMap(namespace: name, certificate: certificate)
        guard let current = cluster.rootCertificates.get(name, RootCertificate.name) else {
            try createUnlessPresent(.configMaps, wanted)
            return .done
        }
        if current["data"] != wanted["data"] {
            try cluster.writer.patch(.configMaps, current, ["data": wanted["data"]])
        }
        return .done
    }

    private func createUnlessPresent(_ type: ResourceType, _ object: JSON) throws {
        do {
            try cluster.writer.create(type, object)
        } catch let error as APIError where error.isAlreadyExists || error.isNamespaceTerminating {
            // Someone else made it, or the namespace is going: the caches will tell.
        } catch let error as APIError where error.isNotFound {
            // The namespace is gone.
        }
    }

    // MARK: Deletion

    private func empty(_ namespace: JSON) throws -> Requeue {
        let name = namespace.name
        terminating.withLock { _ = $0.insert(name) }
        let contents = deleteContents(of: name)
        guard contents.isEmpty else {
            var status = namespace["status"]
            status["phase"] = "Terminating"
            status["conditions"] = contents.conditions(status["conditions"], now: .now())
            try cluster.writer.updateStatus(.namespaces, namespace, status: status)
            if !contents.failures.isEmpty || !contents.discoveryFailures.isEmpty {
                let failures = (contents.failures + contents.discoveryFailures).joined(separator: "; ")
                throw PluginError.unavailable("namespace \(name) is not empty: \(failures)")
            }
            // Nobody tells of the end of objects that are not in the store.
            return contents.mustLookAgain ? .afterSeconds(Self.again) : .done
        }
        var final = namespace.typed(.namespaces)
        let kept = final["spec"]["finalizers"].arrayValue.filter { $0.stringValue != "kubernetes" }
        final["spec"]["finalizers"] = .array(kept)
        do {
            try cluster.writer.api.update("namespaces", final, subresource: "finalize")
        } catch let error as APIError where error.isNotFound {
            // It is gone.
        }
        return .done
    }

    /// Asks for the deletion of everything in a namespace and counts what is left. Pods go first: what guards or serves them
    /// (network policies, configuration, service accounts) stays until the last of them is gone.
    private func deleteContents(of namespace: String) -> NamespaceContents {
        var contents = NamespaceContents()
        let aggregated = cluster.aggregated
        let resources = contents.discover(cluster.writer.api, aggregated)
        for resource in resources.filter(\.type.isPods) + resources.filter({ !$0.type.isPods }) {
            do {
                if aggregated.contains(resource.type.apiVersion) {
                    try contents.delete(resource, in: namespace, aggregated)
                } else {
                    try delete(resource.type, in: namespace, &contents)
                }
            } catch let failure {
                contents.failures.append("\(resource.type.storeName): \(failure)")
            }
            if resource.type.isPods, !contents.remaining.isEmpty || !contents.failures.isEmpty { break }
        }
        return contents
    }

    private func delete(_ type: ResourceType, in namespace: String, _ contents: inout NamespaceContents) throws {
        let prefix = "\(type.storeName)/\(namespace)/"
        guard try !cluster.store.list(prefix: prefix, limit: 1).records.isEmpty else { return }
        try cluster.writer.api.request(
            "DELETE", APIPath.collection(type.apiVersion, type.plural, namespace: namespace),
            body: ["apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"])
        let left = try cluster.store.list(prefix: prefix).records
        guard !left.isEmpty else { return }
        contents.remaining[type.storeName] = left.count
        for record in left {
            let head = record.withValue { ObjectHead(key: record.key, value: $0, revision: record.revision) }
            for finalizer in head?.finalizers ?? [] { contents.finalizers[finalizer, default: 0] += 1 }
        }
    }
}

extension ResourceType {
    fileprivate var isPods: Bool { storeName == "pods" }
}
