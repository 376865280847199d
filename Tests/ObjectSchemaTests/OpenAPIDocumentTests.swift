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
