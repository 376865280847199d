import Objects
import XCTest

@testable import ObjectSchema

/// The texts that `kubectl explain` shows.
final class SchemaDescriptionsTests: XCTestCase {
    private static let longest = 160
    private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."

    func testEveryRowSpeaksOfSomethingThatIsThere() {
        var seen: Set<String> = []
        for (type, field, text) in SchemaDescriptions().rows {
            let place = "\(type) \(field)"
            XCTAssertTrue(seen.insert(place).inserted, "\(place) has two rows")
            XCTAssertTrue(text.hasSuffix("."), "\(place) is no sentence")
            XCTAssertLessThanOrEqual(text.count, Self.longest, place)
            XCTAssertGreaterThan(text.split(separator: " ").count, 1, "\(place) says nothing")
            XCTAssertNotEqual(text.dropLast().lowercased(), field.lowercased(), "\(place) says its name again")
            guard type != "io.k8s.api.*" else { continue }
            guard let node = Schema.shared.definition(named: type) else {
                XCTFail("there is no type \(type)")
                continue
            }
            XCTAssertTrue(field == "." || node.property(field) != nil, "\(type) has no field \(field)")
        }
        XCTAssertGreaterThan(seen.count, 1500)
    }

    /// Kinds of which every type and field must be described, in what is served.
    private static let kinds: [(group: String, version: String, kinds: [String])] = [
        (
            "", "v1",
            [
                "Pod", "PodTemplate", "ReplicationController", "Service", "Endpoints", "ConfigMap", "Secret",
                "PersistentVolume", "PersistentVolumeClaim", "ServiceAccount", "Namespace", "Node", "Event",
                "LimitRange", "ResourceQuota", "Binding",
            ]
        ),
        ("apps", "v1", ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"]),
        ("batch", "v1", ["Job", "CronJob"]), ("discovery.k8s.io", "v1", ["EndpointSlice"]),
        ("events.k8s.io", "v1", ["Event"]),
        ("networking.k8s.io", "v1", ["Ingress", "IngressClass", "NetworkPolicy"]),
        (
            "storage.k8s.io", "v1",
            [
                "StorageClass", "VolumeAttachment", "CSIDriver", "CSINode", "CSIStorageCapacity",
                "VolumeAttributesClass",
            ]
        ),
        ("rbac.authorization.k8s.io", "v1", ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"]),
        ("policy", "v1", ["PodDisruptionBudget"]), ("scheduling.k8s.io", "v1", ["PriorityClass"]),
        ("coordination.k8s.io", "v1", ["Lease"]), ("node.k8s.io", "v1", ["RuntimeClass"]),
        ("autoscaling", "v1", ["HorizontalPodAutoscaler"]), ("autoscaling", "v2", ["HorizontalPodAutoscaler"]),
        ("hostd.dev", "v1", ["Plugin"]),
    ]

    func testVersionTwoDescribesEveryField() throws {
        let schemas = try JSON(parsing: OpenAPIDocument.v2())["definitions"]
        var seen: Set<String> = []
        for entry in Self.kinds {
            for kind in entry.kinds { try check(entry.group, entry.version, kind, schemas, &seen) }
        }
        check(Self.meta + "DeleteOptions", schemas, &seen)
        check(Self.meta + "Status", schemas, &seen)
        XCTAssertGreaterThan(seen.count, 300)
    }

    func testVersionThreeDescribesEveryField() throws {
        for entry in Self.kinds {
            let document = OpenAPIDocument.v3(group: entry.group, version: entry.version)
            let schemas = try JSON(parsing: document)["components"]["schemas"]
            var seen: Set<String> = []
            for kind in entry.kinds { try check(entry.group, entry.version, kind, schemas, &seen) }
            XCTAssertTrue(seen.contains(Self.meta + "ObjectMeta"), "\(entry)")
        }
    }

    func testADescriptionStandsBesideAReference() throws {
        let schemas = try JSON(parsing: OpenAPIDocument.v3(group: "", version: "v1"))["components"]["schemas"]
        let spec = schemas["io.k8s.api.core.v1.Pod"]["properties"]["spec"]
        XCTAssertEqual(spec["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec")
        XCTAssertEqual(spec["description"], "What is to run, and how.")
        XCTAssertTrue(spec["$ref"].isNull)
    }

    func testWhatKindsShareHoldsForKindsAlone() throws {
        let descriptions = SchemaDescriptions()
        let pod = try XCTUnwrap(Schema.shared.definition(named: "io.k8s.api.core.v1.Pod"))
        XCTAssertNotNil(descriptions[pod]["kind"])
        let subject = try XCTUnwrap(Schema.shared.definition(named: "io.k8s.api.rbac.v1.Subject"))
        XCTAssertEqual(descriptions[subject]["kind"], "User, Group or ServiceAccount.", "its own")
        let parameters = try XCTUnwrap(
            Schema.shared.definition(named: "io.k8s.api.admissionregistration.v1.ParamKind"))
        XCTAssertNil(descriptions[parameters]["kind"], "a field of that name in what is no kind")
    }

    private func check(
        _ group: String, _ version: String, _ kind: String, _ schemas: JSON, _ seen: inout Set<String>
    ) throws {
        let list = [kind, kind + "List"].compactMap {
            Schema.shared.kind(GroupVersionKind(group: group, version: version, kind: $0))
        }
        XCTAssertFalse(list.isEmpty, kind)
        for node in list { check(node.name, schemas, &seen) }
    }

    private func check(_ type: String, _ schemas: JSON, _ seen: inout Set<String>) {
        guard seen.insert(type).inserted else { return }
        let schema = schemas[type]
        XCTAssertTrue(schema.exists, "\(type) is not in the document")
        XCTAssertTrue(schema["description"].exists, "\(type) is not described")
        for (field, property) in schema["properties"].objectValue ?? [:] {
            XCTAssertTrue(property["description"].exists, "\(type) \(field) is not described")
            for name in references(property) { check(name, schemas, &seen) }
        }
    }

    /// The types that a property's value is made of.
    private func references(_ property: JSON) -> [String] {
        var names = property["allOf"].arrayValue.flatMap(references)
        if let reference = property["$ref"].stringValue {
            names.append(reference.split(separator: "/").last.map(String.init) ?? "")
        }
        for inner in [property["items"], property["additionalProperties"]] where inner.exists {
            names += references(inner)
        }
        return names
    }
}
