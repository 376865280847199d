import Objects
import XCTest

@testable import ObjectSchema

final class SchemaTests: XCTestCase {
    func testFindsKindsAndResources() throws {
        let schema = Schema.shared
        let deployment = try XCTUnwrap(schema.kind(GroupVersionKind(apiVersion: "apps/v1", kind: "Deployment")))
        XCTAssertEqual(deployment.name, "io.k8s.api.apps.v1.Deployment")
        let containers = try XCTUnwrap(
            deployment.property("spec")?.node.property("template")?.node.property("spec")?.node.property("containers"))
        XCTAssertEqual(containers.mergeKey, "name")
        XCTAssertTrue(containers.mergesList && containers.isRequired)
        XCTAssertEqual(containers.listType, .map)
        XCTAssertEqual(containers.node.items?.name, "io.k8s.api.core.v1.Container")
        let ports = try XCTUnwrap(containers.node.items?.property("ports"))
        XCTAssertEqual(ports.mapKeys, ["containerPort", "protocol"])
        XCTAssertNil(schema.kind(GroupVersionKind(apiVersion: "apps/v1", kind: "Pod")))
        XCTAssertNil(schema.kind(GroupVersionKind(apiVersion: "x/v1", kind: "Pod")))
        XCTAssertEqual(
            deployment.node(at: ["spec", "template", "spec", "containers", "resources", "limits", "cpu"])?.shape,
            .quantity)

        let pods = try XCTUnwrap(schema.resource(group: "", version: "v1", plural: "pods"))
        XCTAssertEqual(pods.kind, "Pod")
        XCTAssertEqual(pods.shortNames, ["po"])
        XCTAssertEqual(pods.categories, ["all"])
        XCTAssertTrue(pods.isNamespaced && pods.allows("watch"))
        XCTAssertEqual(pods.subresource("eviction")?.kind.apiVersion, "policy/v1")
        let deployments = try XCTUnwrap(
            schema.resource(for: GroupVersionKind(group: "apps", version: "v1", kind: "Deployment")))
        XCTAssertEqual(deployments.storageName, "deployments.apps")
        XCTAssertEqual(
            deployments.subresource("scale")?.kind, GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale")
        )
        XCTAssertEqual(schema.resource(group: "", version: "v1", plural: "namespaces")?.isNamespaced, false)
    }

    func testEveryDefinitionAndRuleParses() {
        let schema = Schema.shared
        XCTAssertEqual(schema.definitionCount, 699)
        for index in 0..<schema.definitionCount {
            let node = schema.definition(at: index)
            XCTAssertEqual(schema.definition(named: node.name)?.name, node.name)
            for property in node.properties { _ = property.node }
        }
        for resource in schema.resources {
            XCTAssertNotNil(schema.kind(resource.groupVersionKind), "\(resource.plural)")
        }
        for type in DefaultRule.table.types {
            guard let node = schema.definition(named: type) else {
                XCTFail("defaults.txt: no type \(type)")
                continue
            }
            for rule in DefaultRule.table.rows(for: type) { check(rule.path, rule.condition, node, "defaults.txt") }
        }
    }

    func testEveryValidationRowNamesAFieldAndARule() {
        for type in ValidationRule.table.types {
            guard let node = Schema.shared.definition(named: type) else {
                XCTFail("validation.txt: no type \(type)")
                continue
            }
            for rule in ValidationRule.table.rows(for: type) {
                check(rule.fieldNames, rule.condition, node, "validation.txt")
                let isKnown =
                    ValidationRule.otherRules.contains(rule.name) || ValidationRule.textCheck(rule.name) != nil
                XCTAssertTrue(isKnown, "validation.txt: no rule \(rule.name) (\(type))")
                if rule.name == "unique" {
                    let items = node.node(at: rule.fieldNames)?.items
                    for key in rule.arguments {
                        XCTAssertNotNil(items?.property(key), "validation.txt: \(type) \(key)")
                    }
                }
            }
        }
    }

    private func check(_ path: [String], _ condition: RuleCondition, _ node: SchemaNode, _ file: String) {
        for path in [path] + condition.tests.map(\.path) where !path.isEmpty {
            XCTAssertNotNil(node.node(at: path), "\(file): no field \(path.joined(separator: ".")) in \(node.name)")
        }
    }

    /// Not a requirement of its own, but the reason for the table's form.
    func testIsCompact() {
        XCTAssertLessThan(MemoryLayout<SchemaProperty>.stride, 160)
    }
}
