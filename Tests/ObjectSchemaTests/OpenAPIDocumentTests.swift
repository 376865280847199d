import Objects
import XCTest

import ObjectSchema

final class OpenAPIDocumentTests: XCTestCase {
    /// What `kubectl explain` and kubectl's search for the fieldValidation parameter look at.
    func testVersionThree() throws {
        let document = try JSON(parsing: OpenAPIDocument.v3(group: "apps", version: "v1"))
        let path = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
        let kind: JSON = ["group": "apps", "version": "v1", "kind": "Deployment"]
        XCTAssertEqual(path["patch"]["x-kubernetes-group-version-kind"], kind)
        XCTAssertEqual(path["patch"]["x-kubernetes-action"], "patch")
        XCTAssertEqual(path["patch"]["requestBody"]["required"], true)
        XCTAssertTrue(path["delete"]["requestBody"]["content"].exists)
        XCTAssertTrue(path["delete"]["requestBody"]["required"].isNull, "clients may delete without options")
        XCTAssertTrue(path["patch"]["parameters"].arrayValue.contains { $0["name"] == "fieldValidation" })
        XCTAssertEqual(document["paths"]["/apis/apps/v1/deployments"]["get"]["x-kubernetes-action"], "list")
        XCTAssertEqual(
            document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"][
                "x-kubernetes-group-version-kind"]["kind"],
            "Scale")
        let schemas = document["components"]["schemas"]
        XCTAssertEqual(schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"], [kind])
        let containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
        XCTAssertEqual(containers["items"]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container")
        XCTAssertEqual(containers["x-kubernetes-patch-merge-key"], "name")
        XCTAssertEqual(containers["x-kubernetes-patch-strategy"], "merge")
        XCTAssertTrue(schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].exists)
        checkReferences(document, document)
    }

    func testEveryDocumentIsClosed() throws {
        for (group, version) in Schema.shared.groupVersions {
            let document = try JSON(parsing: OpenAPIDocument.v3(group: group, version: version))
            XCTAssertFalse(document["paths"].isEmpty, "\(group)/\(version)")
            checkReferences(document, document)
            checkDefaults(document["components"]["schemas"])
        }
    }

    /// An empty object is no default of a type that requires members.
    private func checkDefaults(_ schemas: JSON) {
        for (type, schema) in schemas.objectValue ?? [:] {
            for (field, property) in schema["properties"].objectValue ?? [:] where property["default"].exists {
                let name = property["allOf"][0]["$ref"].stringValue?.split(separator: "/").last.map(String.init) ?? ""
                let isValid = property["default"] != [:] || schemas[name]["required"].isNull
                XCTAssertTrue(isValid, "the default of \(type) \(field) is not valid")
            }
        }
    }

    func testVersionTwo() throws {
        let document = try JSON(parsing: OpenAPIDocument.v2())
        XCTAssertEqual(document["swagger"], "2.0")
        XCTAssertEqual(
            document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"],
            "#/definitions/io.k8s.api.core.v1.PodSpec")
        XCTAssertTrue(
            document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]["parameters"].arrayValue.contains {
                $0["in"] == "body"
            })
        checkReferences(document, document)
    }

    /// Generated clients are called by these names.
    func testOperationsHaveNames() throws {
        let core = "/api/v1/namespaces/{namespace}/"
        let rows: [(path: String, method: String, name: String, tag: String)] = [
            ("/version/", "get", "getCodeVersion", "version"), ("/api/", "get", "getCoreAPIVersions", "core"),
            ("/apis/apps/", "get", "getAppsAPIGroup", "apps"),
            ("/apis/apps/v1/", "get", "getAppsV1APIResources", "apps_v1"),
            ("/api/v1/pods", "get", "listCoreV1PodForAllNamespaces", "core_v1"),
            (core + "pods", "get", "listCoreV1NamespacedPod", "core_v1"),
            (core + "pods", "delete", "deleteCoreV1CollectionNamespacedPod", "core_v1"),
            (core + "pods/{name}", "get", "readCoreV1NamespacedPod", "core_v1"),
            (core + "pods/{name}", "put", "replaceCoreV1NamespacedPod", "core_v1"),
            (core + "pods/{name}/log", "get", "readCoreV1NamespacedPodLog", "core_v1"),
            (core + "pods/{name}/binding", "post", "createCoreV1NamespacedPodBinding", "core_v1"),
            (core + "bindings", "post", "createCoreV1NamespacedBinding", "core_v1"),
            (core + "pods/{name}/exec", "post", "connectCoreV1PostNamespacedPodExec", "core_v1"),
            (
                core + "services/{name}/proxy/{path}", "head", "connectCoreV1HeadNamespacedServiceProxyWithPath",
                "core_v1"
            ),
            ("/api/v1/nodes/{name}/proxy", "options", "connectCoreV1OptionsNodeProxy", "core_v1"),
            ("/api/v1/namespaces/{name}/finalize", "put", "replaceCoreV1NamespaceFinalize", "core_v1"),
            ("/api/v1/watch/pods", "get", "watchCoreV1PodListForAllNamespaces", "core_v1"),
            ("/api/v1/watch/namespaces/{namespace}/pods", "get", "watchCoreV1NamespacedPodList", "core_v1"),
            ("/api/v1/watch/namespaces/{namespace}/pods/{name}", "get", "watchCoreV1NamespacedPod", "core_v1"),
            (
                "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", "patch",
                "patchAppsV1NamespacedDeploymentScale", "apps_v1"
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles", "post", "createRbacAuthorizationV1ClusterRole",
                "rbacAuthorization_v1"
            ),
            ("/apis/my-apps.example.com/v1/widgets", "get", "listMyAppsExampleComV1Widget", "myAppsExampleCom_v1"),
        ]
        let custom = OpenAPICustomKind(
            resource: SchemaResource(
                group: "my-apps.example.com", version: "v1", plural: "widgets", singular: "widget", kind: "Widget",
                isNamespaced: false, verbs: ["list", "watch"], shortNames: [], categories: [], subresources: []),
            listKind: "WidgetList", schema: { Self.everything })
        let document = try JSON(parsing: OpenAPIDocument.v2(custom: [custom]))
        for row in rows {
            let operation = document["paths"][row.path][row.method]
            XCTAssertEqual(operation["operationId"], .string(row.name), row.path)
            XCTAssertEqual(operation["tags"], [.string(row.tag)], row.path)
        }
        XCTAssertTrue(document["paths"]["/apis/my-apps.example.com/v1/watch/widgets"].isNull)
        var names: Set<JSON> = []
        for (path, item) in document["paths"].objectValue ?? [:] {
            for (method, operation) in item.objectValue ?? [:] where method != "parameters" {
                XCTAssertTrue(names.insert(operation["operationId"]).inserted, "\(method) \(path)")
            }
        }
    }

    /// What an operation takes and gives is said at it, or at its path for all of the path's operations.
    func testParametersAndAnswers() throws {
        let two = try JSON(parsing: OpenAPIDocument.v2())
        let three = try JSON(parsing: OpenAPIDocument.v3(group: "", version: "v1"))
        func query(_ document: JSON, _ path: String, _ method: String) -> [String] {
            let item = document["paths"][path]
            return (item["parameters"].arrayValue + item[method]["parameters"].arrayValue).compactMap { parameter in
                let isShared = parameter["$ref"].exists
                let whole =
                    isShared
                    ? document[
                        path: parameter["$ref"].stringValue?.dropFirst(2).split(separator: "/").map(String.init) ?? []]
                    : parameter
                return whole["in"] == "query" ? whole["name"].stringValue : nil
            }.sorted()
        }
        let pods = "/api/v1/namespaces/{namespace}/pods"
        for document in [two, three] {
            XCTAssertEqual(
                query(document, pods, "get"),
                [
                    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "pretty",
                    "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds",
                    "watch",
                ])
            XCTAssertEqual(
                query(document, pods, "delete").filter { ["watch", "dryRun", "limit"].contains($0) },
                ["dryRun", "limit"])
            XCTAssertEqual(query(document, pods + "/{name}/exec", "get").first, "command")
            XCTAssertEqual(query(document, pods + "/{name}/log", "get").count, 10)
        }
        let answers: [(path: String, method: String, status: String, name: String)] = [
            (pods, "post", "201", "io.k8s.api.core.v1.Pod"), (pods, "get", "200", "io.k8s.api.core.v1.PodList"),
            (pods, "delete", "200", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"),
            (pods + "/{name}", "delete", "202", "io.k8s.api.core.v1.Pod"),
            ("/api/v1/watch/pods", "get", "200", "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"),
            (
                "/api/v1/namespaces/{namespace}/secrets/{name}", "delete", "200",
                "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
            ),
        ]
        for row in answers {
            let response = two["paths"][row.path][row.method]["responses"][row.status]
            XCTAssertEqual(response["schema"]["$ref"], .string("#/definitions/\(row.name)"), row.path)
            let content = three["paths"][row.path][row.method]["responses"][row.status]["content"]
            let reference: JSON = ["$ref": .string("#/components/schemas/\(row.name)")]
            XCTAssertEqual(content["application/yaml"]["schema"], reference, row.path)
        }
        XCTAssertEqual(two["paths"][pods + "/{name}/exec"]["get"]["responses"]["200"]["schema"], ["type": "string"])
    }

    /// Each group has a document of its own, and so has what is of no group.
    func testDocumentsWithoutResources() throws {
        let places = OpenAPIDocument.places(groups: ["", "apps"])
        XCTAssertEqual(
            places, [".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version", "apis/apps"])
        for place in places {
            let document = try JSON(parsing: XCTUnwrap(OpenAPIDocument.v3(place: place)))
            XCTAssertTrue(document["paths"]["/\(place)/"]["get"].exists, place)
            checkReferences(document, document)
        }
        XCTAssertNil(OpenAPIDocument.v3(place: "else"))
    }

    /// Both forms of version 2 define the same; clients of the protobuf form find the patches of each kind there, too.
    func testVersionTwoInProtobuf() throws {
        let custom = OpenAPICustomKind(
            resource: SchemaResource(
                group: "example.com", version: "v1", plural: "widgets", singular: "widget", kind: "Widget",
                isNamespaced: true, verbs: ["get", "patch"], shortNames: [], categories: [], subresources: []),
            listKind: "WidgetList", schema: { Self.everything })
        let read = try OpenAPIMessageReader.document(
            OpenAPIDocument.v2Protobuf(serverVersion: "v1.2.3", custom: [custom]))
        XCTAssertEqual(read["swagger"], "2.0")
        XCTAssertEqual(read["info"], ["title": "Kubernetes", "version": "v1.2.3"])
        let json = try JSON(parsing: OpenAPIDocument.v2(custom: [custom]))
        XCTAssertEqual(read["definitions"].count, json["definitions"].count)
        for (name, schema) in json["definitions"].objectValue ?? [:] {
            XCTAssertEqual(read["definitions"][name], schema, name)
        }
        let changes = (json["paths"].objectValue ?? [:]).filter { _, item in
            ["put", "post", "patch"].contains { item[$0].exists }
        }
        XCTAssertEqual(Set((read["paths"].objectValue ?? [:]).map(\.key)), Set(changes.map(\.key)))
        for (path, item) in changes {
            let patch = read["paths"][path]["patch"]
            XCTAssertEqual(patch["consumes"], item["patch"]["consumes"], path)
            XCTAssertEqual(
                patch["x-kubernetes-group-version-kind"], item["patch"]["x-kubernetes-group-version-kind"], path)
            XCTAssertEqual(
                patch["parameters"].arrayValue, item["patch"]["parameters"].arrayValue.filter { $0["in"] == "query" },
                path)
        }
        let patches = read["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]["consumes"]
        XCTAssertFalse(patches.arrayValue.contains("application/strategic-merge-patch+json"), "\(patches)")
    }

    /// A schema with all that version 2 can say of a value.
    private static let everything: JSON = [
        "type": "object", "title": "Widget", "description": "A widget.", "minProperties": 1, "maxProperties": 9,
        "required": ["spec"], "externalDocs": ["description": "More.", "url": "https://example.com"],
        "example": ["spec": [:]],
        "properties": [
            "spec": [
                "type": "object", "x-kubernetes-map-type": "atomic",
                "properties": [
                    "size": [
                        "type": "integer", "format": "int32", "minimum": 1, "maximum": 9, "exclusiveMaximum": true,
                        "exclusiveMinimum": true, "multipleOf": 2, "default": 4,
                    ],
                    "colour": [
                        "type": "string", "enum": ["red", "a \"quoted\" one", ""], "pattern": "^[a-z]*$",
                        "minLength": 1,
                        "maxLength": 63, "default": "red",
                    ],
                    "parts": [
                        "type": "array", "items": ["type": "string"], "minItems": 1, "maxItems": 3, "uniqueItems": true,
                        "x-kubernetes-list-type": "set",
                    ],
                    "options": ["type": "object", "additionalProperties": ["type": "boolean", "default": false]],
                    "more": ["type": "object", "additionalProperties": true],
                    "port": ["x-kubernetes-int-or-string": true],
                ],
            ]
        ],
    ]

    private func checkReferences(_ value: JSON, _ document: JSON) {
        switch value {
        case .object(let object):
            if let reference = object["$ref"]?.stringValue {
                let path = reference.dropFirst(2).split(separator: "/").map(String.init)
                XCTAssertTrue(document[path: path].exists, "dangling \(reference)")
            }
            for (_, member) in object { checkReferences(member, document) }
        case .array(let elements): for element in elements { checkReferences(element, document) }
        default: break
        }
    }
}
