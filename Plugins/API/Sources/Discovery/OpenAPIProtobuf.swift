import ObjectSchema
import Objects

/// OpenAPI version 2 in the protobuf encoding that kubectl up to version 1.28 asks for, with what it looks for there:
/// which kinds' patches know the parameter fieldValidation. Field numbers are those of openapi.v2.Document.
enum OpenAPIProtobuf {
    /// - Parameter others: paths of other servers' documents.
    static func document(
        _ resources: [Resource], others: [(path: String, item: JSON)] = [], version: String
    ) -> [UInt8] {
        var document = ProtobufWriter()
        document.string(1, "2.0")
        document.message(2) { information in
            information.string(1, "Kubernetes")
            information.string(2, version)
        }
        document.message(8) { paths in
            for resource in resources where resource.has("patch") {
                paths.message(2) { path in
                    path.string(1, Self.path(resource))
                    path.message(2) { item in
                        let kind = GroupVersionKind(
                            group: resource.group, version: resource.version, kind: resource.kind)
                        let known = ["dryRun", "fieldManager", "fieldValidation"]
                        if resource.has("create") { item.message(4) { operation(kind, "post", known, &$0) } }
                        item.message(8) { operation(kind, "patch", known, &$0) }
                    }
                }
            }
            for (place, item) in others where item["patch"].exists {
                paths.message(2) { path in
                    path.string(1, place)
                    path.message(2) { message in
                        // Field numbers of openapi.v2.PathItem.
                        for (field, method) in [(UInt64(4), "post"), (8, "patch")] {
                            let described = item[method]
                            guard described.exists else { continue }
                            message.message(field) { Self.operation(described, method, &$0) }
                        }
                    }
                }
            }
        }
        document.message(9) { _ in }
        return document.bytes
    }

    private static func path(_ resource: Resource) -> String {
        let root = resource.group.isEmpty ? "/api/\(resource.version)" : "/apis/\(resource.apiVersion)"
        return resource.isNamespaced
            ? "\(root)/namespaces/{namespace}/\(resource.plural)/{name}" : "\(root)/\(resource.plural)/{name}"
    }

    /// An operation as another server's document describes it.
    private static func operation(_ described: JSON, _ action: String, _ operation: inout ProtobufWriter) {
        let kind = described["x-kubernetes-group-version-kind"]
        let parameters = described["parameters"].arrayValue.filter { $0["in"] == "query" }
        Self.operation(
            GroupVersionKind(
                group: kind["group"].stringValue ?? "", version: kind["version"].stringValue ?? "",
                kind: kind["kind"].stringValue ?? ""), action, parameters.compactMap { $0["name"].stringValue },
            &operation)
    }

    private static func operation(
        _ gvk: GroupVersionKind, _ action: String, _ parameters: [String], _ operation: inout ProtobufWriter
    ) {
        for name in parameters {
            operation.message(8) { item in
                item.message(1) { parameter in
                    parameter.message(2) { nonBody in
                        nonBody.message(3) { query in
                            query.string(2, "query")
                            query.string(4, name)
                            query.string(6, "string")
                        }
                    }
                }
            }
        }
        operation.message(9) { responses in
            responses.message(1) { response in
                response.string(1, "200")
                response.message(2) { value in value.message(1) { $0.string(1, "OK") } }
            }
        }
        extra("x-kubernetes-action", action + "\n", &operation)
        let kind = "group: \"\(gvk.group)\"\nkind: \(gvk.kind)\nversion: \(gvk.version)\n"
        extra("x-kubernetes-group-version-kind", kind, &operation)
    }

    private static func extra(_ name: String, _ yaml: String, _ operation: inout ProtobufWriter) {
        operation.message(13) { named in
            named.string(1, name)
            named.message(2) { $0.string(2, yaml) }
        }
    }
}
