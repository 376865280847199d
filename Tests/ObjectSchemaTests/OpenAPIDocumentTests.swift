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
