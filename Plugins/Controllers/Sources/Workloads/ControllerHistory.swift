import Objects
import PluginKit

/// Revisions of the templates of StatefulSets and DaemonSets, kept as ControllerRevisions: what `kubectl rollout history`
/// and `undo` read.
struct ControllerHistory: Sendable {
    /// Ties a pod to its revision: by the revision's name for StatefulSets, by its hash for DaemonSets.
    static let podLabel = "controller-revision-hash"
    /// The hash of a StatefulSet's revision.
    private static let hashLabel = "controller.kubernetes.io/hash"

    private let cluster: Cluster
    private let owner: ResourceType

    init(_ cluster: Cluster, owner: ResourceType) {
        self.cluster = cluster
        self.owner = owner
    }

    struct Revisions {
        /// Name of the revision of the present template.
        var update: String
        /// What new pods of the present template are labelled with.
        var label: String
        /// What pods of the present template may be labelled with: the revision may have been made anew under another name.
        var labels: Set<String>
        /// All revisions, older first.
        var all: [JSON]
    }

    /// Finds or makes the revision of the present template, and removes revisions beyond the limit.
    func sync(_ object: JSON) throws -> Revisions {
        let template = object["spec"]["template"]
        let hash = PodTemplate.hash(template, collisions: object["status"]["collisionCount"].integerValue)
        var all = try claimed(by: object)
        let next = (all.last?["revision"].integerValue ?? 0) + 1
        if let index = all.lastIndex(where: { PodTemplate.areEqual($0["data"]["spec"]["template"], template) }) {
            if index != all.count - 1 {
                // An old template came back: it is the newest revision now.
                var revision = all.remove(at: index)
                revision["revision"] = .integer(next)
                all.append(try cluster.writer.update(.controllerRevisions, revision.typed(.controllerRevisions)))
            }
        } else {
            all.append(try create(hash, number: next, for: object))
        }
        let current = all.last ?? .null
        try trim(all, keeping: current.name, of: object)
        let label = label(of: current, object)
        let isNamed = owner == .statefulSets
        return Revisions(
            update: current.name, label: label,
            labels: isNamed ? [label, self.hash(of: current, object), "\(object.name)-\(hash)", hash] : [label, hash],
            all: all)
    }

    /// What pods of a revision are labelled with.
    func label(of revision: JSON, _ object: JSON) -> String {
        owner == .statefulSets ? revision.name : hash(of: revision, object)
    }

    private func hash(of revision: JSON, _ object: JSON) -> String {
        revision.labels[Self.hashLabel].stringValue ?? revision.labels[Self.podLabel].stringValue
            ?? String(revision.name.dropFirst(object.name.count + 1))
    }

    private func trim(_ all: [JSON], keeping name: String, of object: JSON) throws {
        let limit = object["spec"]["revisionHistoryLimit"].integerValue ?? 10
        let inUse = Set([object["status"]["currentRevision"].stringValue, name].compactMap { $0 })
        let old = all.filter { !inUse.contains($0.name) }
        for surplus in old.prefix(max(0, old.count - Int(limit))) {
            try cluster.writer.delete(.controllerRevisions, surplus)
        }
    }

    /// The object's revisions, older first, with those that nobody owns and its selector matches.
    private func claimed(by object: JSON) throws -> [JSON] {
        let reference = ControllerReference(owner, object)
        var claim = Claim(
            cluster.controllerRevisions.list(object.namespace), owner: object,
            selector: try owner.selector(of: object))
        for orphan in claim.adopt {
            claim.owned.append(
                try cluster.writer.patch(
                    .controllerRevisions, orphan, Claim.adoption(of: orphan, by: reference)))
        }
        return (claim.owned + claim.release).sorted {
            ($0["revision"].integerValue ?? 0) < ($1["revision"].integerValue ?? 0)
        }
    }

    /// The data of a template's revision, its keys in the order of their bytes: clients compare it byte by byte with what
    /// they make of the present template, and so see that going back to a revision changes nothing.
    static func data(of template: JSON) -> JSON {
        ["spec": ["template": template.with("$patch", "replace").withSortedKeys]]
    }

    private func create(_ hash: String, number: Int64, for object: JSON) throws -> JSON {
        let name = "\(object.name)-\(hash)"
        let template = object["spec"]["template"]
        var labels: JSON = template["metadata"]["labels"]
        labels[owner == .statefulSets ? Self.hashLabel : Self.podLabel] = .string(hash)
        var metadata: JSON = [
            "name": .string(name), "namespace": .string(object.namespace), "labels": labels,
            "ownerReferences": .array([ControllerReference(owner, object).json]),
        ]
        if object.annotations.exists { metadata["annotations"] = object.annotations }
        do {
            return try cluster.writer.create(
                .controllerRevisions,
                [
                    "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata,
                    "data": Self.data(of: template),
                    "revision": .integer(number),
                ])
        } catch let error as APIError where error.isAlreadyExists {
            let existing = try cluster.writer.api.get(
                ResourceType.controllerRevisions.apiVersion, ResourceType.controllerRevisions.plural,
                namespace: object.namespace, name: name)
            // Made a moment ago; the cache has not seen it yet.
            if PodTemplate.areEqual(existing["data"]["spec"]["template"], template) { return existing }
            // The name stands for another template: the hash gets a salt.
            var status = object["status"]
            status["collisionCount"] = .integer((status["collisionCount"].integerValue ?? 0) + 1)
            try cluster.writer.updateStatus(owner, object, status: status)
            throw PluginError.conflict("ControllerRevision \(name) is of another template; looking again")
        }
    }
}

extension JSON {
    /// The same value with the keys of all its objects in the order of their bytes.
    fileprivate var withSortedKeys: JSON {
        switch self {
        case .object(let members):
            .object(JSONObject(members.sortedByKey().map { ($0.key, $0.value.withSortedKeys) }))
        case .array(let elements): .array(elements.map(\.withSortedKeys))
        default: self
        }
    }
}
