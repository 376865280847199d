import Objects
import XCTest

@testable import ObjectSchema

final class ProtobufEncodeTests: XCTestCase {
    /// A value for every field of a message, none of them zero. A message within one of its own kind is empty.
    private func filled(_ message: ProtobufTable.Message, within outer: Set<String> = []) -> JSON {
        let within = outer.union([message.name])
        var object = JSONObject()
        for field in message.ordered {
            if field.isInlined, case .message(let type) = field.kind {
                guard let inner = ProtobufTable.shared.message(type) else { continue }
                for (name, value) in filled(inner, within: within).objectValue ?? [:] { object[name] = value }
            } else if let type = field.entry {
                guard let entry = ProtobufTable.shared.message(type)?.byNumber[2] else { continue }
                object[field.name] = ["a": value(entry, within), "b/c": value(entry, within)]
            } else {
                let one = value(field, within)
                object[field.name] = field.isRepeated ? .array([one, one]) : one
            }
        }
        return .object(object)
    }

    private func value(_ field: ProtobufTable.Field, _ within: Set<String>) -> JSON {
        switch field.kind {
        case .integer: 70_000
        case .double: 0.25
        case .boolean: true
        case .string: "text ü"
        case .bytes: "AQIDBP8="
        case .message(let type):
            switch type {
            case "api.resource.Quantity": "1500m"
            case "meta.v1.Time": "2026-01-02T03:04:05Z"
            case "meta.v1.MicroTime": "2026-01-02T03:04:05.000006Z"
            case "util.intstr.IntOrString": field.number % 2 == 0 ? 8080 : "http"
            case "runtime.RawExtension": ["a": [1, "b", nil]]
            case "meta.v1.FieldsV1": ["f:spec": ["f:replicas": [:]]]
            case "meta.v1.Verbs", "authentication.v1.ExtraValue", "authorization.v1.ExtraValue",
                "certificates.v1.ExtraValue":
                ["get", "list"]
            case "apiextensions.v1.JSON": ["a": [1.5, "b", nil]]
            case "apiextensions.v1.JSONSchemaPropsOrArray": field.number % 2 == 0 ? [["type": "string"]] : [:]
            case "apiextensions.v1.JSONSchemaPropsOrBool": field.number % 2 == 0 ? ["type": "string"] : false
            case "apiextensions.v1.JSONSchemaPropsOrStringArray": ["a", "b"]
            default:
                within.contains(type)
                    ? [:] : ProtobufTable.shared.message(type).map { filled($0, within: within) } ?? [:]
            }
        }
    }

    /// Entries of maps are within the messages that have them.
    private func isEntry(_ name: String) -> Bool { name.hasSuffix("Entry") && name.split(separator: ".").count > 3 }

    private static let special: Set<String> = [
        "api.resource.Quantity", "api.resource.QuantityValue", "meta.v1.Time", "meta.v1.MicroTime",
        "util.intstr.IntOrString", "runtime.RawExtension", "meta.v1.FieldsV1", "meta.v1.Verbs", "meta.v1.Duration",
        "authentication.v1.ExtraValue", "authorization.v1.ExtraValue", "certificates.v1.ExtraValue",
        "apiextensions.v1.JSON", "apiextensions.v1.JSONSchemaPropsOrArray", "apiextensions.v1.JSONSchemaPropsOrBool",
        "apiextensions.v1.JSONSchemaPropsOrStringArray",
    ]

    /// What goes out comes back the same, for every message of the table with every field.
    func testEveryMessageComesBack() throws {
        let names = ProtobufTable.shared.names.filter { !isEntry($0) && !Self.special.contains($0) }
        XCTAssertGreaterThan(names.count, 450)
        for name in names.sorted() {
            let message = try XCTUnwrap(ProtobufTable.shared.message(name))
            let object = filled(message)
            var writer = ProtobufWriter()
            try KubernetesProtobuf.encode(object, as: message, into: &writer, depth: 0)
            var decoded = JSONObject()
            try writer.bytes.withUnsafeBytes { bytes in
                let all: Slice<UnsafeRawBufferPointer> = bytes[0..<bytes.count]
                try KubernetesProtobuf.decode(all, as: name, into: &decoded, depth: 0)
            }
            XCTAssertEqual(JSON.object(decoded), object, name)
        }
    }

    /// Every kind of Kubernetes' own groups that clients send in protobuf can go out in it, as can its list.
    func testEveryKindHasAnEncoding() throws {
        let without = Set(["hostd.dev"])
        var count = 0
        for resource in Schema.shared.resources
        where !without.contains(resource.group) && !resource.version.contains("alpha")
            && !resource.version.contains("beta")
        {
            let apiVersion = resource.group.isEmpty ? resource.version : "\(resource.group)/\(resource.version)"
            guard KubernetesProtobuf.knows(apiVersion: apiVersion, kind: resource.kind) else {
                XCTFail("\(apiVersion) \(resource.kind) has no encoding")
                continue
            }
            count += 1
            let name = try XCTUnwrap(KubernetesProtobuf.messageName(apiVersion: apiVersion, kind: resource.kind))
            var object = filled(try XCTUnwrap(ProtobufTable.shared.message(name)))
            object.apiVersion = apiVersion
            object.kind = resource.kind
            let bytes = try KubernetesProtobuf.encode(object)
            XCTAssertEqual(try bytes.withUnsafeBytes { try KubernetesProtobuf.decode($0) }, object, name)
        }
        XCTAssertGreaterThan(count, 50)
    }

    /// Every field that the schema has has a number: one without would be left out in protobuf.
    func testEveryFieldHasANumber() throws {
        var missing: Set<String> = []
        for name in ProtobufTable.shared.names {
            let prefix = Self.prefixes.first { name.hasPrefix($0.message) }?.definition ?? "io.k8s.api."
            guard let definition = Schema.shared.definition(named: prefix + name),
                let message = ProtobufTable.shared.message(name)
            else { continue }
            let fields = names(of: message)
            for property in definition.properties where !["apiVersion", "kind"].contains(property.name) {
                if !fields.contains(property.name) { missing.insert("\(name).\(property.name)") }
            }
        }
        XCTAssertEqual(missing, [])
    }

    private static let prefixes = [
        (message: "meta.v1.", definition: "io.k8s.apimachinery.pkg.apis."),
        (message: "apiextensions.v1.", definition: "io.k8s.apiextensions-apiserver.pkg.apis."),
        (message: "apiregistration.v1.", definition: "io.k8s.kube-aggregator.pkg.apis."),
    ]

    private func names(of message: ProtobufTable.Message) -> Set<String> {
        var names: Set<String> = []
        for field in message.ordered {
            if field.isInlined, case .message(let type) = field.kind, let inner = ProtobufTable.shared.message(type) {
                names.formUnion(self.names(of: inner))
            } else {
                names.insert(field.name)
            }
        }
        return names
    }

    func testManagedFieldsAreAListOfEntries() throws {
        let object: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": [
                "name": "a",
                "managedFields": [
                    [
                        "manager": "m", "operation": "Update", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z",
                        "fieldsType": "FieldsV1", "fieldsV1": ["f:data": ["f:k": [:]]],
                    ]
                ],
            ],
        ]
        let bytes = try KubernetesProtobuf.encode(object)
        XCTAssertEqual(try bytes.withUnsafeBytes { try KubernetesProtobuf.decode($0) }, object)
    }

    /// Zeros that were written are kept where they mean something, and only there.
    func testSchemasOfDefinitions() throws {
        let rows: [(schema: JSON, reason: String)] = [
            (["type": "integer", "minimum": 0, "maximum": 2.5, "multipleOf": -1], "bounds are pointers"),
            (["type": "string", "minLength": 0, "maxLength": 0], "as are lengths"),
            (["type": "object", "additionalProperties": false], "no other members"),
            (["type": "object", "additionalProperties": true], "any other members"),
            (["type": "object", "additionalProperties": ["type": "string"]], "others of a schema"),
            (["type": "array", "items": ["type": "string"]], "one schema for all elements"),
            (["items": [["type": "string"], ["type": "integer"]]], "one schema for each element"),
            (["default": "", "enum": ["", 0, false, nil, [:], []]], "any value"),
            (["dependencies": ["a": ["b"], "c": ["type": "object"]]], "names or a schema"),
            (["properties": ["": ["$ref": "#/x", "$schema": "s"]]], "names that are no words"),
            (["x-kubernetes-preserve-unknown-fields": false], "a flag that is a pointer"),
            (["x-kubernetes-validations": [["rule": "true", "optionalOldSelf": false]]], "rules"),
            ([:], "nothing"),
        ]
        for row in rows {
            let object: JSON = [
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": [
                    "group": "example.com",
                    "versions": [
                        ["name": "v1", "served": false, "storage": true, "schema": ["openAPIV3Schema": row.schema]]
                    ],
                ],
            ]
            let bytes = try KubernetesProtobuf.encode(object)
            XCTAssertEqual(try bytes.withUnsafeBytes { try KubernetesProtobuf.decode($0) }, object, row.reason)
        }
        // As Go writes it: flags and texts that were never set are there.
        var schema = ProtobufWriter()
        for number: UInt64 in [1, 2, 4, 5, 6, 7, 15] { schema.string(number, "") }
        for number: UInt64 in [10, 12, 18, 37, 39, 40] { schema.integer(number, 0) }
        schema.double(11, 0)
        var decoded = JSONObject()
        try schema.bytes.withUnsafeBytes { bytes in
            let all: Slice<UnsafeRawBufferPointer> = bytes[0..<bytes.count]
            try KubernetesProtobuf.decode(all, as: "apiextensions.v1.JSONSchemaProps", into: &decoded, depth: 0)
        }
        XCTAssertEqual(JSON.object(decoded), ["minimum": 0])
    }

    // MARK: - Bytes by hand

    func testBytes() throws {
        let object: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "a"], "data": ["k": "v"], "immutable": false,
        ]
        let type: [UInt8] = [0x0A, 2] + Array("v1".utf8) + [0x12, 9] + Array("ConfigMap".utf8)
        let raw: [UInt8] =
            [0x0A, 3, 0x0A, 1] + Array("a".utf8) + [0x12, 6, 0x0A, 1] + Array("k".utf8) + [0x12, 1] + Array("v".utf8)
            + [0x20, 0]
        let whole = KubernetesProtobuf.magic + [0x0A, UInt8(type.count)] + type + [0x12, UInt8(raw.count)] + raw
        let bytes = whole + [0x1A, 0, 0x22, 0]
        XCTAssertEqual(try KubernetesProtobuf.encode(object), bytes)
        let event: [UInt8] =
            [0x0A, 5] + Array("ADDED".utf8) + [0x12, UInt8(bytes.count + 2), 0x0A, UInt8(bytes.count)] + bytes
        XCTAssertEqual(KubernetesProtobuf.event("ADDED", bytes), [0, 0, 0, UInt8(event.count)] + event)
    }

    func testListsAreTheirObjectsTogether() throws {
        let items = (0..<3).map { number -> JSON in
            ["metadata": ["name": .string("m\(number)")], "data": ["k": .string(String(repeating: "x", count: 200))]]
        }
        let metadata: JSON = ["resourceVersion": "7", "continue": "t", "remainingItemCount": 3]
        var encoder = try ProtobufListEncoder(apiVersion: "v1", kind: "ConfigMapList", metadata: metadata)
        for item in items { try encoder.add(item) }
        let whole: JSON = [
            "apiVersion": "v1", "kind": "ConfigMapList", "metadata": metadata, "items": .array(items),
        ]
        XCTAssertEqual(encoder.finish(), try KubernetesProtobuf.encode(whole))
        XCTAssertThrowsError(try ProtobufListEncoder(apiVersion: "v1", kind: "ConfigMap", metadata: [:]))
        XCTAssertThrowsError(try ProtobufListEncoder(apiVersion: "v1", kind: "NoneList", metadata: [:]))
    }

    func testValuesOfAWrongTypeAreRefused() {
        let rows: [(kind: String, member: String, value: JSON, reason: String)] = [
            ("ConfigMap", "data", ["k": 1], "a number as text"), ("ConfigMap", "data", "x", "a text as a map"),
            ("ConfigMap", "binaryData", ["k": "???"], "no base 64"),
            ("ConfigMap", "immutable", "yes", "a text as a flag"),
            ("ConfigMap", "metadata", [1], "a list as an object"), ("Pod", "spec", ["containers": "x"], "no list"),
            ("Pod", "spec", ["priority": "x"], "a text as a number"),
            ("Pod", "metadata", ["creationTimestamp": "yesterday"], "no time"), ("Nothing", "x", 1, "an unknown kind"),
        ]
        for row in rows {
            let object: JSON = ["apiVersion": "v1", "kind": .string(row.kind), row.member: row.value]
            XCTAssertThrowsError(try KubernetesProtobuf.encode(object), row.reason)
        }
    }
}
