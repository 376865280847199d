import ObjectSchema

/// OpenAPI version 2 in the protobuf encoding that kubectl up to version 1.28 asks for, with what it looks for there:
/// which kinds' patches know the parameter fieldValidation. Field numbers are those of openapi.v2.Document.
enum OpenAPIProtobuf {
    static func document(_ resources: [Resource], version: String) -> [UInt8] {
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
                        if resource.has("create") { item.message(4) { operation(resource, "post", &$0) } }
                        item.message(8) { operation(resource, "patch", &$0) }
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

    private static func operation(_ resource: Resource, _ action: String, _ operation: inout ProtobufWriter) {
        for name in ["dryRun", "fieldManager", "fieldValidation"] {
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
        let kind = "group: \"\(resource.group)\"\nkind: \(resource.kind)\nversion: \(resource.version)\n"
        extra("x-kubernetes-group-version-kind", kind, &operation)
    }

    private static func extra(_ name: String, _ yaml: String, _ operation: inout ProtobufWriter) {
        operation.message(13) { named in
            named.string(1, name)
            named.message(2) { $0.string(2, yaml) }
        }
    }
}
