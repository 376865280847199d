import Objects
import XCTest

@testable import ObjectSchema

/// The texts that `kubectl explain` shows.
final class SchemaDescriptionsTests: XCTestCase {
    private static let longest = 160

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
        XCTAssertGreaterThan(seen.count, 2000)
    }

    func testEveryTypeAndFieldOfTheTableIsDescribed() {
        let descriptions = SchemaDescriptions()
        for index in 0..<Schema.shared.definitionCount {
            let node = Schema.shared.definition(at: index)
            let known = descriptions[node]
            // What lists are is said by what they are of.
            let isList = !node.kinds.isEmpty && node.property("items") != nil
            XCTAssertTrue(isList || known.itself != nil, "\(node.name) is not described")
            for property in node.properties {
                XCTAssertNotNil(known[property.name], "\(node.name) \(property.name) is not described")
            }
        }
    }

    /// Kubernetes' own test of its document looks for these words.
    func testTheDocumentHasWordsThatAreLookedFor() throws {
        let text = String(decoding: OpenAPIDocument.v2(), as: UTF8.self)
        for words in ["list of returned", "List of services", "Watch for changes to the described resources"] {
            XCTAssertTrue(text.contains(words), words)
        }
    }

    func testParametersAreDescribed() throws {
        let paths = try JSON(parsing: OpenAPIDocument.v3(group: "apps", version: "v1"))["paths"]
        var count = 0
        for (path, item) in paths.objectValue ?? [:] {
            let operations = (item.objectValue ?? [:]).map(\.value)
            for parameter in item["parameters"].arrayValue + operations.flatMap({ $0["parameters"].arrayValue }) {
                count += 1
                XCTAssertTrue(parameter["description"].exists, "\(path) \(parameter["name"])")
            }
        }
        XCTAssertGreaterThan(count, 100)
    }

    func testDocumentsShowThem() throws {
        let two = try JSON(parsing: OpenAPIDocument.v2())["definitions"]
        XCTAssertGreaterThan(check(two), 500)
        for (group, version) in Schema.shared.groupVersions {
            let three = try JSON(parsing: OpenAPIDocument.v3(group: group, version: version))
            XCTAssertGreaterThan(check(three["components"]["schemas"]), 10, "\(group)/\(version)")
        }
    }

    /// - Returns: how many schemas there are.
    private func check(_ schemas: JSON) -> Int {
        for (type, schema) in schemas.objectValue ?? [:] {
            XCTAssertTrue(schema["description"].exists, "\(type) is not described")
            for (field, property) in schema["properties"].objectValue ?? [:] {
                XCTAssertTrue(property["description"].exists, "\(type) \(field) is not described")
            }
        }
        return schemas.objectValue?.count ?? 0
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
        XCTAssertEqual(descriptions[pod]["kind"], "The kind of this object, in singular and camel case.")
        let subject = try XCTUnwrap(Schema.shared.definition(named: "io.k8s.api.rbac.v1.Subject"))
        XCTAssertEqual(descriptions[subject]["kind"], "User, Group or ServiceAccount.", "its own")
        let container = try XCTUnwrap(Schema.shared.definition(named: "io.k8s.api.core.v1.Container"))
        XCTAssertNil(descriptions[container]["metadata"], "what is no kind has none of them")
    }
}
