import ObjectSchema
import Objects
import PluginKit

/// The OpenAPI documents: version 3 by group and version, version 2 as one. They are large and seldom asked for, so they
/// are made each time and not kept.
/// See https://kubernetes.io/docs/concepts/overview/kubernetes-api/#api-specification.
final class OpenAPIDocuments: Sendable {
    private let resources: ResourceTable
    private let aggregated: AggregatedAPIs
    private let store: StoreClient

    init(resources: ResourceTable, aggregated: AggregatedAPIs, store: StoreClient) {
        self.resources = resources
        self.aggregated = aggregated
        self.store = store
    }

    private static let version2Protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

    /// The answer for a path below /openapi; nil when there is none.
    func response(_ path: String, _ query: Query, _ accept: String?) -> HTTPResponse? {
        let parts = path.split(separator: "/").map(String.init)
        let version = ServerVersion.json["gitVersion"].stringValue ?? ""
        switch parts.dropFirst().first {
        case "v2" where parts.count == 2:
            if let accept, accept.contains("proto-openapi.spec.v2") {
                return HTTPResponse(
                    status: 200, contentType: Self.version2Protobuf,
                    body: .bytes(OpenAPIProtobuf.document(resources.all, version: version)))
            }
            return HTTPResponse(
                status: 200,
                body: .bytes(OpenAPIDocument.v2(serverVersion: version, custom: resources.custom.served.map(kind))))
        case "v3" where parts.count == 2: return .json(200, index(version))
        case "v3":
            let place = parts.dropFirst(2).joined(separator: "/")
            guard let entry = places.first(where: { $0.place == place }) else { return nil }
            let custom = resources.custom.served.filter { $0.group == entry.group && $0.version == entry.version }
            let bytes = OpenAPIDocument.v3(
                group: entry.group, version: entry.version, serverVersion: version, custom: custom.map(kind))
            return HTTPResponse(status: 200, body: .bytes(bytes))
        default: return nil
        }
    }

    private var places: [(place: String, group: String, version: String)] {
        var seen: Set<String> = []
        return resources.all.compactMap { resource in
            let place =
                resource.group.isEmpty ? "api/\(resource.version)" : "apis/\(resource.group)/\(resource.version)"
            return seen.insert(place).inserted ? (place, resource.group, resource.version) : nil
        }
    }

    /// The server's own schemas are part of the program: its version stands for their content. A custom resource is what
    /// its definition's generation says.
    private func index(_ version: String) -> JSON {
        var states: [String: String] = [:]
        for resource in resources.custom.served {
            guard let custom = resource.custom, let definition = resources.custom.definition(custom.definition) else {
                continue
            }
            states[resource.apiVersion, default: ""] += "\(definition.uid)/\(definition.generation);"
        }
        var paths: JSONObject = [:]
        for entry in places {
            let apiVersion = entry.group.isEmpty ? entry.version : "\(entry.group)/\(entry.version)"
            let hash = states[apiVersion].map { Self.hash(version + $0) } ?? version
            paths[entry.place] = ["serverRelativeURL": .string("/openapi/v3/\(entry.place)?hash=\(hash)")]
        }
        // Other servers hash what they hold themselves.
        for (api, knowledge) in aggregated.all {
            let place = "apis/\(api.apiVersion)"
            paths[place] =
                knowledge.openAPI.isEmpty ? nil : ["serverRelativeURL": .string(knowledge.openAPI)]
        }
        return ["paths": .object(paths)]
    }

    /// FNV-1a, 64 bits, in hexadecimal digits.
    private static func hash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
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
            return entry["schema"]["openAPIV3Schema"]
        }
    }
}
