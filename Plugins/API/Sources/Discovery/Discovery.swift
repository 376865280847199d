import Objects
import Synchronization

/// The documents by which clients find out what the server has. They are made when they are first asked for, and kept as
/// bytes until a custom resource comes, changes or goes.
/// See https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api.
final class Discovery: Sendable {
    private let resources: ResourceTable
    private let aggregated: AggregatedAPIs
    /// "host:port" that clients are told.
    let address: String
    private struct Generation: Equatable {
        var custom: UInt64 = 0
        var aggregated: UInt64 = 0
    }
    private struct Cache {
        /// Of the custom resources and of the aggregated APIs that the documents tell of.
        var generation = Generation()
        var documents: [String: Document] = [:]
    }
    private struct Document {
        var bytes: [UInt8]
        var tag: EntityTag
    }
    private let cache = Mutex(Cache())

    init(resources: ResourceTable, aggregated: AggregatedAPIs, address: String) {
        self.resources = resources
        self.aggregated = aggregated
        self.address = address
    }

    /// The answer for a discovery path; nil when the path is none.
    func response(_ path: String, _ form: ResponseForm, ifNoneMatch: String? = nil) -> HTTPResponse? {
        let parts = path.split(separator: "/").map(String.init)
        var type = "application/json"
        var key = "/" + parts.joined(separator: "/")
        if case .aggregatedDiscovery(let version) = form, key == "/api" || key == "/apis" {
            type = "application/json;g=apidiscovery.k8s.io;v=\(version);as=APIGroupDiscoveryList"
            key += ";" + version
        }
        let generation = Generation(custom: resources.custom.generation, aggregated: aggregated.generation)
        let known = cache.withLock { cache -> Document? in
            if cache.generation != generation { cache = Cache(generation: generation) }
            return cache.documents[key]
        }
        if let known { return Self.response(known, type, ifNoneMatch) }
        guard let made = document(parts, form) else { return nil }
        let bytes = made.serialized() + [0x0A]
        let document = Document(bytes: bytes, tag: EntityTag(of: bytes))
        cache.withLock { if $0.generation == generation { $0.documents[key] = document } }
        return Self.response(document, type, ifNoneMatch)
    }

    /// Clients may keep discovery as long as they ask each time whether it still holds. Only the whole of it is for others
    /// between too, as in Kubernetes.
    private static func response(_ document: Document, _ type: String, _ ifNoneMatch: String?) -> HTTPResponse {
        .tagged(
            document.tag, ifNoneMatch: ifNoneMatch, contentType: type,
            cacheControl: type == "application/json" ? "no-cache, private" : "public"
        ) { document.bytes }
    }

    private func document(_ parts: [String], _ form: ResponseForm) -> JSON? {
        switch parts.count {
        case 1 where parts[0] == "api":
            if case .aggregatedDiscovery(let version) = form { return aggregated(version, isCore: true) }
            return [
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [["clientCIDR": "0.0.0.0/0", "serverAddress": .string(address)]],
            ]
        case 1 where parts[0] == "apis":
            if case .aggregatedDiscovery(let version) = form { return aggregated(version, isCore: false) }
            return [
                "kind": "APIGroupList", "apiVersion": "v1",
                "groups": .array(groups.map { .object(group($0.name, $0.versions)) }),
            ]
        case 2 where parts[0] == "api": return resourceList("", parts[1])
        case 2 where parts[0] == "apis":
            guard let found = groups.first(where: { $0.name == parts[1] }) else { return nil }
            var document: JSONObject = ["kind": "APIGroup", "apiVersion": "v1"]
            for (key, value) in group(found.name, found.versions) { document[key] = value }
            return .object(document)
        case 3 where parts[0] == "apis": return resourceList(parts[1], parts[2])
        default: return nil
        }
    }

    /// Named groups with their versions, preferred first; groups of other servers among the server's own as their
    /// priorities say.
    var groups: [(name: String, versions: [String])] { GroupOrder.merged(own, aggregated.all.map(\.api)) }

    /// What this server itself answers for, in the order of its priority.
    private var own: [GroupOrder.Group] {
        ownGroups.map { name, versions in
            let isCustom = !resources.builtIn.contains { $0.group == name }
            let priorities = versions.map { isCustom ? APIPriority.custom : APIPriority(group: name, version: $0) }
            return .init(
                name: name, priority: priorities.map(\.group).max() ?? 0,
                versions: zip(versions, priorities).map { .init(name: $0, priority: $1.version) })
        }
    }

    private var ownGroups: [(name: String, versions: [String])] {
        var result: [(name: String, versions: [String])] = []
        var positions: [String: Int] = [:]
        for resource in resources.all where !resource.group.isEmpty {
            if let index = positions[resource.group] {
                if !result[index].versions.contains(resource.version) {
                    result[index].versions.append(resource.version)
                }
            } else {
                positions[resource.group] = result.count
                result.append((resource.group, [resource.version]))
            }
        }
        return result
    }

    private func group(_ name: String, _ versions: [String]) -> JSONObject {
        func entry(_ version: String) -> JSON {
            ["groupVersion": .string("\(name)/\(version)"), "version": .string(version)]
        }
        return [
            "name": .string(name), "versions": .array(versions.map(entry)), "preferredVersion": entry(versions[0]),
        ]
    }

    private func resourceList(_ group: String, _ version: String) -> JSON? {
        let served = resources.all.filter { $0.group == group && $0.version == version }
        guard !served.isEmpty else { return nil }
        var entries: [JSON] = []
        for resource in served {
            var entry: JSONObject = [
                "name": .string(resource.plural), "singularName": .string(resource.singular),
                "namespaced": .bool(resource.isNamespaced), "kind": .string(resource.kind),
                "verbs": strings(resource.listedVerbs),
            ]
            if !resource.shortNames.isEmpty { entry["shortNames"] = strings(resource.shortNames) }
            if !resource.categories.isEmpty { entry["categories"] = strings(resource.categories) }
            if !resource.isVirtual, !resource.isMeasured { entry["storageVersionHash"] = .string(Self.hash(resource)) }
            entries.append(.object(entry))
            for subresource in resource.subresources {
                var entry: JSONObject = [
                    "name": .string("\(resource.plural)/\(subresource.name)"), "singularName": "",
                    "namespaced": .bool(resource.isNamespaced),
                ]
                if subresource.group != resource.group || subresource.version != resource.version {
                    entry["group"] = .string(subresource.group)
                    entry["version"] = .string(subresource.version)
                }
                entry["kind"] = .string(subresource.kind)
                entry["verbs"] = strings(subresource.verbs)
                entries.append(.object(entry))
            }
        }
        return [
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? version : "\(group)/\(version)"), "resources": .array(entries),
        ]
    }

    private func aggregated(_ version: String, isCore: Bool) -> JSON {
        let wanted = isCore ? [(name: "", versions: ["v1"])] : groups
        let byVersion = Dictionary(grouping: resources.all, by: \.apiVersion)
        let others = Dictionary(aggregated.all.map { ($0.api.apiVersion, $0.knowledge) }) { a, _ in a }
        let items = wanted.map { group -> JSON in
            let versions = group.versions.map { version -> JSON in
                if let other = others["\(group.name)/\(version)"] {
                    return [
                        "version": .string(version), "resources": .array(other.resources),
                        "freshness": other.isAvailable ? "Current" : "Stale",
                    ]
                }
                let served = byVersion[group.name.isEmpty ? version : "\(group.name)/\(version)"] ?? []
                return [
                    "version": .string(version), "resources": .array(served.map(aggregatedResource)),
                    "freshness": "Current",
                ]
            }
            let metadata: JSON =
                group.name.isEmpty
                ? ["creationTimestamp": .null] : ["name": .string(group.name), "creationTimestamp": .null]
            return ["metadata": metadata, "versions": .array(versions)]
        }
        return [
            "kind": "APIGroupDiscoveryList", "apiVersion": .string("apidiscovery.k8s.io/\(version)"), "metadata": [:],
            "items": .array(items),
        ]
    }

    private func aggregatedResource(_ resource: Resource) -> JSON {
        func kind(_ group: String, _ version: String, _ kind: String) -> JSON {
            ["group": .string(group), "version": .string(version), "kind": .string(kind)]
        }
        var entry: JSONObject = [
            "resource": .string(resource.plural), "responseKind": kind(resource.group, resource.version, resource.kind),
            "scope": resource.isNamespaced ? "Namespaced" : "Cluster", "singularResource": .string(resource.singular),
            "verbs": strings(resource.listedVerbs),
        ]
        if !resource.shortNames.isEmpty { entry["shortNames"] = strings(resource.shortNames) }
        if !resource.categories.isEmpty { entry["categories"] = strings(resource.categories) }
        if !resource.subresources.isEmpty {
            entry["subresources"] = .array(
                resource.subresources.map {
                    [
                        "subresource": .string($0.name), "responseKind": kind($0.group, $0.version, $0.kind),
                        "verbs": strings($0.verbs),
                    ]
                })
        }
        return .object(entry)
    }

    private func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }

    /// A short text that stands for the group, version and kind in which a resource is stored: the one that Kubernetes makes of
    /// them, eight bytes of a SHA-256.
    private static func hash(_ resource: Resource) -> String {
        let version = resource.storageAPIVersion
        let text = (version.contains("/") ? version : "/" + version) + "/" + resource.kind
        return Base64.encode(Array(EntityTag.digest(of: Array(text.utf8)).prefix(8)))
    }
}
