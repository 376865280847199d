import Glibc
import Objects
import XCTest

@testable import ObjectSchema

/// Holds the table against the recorded facts that it was generated from, where those are at hand: in the folder that
/// HOSTD_FACTS names, or in ../shared/kubernetes.
final class FactsTests: XCTestCase {
    private func facts() throws -> JSON {
        let folder = getenv("HOSTD_FACTS").map { String(cString: $0) } ?? "../shared/kubernetes"
        guard let file = fopen(folder + "/api-facts-1.36.json", "r") else {
            throw XCTSkip("no facts in \(folder); name their folder in HOSTD_FACTS to run this")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 {
            bytes.append(contentsOf: chunk[..<count])
        }
        return try JSON(parsing: bytes)
    }

    private func sortedLists(_ schema: JSON) -> JSON {
        var schema = schema
        let key = "x-kubernetes-group-version-kind"
        let kinds = schema[key].arrayValue.sorted { $0.canonicalText() < $1.canonicalText() }
        if !kinds.isEmpty { schema[key] = .array(kinds) }
        let required = schema["required"].arrayValue.sorted { $0.canonicalText() < $1.canonicalText() }
        if !required.isEmpty { schema["required"] = .array(required) }
        return schema
    }

    /// What the facts record: descriptions are the server's own, and a default that is an empty object is left out where it
    /// would lack what its schema requires.
    private func comparable(_ schema: JSON) -> JSON {
        var schema = schema
        schema.removeValue(forKey: "description")
        if schema["default"] == [:] { schema.removeValue(forKey: "default") }
        for key in ["items", "additionalProperties"] where schema[key].objectValue != nil {
            schema[key] = comparable(schema[key])
        }
        if let properties = schema["properties"].objectValue {
            schema["properties"] = .object(JSONObject(properties.map { ($0.key, comparable($0.value)) }))
        }
        return sortedLists(schema)
    }

    func testEveryDefinitionIsAsRecorded() throws {
        let facts = try facts()
        let definitions = try XCTUnwrap(facts["definitions"].objectValue)
        // Of kinds that are not the API server's own, the table has its own facts.
        let own = (0..<Schema.shared.definitionCount).filter {
            let name = Schema.shared.definition(at: $0).name
            return name.hasPrefix("dev.hostd.") || name.hasPrefix("io.k8s.metrics.")
        }
        XCTAssertFalse(own.isEmpty)
        XCTAssertEqual(definitions.count, Schema.shared.definitionCount - own.count)
        for (name, recorded) in definitions {
            let node = try XCTUnwrap(Schema.shared.definition(named: name), name)
            let written = OpenAPISchemaText(version: .two).schema(node)
            XCTAssertEqual(comparable(written).canonicalText(), comparable(recorded).canonicalText(), name)
        }
    }

    func testEveryPathIsAsRecorded() throws {
        let recorded = try facts()["paths"]
        let paths = try JSON(parsing: OpenAPIDocument.v2())["paths"]
        for (path, _) in paths.objectValue ?? [:] {
            let isOwn = ["/hostd.dev/", "/metrics.k8s.io/"].contains { path.contains($0) }
            XCTAssertTrue(isOwn || recorded[path].exists, "\(path) is not recorded")
        }
        // Files of logs are not served, nor is a group without resources.
        let left: Set = [
            "/logs/", "/logs/{logpath}", "/apis/internal.apiserver.k8s.io/", "/apis/storagemigration.k8s.io/",
        ]
        for (path, methods) in recorded.objectValue ?? [:] where !left.contains(path) {
            for (method, wanted) in methods.objectValue ?? [:] {
                check(paths[path][method], wanted, "\(method) \(path)")
            }
        }
    }

    private func check(_ operation: JSON, _ wanted: JSON, _ name: String) {
        XCTAssertEqual(operation["x-kubernetes-action"], wanted["action"], name)
        XCTAssertEqual(operation["x-kubernetes-group-version-kind"], wanted["gvk"], name)
        XCTAssertEqual((operation["responses"].objectValue ?? [:]).map(\.key), wanted["responses"].strings, name)
        // CBOR is not spoken.
        XCTAssertEqual(operation["consumes"].strings, wanted["consumes"].strings.filter { !$0.contains("cbor") }, name)
        // Of parameters, those are recorded that are written where they are used.
        let parameters = operation["parameters"].arrayValue.compactMap { parameter in
            // Bodies of some operations are described in one place there.
            let isShared = ["patch", "delete"].contains { name.hasPrefix($0) } && parameter["in"] == "body"
            return isShared ? nil : parameter["name"].stringValue
        }
        XCTAssertEqual(parameters, wanted["params"].strings, name)
    }
}

extension JSON {
    fileprivate var strings: [String] { arrayValue.compactMap(\.stringValue) }
}
