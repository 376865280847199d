import Objects
import PluginKit

/// Revisions of the templates of StatefulSets and DaemonSets, kept as ControllerRevisions: what `kubectl rollout history`
/// and `undo` read.
struct ControllerHistory: Sendable {
    static let hashLabel = "controller-revision-hash"

    private let cluster: Cluster
    private let owner: ResourceType

    init(_ cluster: Cluster, owner: ResourceType) {
        self.cluster = cluster
        self.owner = owner
    }

    struct Revisions {
        /// Name of the revision of the present template.
        var update: String
        /// The hash part of that name.
        var hash: String
        /// All revisions, older first.
        var all: [JSON]
    }

    /// Finds or makes the revision of the present template, and removes revisions beyond the limit.
    func sync(_ object: JSON) throws -> Revisions {
        let patch: JSON = ["spec": ["template": object["spec"]["template"].with("$patch", "replace")]]
        let hash = PodTemplate.hash(
            object["spec"]["template"], collisions: object["status"]["collisionCount"].integerValue)
        let name = "\(object.name)-\(hash)"
        var all = owned(by: object)
        let next = (all.last?["revision"].integerValue ?? 0) + 1
        if let index = all.firstIndex(where: { $0.name == name }) {
            if index != all.count - 1 {
                // An old template came back: it is the newest revision now.
                var revision = all.remove(at: index)
                revision["revision"] = .integer(next)
                all.append(try cluster.writer.update(.controllerRevisions, revision.typed(.controllerRevisions)))
            }
        } else {
            all.append(try create(name, hash, patch, next, for: object))
        }
        let limit = object["spec"]["revisionHistoryLimit"].integerValue ?? 10
        let inUse = Set([object["status"]["currentRevision"].stringValue, name].compactMap { $0 })
        let old = all.filter { !inUse.contains($0.name) }
        for surplus in old.prefix(max(0, old.count - Int(limit))) {
            try cluster.writer.delete(.controllerRevisions, surplus)
        }
        return Revisions(update: name, hash: hash, all: all)
    }

    private func owned(by object: JSON) -> [JSON] {
        cluster.controllerRevisions.list(object.namespace)
            .filter { ControllerReference(controlling: $0)?.uid == object.uid }
            .sorted { ($0["revision"].integerValue ?? 0) < ($1["revision"].integerValue ?? 0) }
    }

    private func create(_ name: String, _ hash: String, _ data: JSON, _ number: Int64, for object: JSON) throws -> JSON
    {
        var labels: JSON = object["spec"]["template"]["metadata"]["labels"]
        labels[Self.hashLabel] = .string(hash)
        var metadata: JSON = [
            "name": .string(name), "namespace": .string(object.namespace), "labels": labels,
            "ownerReferences": .array([ControllerReference(owner, object).json]),
        ]
        if object.annotations.exists { metadata["annotations"] = object.annotations }
        do {
            return try cluster.writer.create(
                .controllerRevisions,
                [
                    "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data,
                    "revision": .integer(number),
                ])
        } catch let error as APIError where error.isAlreadyExists {
            // Made a moment ago; the cache has not seen it yet.
            return try cluster.writer.api.get(
                ResourceType.controllerRevisions.apiVersion, ResourceType.controllerRevisions.plural,
                namespace: object.namespace, name: name)
        }
    }
}
