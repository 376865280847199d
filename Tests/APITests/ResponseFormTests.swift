import ObjectSchema
import ObjectYAML
import Objects
import XCTest

@testable import API

/// In which form clients get what they ask for, and how it is refused.
final class ResponseFormTests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"
    private let protobuf = "application/vnd.kubernetes.protobuf"
    private let yaml = ["Accept": "application/yaml"]

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private let map: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "a"], "data": ["k": "v"]]

    private static func undated(_ list: JSON) -> JSON {
        var list = list
        XCTAssertFalse(list.resourceVersion.isEmpty)
        list["metadata"].removeValue(forKey: "resourceVersion")
        return list
    }

    func testYAML() throws {
        let created = try server.request("POST", maps, map, headers: yaml)
        XCTAssertEqual(created.status, 201)
        let widget = CustomDefinitions.widgetsPath + "/w"
        _ = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets())
        _ = try server.request("POST", CustomDefinitions.widgetsPath, CustomDefinitions.widget("w"))
        for path in [maps + "/a", maps, maps + "/none", widget, "/api", "/apis", "/api/v1", "/apis/apps"] {
            let answer = try server.request("GET", path, headers: yaml)
            XCTAssertEqual(answer.headers["content-type"], "application/yaml", path)
            // The store goes on: two lists need not be of the same revision.
            let (yaml, json) = (try YAMLParser.parse(answer.body), try server.request("GET", path).json)
            let isList = path == maps
            XCTAssertEqual(isList ? Self.undated(yaml) : yaml, isList ? Self.undated(json) : json, path)
        }
        let text = try server.request("GET", maps + "/a", headers: yaml).text
        XCTAssertTrue(text.hasPrefix("apiVersion: v1\ndata:\n  k: v\nkind: ConfigMap\nmetadata:\n"), text)
        let rows: [(path: String, accept: String, type: String, reason: String)] = [
            (maps + "/a", "application/json,application/yaml", "application/json", "by order"),
            (maps + "/a", "application/json;q=0.5,application/yaml", "application/yaml", "by quality"),
            (maps + "/a", "application/yaml,\(protobuf)", "application/yaml", "rather than protobuf"),
            (
                maps + "/a", "application/yaml;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "application/yaml",
                "metadata"
            ),
            ("/version", "application/yaml", "application/json", "what is no object"),
            ("/livez", "application/yaml", "text/plain; charset=utf-8", "text"),
        ]
        for row in rows {
            let answer = try server.request("GET", row.path, headers: ["Accept": row.accept])
            XCTAssertEqual(answer.status, 200, row.reason)
            XCTAssertEqual(answer.headers["content-type"], row.type, row.reason)
        }
        // What is sent back as it came changes nothing.
        let shown = try server.request("GET", maps + "/a", headers: yaml)
        let sent = try server.request(
            "PUT", maps + "/a", bytes: shown.body,
            headers: ["Content-Type": "application/yaml", "Accept": "application/yaml"])
        XCTAssertEqual(sent.body, shown.body)
    }

    func testRefusals() throws {
        _ = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets())
        let all = "application/json, application/yaml, \(protobuf)"
        let streams = "application/json;stream=watch, \(protobuf);stream=watch"
        let rows: [(path: String, accept: String, types: String, reason: String)] = [
            (maps, "application/cbor", all, "an encoding that is not there"),
            (maps, "application/json;as=Table;g=meta.k8s.io;v=v2", all, "a version that is not there"),
            (maps, "application/json;as=Other;g=meta.k8s.io;v=v1", all, "a form that is not there"),
            (maps, "application/json;g=meta.k8s.io;v=v1", all, "a group and version of nothing"),
            (maps, "application/json;as=Table;g=meta.k8s.io", all, "a form of no version"),
            (maps + "?watch=1", "application/yaml", streams, "a stream of YAML"),
            (maps + "?watch=1&timeoutSeconds=1", "\(protobuf);as=Table;g=meta.k8s.io;v=v1", all, "tables in protobuf"),
            (CustomDefinitions.widgetsPath, "application/cbor", all, "of custom resources"),
        ]
        for row in rows {
            let answer = try server.request("GET", row.path, headers: ["Accept": row.accept])
            XCTAssertEqual(answer.status, 406, row.reason)
            // The refusal itself has the form that is asked for, where it has it.
            let failure = try YAMLParser.parse(answer.body)
            XCTAssertEqual(failure["reason"], "NotAcceptable", row.reason)
            XCTAssertEqual(
                failure["message"].stringValue, "only the following media types are accepted: \(row.types)",
                row.reason)
        }
        let custom = try server.request("GET", CustomDefinitions.widgetsPath, headers: ["Accept": protobuf])
        XCTAssertEqual(custom.status, 406)
        let failure = try custom.body.withUnsafeBytes { try KubernetesProtobuf.decode($0) }
        XCTAssertEqual(
            failure["message"].stringValue,
            "object *unstructured.Unstructured does not implement the protobuf marshalling interface and cannot be encoded "
                + "to a protobuf message")
    }

    /// Metadata has its two versions in both encodings; a list in protobuf has the later alone, the fields of the other differ.
    func testMetadata() throws {
        _ = try server.request("POST", maps, map)
        for (type, version) in [
            ("application/json", "v1"), ("application/json", "v1beta1"), (protobuf, "v1"), (protobuf, "v1beta1"),
        ] {
            let accept = "\(type);as=PartialObjectMetadata;g=meta.k8s.io;v=\(version)"
            let answer = try server.request("GET", maps + "/a", headers: ["Accept": accept])
            XCTAssertEqual(answer.status, 200, accept)
            XCTAssertEqual(answer.headers["content-type"], type, accept)
            let object =
                type == protobuf
                ? try answer.body.withUnsafeBytes { try KubernetesProtobuf.decode($0) } : try answer.json
            XCTAssertEqual(object.apiVersion, "meta.k8s.io/\(version)", accept)
            XCTAssertEqual(object.kind, "PartialObjectMetadata", accept)
            XCTAssertEqual(object.name, "a", accept)
        }
        let list = "\(protobuf);as=PartialObjectMetadataList;g=meta.k8s.io;v="
        XCTAssertEqual(try server.request("GET", maps, headers: ["Accept": list + "v1"]).status, 200)
        XCTAssertEqual(try server.request("GET", maps, headers: ["Accept": list + "v1beta1"]).status, 406)
    }
}
