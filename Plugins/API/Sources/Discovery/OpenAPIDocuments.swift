import Objects
import Synchronization

/// OpenAPI v3: an index, and a document for each group and version with its paths and schemas.
/// See https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3.
final class OpenAPIDocuments: Sendable {
    private let resources: ResourceTable
    private let cache = Mutex<[String: [UInt8]]>([:])

    init(resources: ResourceTable) {
        self.resources = resources
    }

    /// The answer for a path below /openapi; nil when there is none.
    func response(_ path: String, _ query: Query, _ accept: String?) -> HTTPResponse? {
        let parts = path.split(separator: "/").map(String.init)
        switch parts.dropFirst().first {
        case "v2" where parts.count == 2:
            if let accept, !accept.contains("json"), !accept.contains("*/*") {
                return .failure(.notAcceptable("application/json"))
            }
            return .json(
                200,
                [
                    "swagger": "2.0", "info": ["title": "Kubernetes", "version": "v1.36.0"], "paths": [:], "definitions": [:],
                ])
        case "v3" where parts.count == 2: return .json(200, index)
        case "v3":
            let place = parts.dropFirst(2).joined(separator: "/")
            guard let bytes = document(place) else { return nil }
            return HTTPResponse(status: 200, body: .bytes(bytes))
        default: return nil
        }
    }

    private var places: [(place: String, group: String, version: String)] {
        var seen: Set<String> = []
        return resources.all.compactMap { resource in
            let place = resource.group.isEmpty ? "api/\(resource.version)" : "apis/\(resource.group)/\(resource.version)"
            return seen.insert(place).inserted ? (place, resource.group, resource.version) : nil
        }
    }

    private var index: JSON {
        var paths: JSONObject = [:]
        for entry in places {
            // The schemas are part of the program: its version stands for their content.
            paths[entry.place] = [
                "serverRelativeURL": .string("/openapi/v3/\(entry.place)?hash=\(ServerVersion.json["gitVersion"].stringValue ?? "")")
            ]
        }
        return ["paths": .object(paths)]
    }

    private func document(_ place: String) -> [UInt8]? {
        if let known = cache.withLock({ $0[place] }) { return known }
        guard let entry = places.first(where: { $0.place == place }) else { return nil }
        var paths: JSONObject = [:]
        for resource in resources.all where resource.group == entry.group && resource.version == entry.version {
            add(resource, "/\(place)", to: &paths)
        }
        let document: JSON = [
            "openapi": "3.0.0", "info": ["title": "Kubernetes", "version": "v1.36.0"], "paths": .object(paths),
            "components": ["schemas": [:]],
        ]
        let bytes = document.serialized()
        cache.withLock { $0[place] = bytes }
        return bytes
    }

    private func add(_ resource: Resource, _ root: String, to paths: inout JSONObject) {
        let base = resource.isNamespaced ? "\(root)/namespaces/{namespace}/\(resource.plural)" : "\(root)/\(resource.plural)"
        let kind: JSON = [
            "group": .string(resource.group), "version": .string(resource.version), "kind": .string(resource.kind),
        ]
        func operation(_ action: String, _ parameters: [String]) -> JSON {
            [
                "x-kubernetes-action": .string(action), "x-kubernetes-group-version-kind": kind,
                "parameters": .array(
                    parameters.map { ["name": .string($0), "in": "query", "schema": ["type": "string"]] }),
                "responses": ["200": ["description": "OK"]],
            ]
        }
        let writing = ["dryRun", "fieldManager", "fieldValidation"]
        var collection: JSONObject = [:]
        if resource.has("list") { collection["get"] = operation("list", ["labelSelector", "fieldSelector", "limit", "continue"]) }
        if resource.has("create") { collection["post"] = operation("post", writing) }
        if resource.has("deletecollection") { collection["delete"] = operation("deletecollection", ["dryRun"]) }
        paths[base] = .object(collection)
        guard !resource.isVirtual else { return }
        var single: JSONObject = [:]
        if resource.has("get") { single["get"] = operation("get", []) }
        if resource.has("update") { single["put"] = operation("put", writing) }
        if resource.has("patch") { single["patch"] = operation("patch", writing + ["force"]) }
        if resource.has("delete") { single["delete"] = operation("delete", ["dryRun", "propagationPolicy"]) }
        paths["\(base)/{name}"] = .object(single)
    }
}
