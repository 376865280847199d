import Glibc
import ObjectSchema
import Objects
import PluginKit
import Synchronization

/// The OpenAPI documents: version 3 by group and version, version 2 as one. They are large and seldom asked for, so they
/// are made each time and not kept; what is kept is what stands for their content.
/// See https://kubernetes.io/docs/concepts/overview/kubernetes-api/#api-specification.
final class OpenAPIDocuments: Sendable {
    let resources: ResourceTable
    private let aggregated: AggregatedAPIs
    private let store: StoreClient
    /// Tags of the documents of the server's own kinds, by place or form: they are part of the program, so they never change.
    private let ownTags = Mutex<[String: EntityTag]>([:])

    init(resources: ResourceTable, aggregated: AggregatedAPIs, store: StoreClient) {
        self.resources = resources
        self.aggregated = aggregated
        self.store = store
    }

    private static let version2Protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    private static let revalidated = "no-cache, private"

    /// One document of version 3: that of a group and version, or one about what groups there are, which has no version.
    struct Place {
        var path: String
        var group = ""
        var version = ""
        var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    }

    private var version: String { ServerVersion.json["gitVersion"].stringValue ?? "" }

    /// A document of version 2 of another server's, and below which path it counts.
    typealias Other = (root: String, document: JSON)

    /// The answer for a path below /openapi; nil when there is none. Takes some milliseconds: not on an event loop.
    /// - Parameter others: asks other servers for theirs; called for the document of version 2 alone. [blocking]
    func response(
        _ path: String, _ query: Query, _ accept: String?, ifNoneMatch: String?, others: () -> [Other] = { [] }
    ) -> HTTPResponse? {
        let parts = path.split(separator: "/").map(String.init)
        switch parts.dropFirst().first {
        case "v2" where parts.count == 2: return version2(accept, ifNoneMatch, others())
        case "v3" where parts.count == 2:
            let bytes = index.serialized() + [0x0A]
            return .tagged(EntityTag(of: bytes), ifNoneMatch: ifNoneMatch, cacheControl: Self.revalidated) { bytes }
        case "v3":
            let path = parts.dropFirst(2).joined(separator: "/")
            guard let place = places.first(where: { $0.path == path }) else { return nil }
            return version3(place, query["hash"] ?? "", ifNoneMatch)
        default: return nil
        }
    }

    private func version2(_ accept: String?, _ ifNoneMatch: String?, _ documents: [Other]) -> HTTPResponse {
        let custom = resources.custom.served.map(kind)
        var others = OpenAPIOthers(custom: Set(custom.flatMap { $0.names.map(\.1) }))
        for other in documents { others.add(other.document, below: other.root) }
        let isProtobuf = accept?.contains("proto-openapi.spec.v2") ?? false
        let form = isProtobuf ? Self.version2Protobuf : "application/json"
        func write(_ custom: [OpenAPICustomKind], _ others: OpenAPIOthers) -> [UInt8] {
            isProtobuf
                ? OpenAPIDocument.v2Protobuf(serverVersion: version, custom: custom, others: others)
                : OpenAPIDocument.v2(serverVersion: version, custom: custom, others: others)
        }
        // Of the server's own kinds, of custom ones as their definitions' generations say, and of other servers' documents.
        let tags =
            ownTag("v2 \(form)") { write([], OpenAPIOthers()) }.text
            + customStates.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined()
            + documents.map { EntityTag(of: $0.document.serialized()).text }.joined()
        return .tagged(
            EntityTag(of: Array(tags.utf8)), ifNoneMatch: ifNoneMatch, contentType: form, cacheControl: Self.revalidated
        ) { write(custom, others) }
    }

    /// A document under its hash never changes: clients may keep it. Under an old hash they are sent to the new one.
    private func version3(_ place: Place, _ hash: String, _ ifNoneMatch: String?) -> HTTPResponse {
        let tag = tag(place, customStates)
        guard hash.isEmpty || hash == tag.text else {
            return HTTPResponse(
                status: 301, contentType: "", headers: [("Location", Self.url(place, tag))], body: .bytes([]))
        }
        let isImmutable = !hash.isEmpty
        let expires = String(decoding: HTTPDate.format(time(nil) + 365 * 86_400), as: UTF8.self)
        return .tagged(
            tag, ifNoneMatch: ifNoneMatch, cacheControl: isImmutable ? "public, immutable" : Self.revalidated,
            headers: isImmutable ? [("Expires", expires)] : []
        ) { document(place) }
    }

    private static func url(_ place: Place, _ tag: EntityTag) -> String {
        "/openapi/v3/\(place.path)?hash=\(tag.text)"
    }

    func document(_ place: Place) -> [UInt8] {
        if place.version.isEmpty { return OpenAPIDocument.v3(place: place.path, serverVersion: version) ?? [] }
        let custom = resources.custom.served.filter { $0.group == place.group && $0.version == place.version }
        return OpenAPIDocument.v3(
            group: place.group, version: place.version, serverVersion: version, custom: custom.map(kind))
    }

    var places: [Place] {
        var seen: Set<String> = []
        var groups: [String] = []
        let ofVersions: [Place] = resources.all.compactMap { resource in
            if seen.insert(resource.group).inserted { groups.append(resource.group) }
            let path =
                resource.group.isEmpty ? "api/\(resource.version)" : "apis/\(resource.group)/\(resource.version)"
            return seen.insert(path).inserted
                ? Place(path: path, group: resource.group, version: resource.version) : nil
        }
        return OpenAPIDocument.places(groups: groups).map { Place(path: $0) } + ofVersions
    }

    private var index: JSON {
        let states = customStates
        var paths: JSONObject = [:]
        for place in places {
            paths[place.path] = ["serverRelativeURL": .string(Self.url(place, tag(place, states)))]
        }
        // Other servers hash what they hold themselves.
        for (api, knowledge) in aggregated.all {
            paths["apis/\(api.apiVersion)"] =
                knowledge.openAPI.isEmpty ? nil : ["serverRelativeURL": .string(knowledge.openAPI)]
        }
        return ["paths": .object(paths)]
    }

    // MARK: - Tags

    /// What the custom kinds of each API version are: their definitions' generations.
    private var customStates: [String: String] {
        var states: [String: String] = [:]
        for resource in resources.custom.served {
            guard let custom = resource.custom, let definition = resources.custom.definition(custom.definition) else {
                continue
            }
            states[resource.apiVersion, default: ""] += "\(definition.uid)/\(definition.generation);"
        }
        return states
    }

    /// A custom kind's document is what its definition's generation says, written as this program writes documents: for the
    /// latter stands the content of one of the server's own.
    private func tag(_ place: Place, _ states: [String: String]) -> EntityTag {
        guard let state = states[place.apiVersion] else {
            // Groups come and go with definitions: what stands for their small documents is not kept.
            return place.version.isEmpty ? EntityTag(of: document(place)) : ownTag(place)
        }
        let core = ownTag(Place(path: "api/v1", group: "", version: "v1"))
        return EntityTag(of: Array((core.text + state).utf8))
    }

    private func ownTag(_ place: Place) -> EntityTag { ownTag(place.path) { document(place) } }

    private func ownTag(_ name: String, _ content: () -> [UInt8]) -> EntityTag {
        if let known = ownTags.withLock({ $0[name] }) { return known }
        let tag = EntityTag(of: content())
        ownTags.withLock { $0[name] = tag }
        return tag
    }

    private func kind(_ resource: Resource) -> OpenAPICustomKind {
        let subresources = resource.subresources.map {
            SchemaResource.Subresource(
                name: $0.name, kind: GroupVersionKind(group: $0.group, version: $0.version, kind: $0.kind),
                verbs: $0.verbs)
        }
        let listed = SchemaResource(
            group: resource.group, version: resource.version, plural: resource.plural, singular: resource.singular,
            kind: resource.kind, isNamespaced: resource.isNamespaced, verbs: resource.verbs,
            shortNames: resource.shortNames, categories: resource.categories, subresources: subresources)
        return OpenAPICustomKind(resource: listed, listKind: resource.listKind) { [store] in
            guard let custom = resource.custom else { return [:] }
            // A definition that goes while the document is made has an empty schema in it, and none in the next.
            guard let object = try? store.object("\(CustomVersion.definitions)//\(custom.definition)"),
                let entry = object["spec"]["versions"].arrayValue.first(where: {
                    $0["name"].stringValue == resource.version
                })
            else { return [:] }
            var schema = entry["schema"]["openAPIV3Schema"]
            let fields = entry["selectableFields"].arrayValue.compactMap { $0["jsonPath"].stringValue }
            if !fields.isEmpty {
                schema["x-kubernetes-selectable-fields"] = .array(
                    fields.map { ["fieldPath": JSON($0.drop { $0 == "." })] })
            }
            return schema
        }
    }
}
