import ObjectSchema
import Objects

/// What is known of the shape of objects: defaults, unknown fields, types, merge keys. The schema provides it.
protocol ObjectRules: Sendable {
    /// Fills in defaults.
    func applyDefaults(_ object: inout JSON, _ resource: Resource)
    /// Gives the status, which the server has just made, or a client written, what a status always has.
    func applyStatusDefaults(_ object: inout JSON, _ resource: Resource)
    /// Removes nulls and fields that the schema does not know; the result is their paths, for instance "spec.foo".
    /// - Throws: 400 for a value of a wrong type.
    func prune(_ object: inout JSON, _ resource: Resource) throws(APIStatus) -> [String]
    /// What is wrong with a new object.
    func validate(_ object: JSON, _ resource: Resource) -> [APIStatus.Cause]
    /// What is wrong with a changed object, what may not change included.
    func validateUpdate(
        of object: JSON, from before: JSON, _ resource: Resource, _ scope: Strategy.Scope
    ) -> [APIStatus.Cause]
    /// The type of a resource's objects, in the version of the resource; nil when nothing is known of it.
    func schema(of resource: Resource) -> SchemaNode?
    /// Applies a strategic merge patch.
    func strategicMerge(_ patch: JSON, to object: JSON, _ resource: Resource) throws -> JSON
}

/// All resources that are served, by where they are asked for: the server's own, which never change, and custom ones.
final class ResourceTable: Sendable {
    struct Place: Hashable {
        var group: String
        var version: String
        var resource: String
    }

    /// The server's own.
    let builtIn: [Resource]
    let custom = CustomResourceRegistry()
    private let byPlace: [Place: Resource]
    private let storage: [String: Resource]
    private let groupVersions: Set<String>

    init(_ all: [Resource]) {
        builtIn = all
        groupVersions = Set(all.map(\.apiVersion))
        byPlace = Dictionary(
            all.map { (Place(group: $0.group, version: $0.version, resource: $0.plural), $0) },
            uniquingKeysWith: { a, _ in a })
        storage = Dictionary(
            all.filter { $0.apiVersion == $0.storageAPIVersion }.map { ($0.qualified, $0) },
            uniquingKeysWith: { a, _ in a })
    }

    /// The server's own resources, then the custom ones.
    var all: [Resource] { builtIn + custom.served }

    /// - Parameter includesUnserved: finds versions of custom resources too that are stored and not served.
    func find(group: String, version: String, resource: String, includesUnserved: Bool = false) -> Resource? {
        let place = Place(group: group, version: version, resource: resource)
        return byPlace[place] ?? custom.find(place, includesUnserved: includesUnserved)
    }

    /// The resource in the version in which it is stored: "pods", "deployments.apps".
    func stored(_ qualified: String) -> Resource? { storage[qualified] ?? custom.stored(qualified) }

    /// The resource in the version in which a request's objects are looked at: that of the request for custom resources,
    /// each of whose versions has a schema of its own, and otherwise the one in which they are stored.
    func working(_ resource: Resource) -> Resource {
        let isStored = resource.custom != nil || resource.apiVersion == resource.storageAPIVersion
        return isStored ? resource : storage[resource.qualified] ?? resource
    }

    /// The resource of a kind.
    func find(apiVersion: String, kind: String) -> Resource? {
        builtIn.first { $0.apiVersion == apiVersion && $0.kind == kind && !$0.plural.contains("/") }
            ?? custom.find(apiVersion: apiVersion, kind: kind)
    }

    func hasGroupVersion(_ group: String, _ version: String) -> Bool {
        let apiVersion = group.isEmpty ? version : "\(group)/\(version)"
        return groupVersions.contains(apiVersion) || custom.hasGroupVersion(apiVersion)
    }
}
