import ObjectSchema
import Objects

/// The OpenAPI documents: version 3 by group and version, version 2 as one. They are large and seldom asked for, so they
/// are made each time and not kept.
/// See https://kubernetes.io/docs/concepts/overview/kubernetes-api/#api-specification.
final class OpenAPIDocuments: Sendable {
    private let resources: ResourceTable

    init(resources: ResourceTable) {
        self.resources = resources
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
            return HTTPResponse(status: 200, body: .bytes(OpenAPIDocument.v2(serverVersion: version)))
        case "v3" where parts.count == 2: return .json(200, index(version))
        case "v3":
            let place = parts.dropFirst(2).joined(separator: "/")
            guard let entry = places.first(where: { $0.place == place }) else { return nil }
            let bytes = OpenAPIDocument.v3(group: entry.group, version: entry.version, serverVersion: version)
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

    /// The schemas are part of the program: its version stands for their content.
    private func index(_ version: String) -> JSON {
        var paths: JSONObject = [:]
        for entry in places {
            paths[entry.place] = ["serverRelativeURL": .string("/openapi/v3/\(entry.place)?hash=\(version)")]
        }
        return ["paths": .object(paths)]
    }
}
