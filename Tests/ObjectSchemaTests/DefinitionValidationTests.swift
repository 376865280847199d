import ObjectSchema
import Objects
import XCTest

/// Of what extends the API: custom resources and other servers.
final class DefinitionValidationTests: XCTestCase {
    private static func definition(_ schemas: JSON...) -> JSON {
        let versions: [JSON] = schemas.enumerated().map { index, schema in
            [
                "name": .string("v\(index + 1)"), "served": true, "storage": .bool(index == 0),
                "schema": ["openAPIV3Schema": ["type": "object", "properties": ["spec": schema]]],
            ]
        }
        return [
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": ["name": "widgets.example.com"],
            "spec": [
                "group": "example.com", "scope": "Namespaced", "names": ["plural": "widgets", "kind": "Widget"],
                "versions": .array(versions),
            ],
        ]
    }

    private static let root = "spec.validation.openAPIV3Schema.properties[spec]"

    private func errors(_ definition: JSON) throws -> [String] {
        let (object, node) = try ValidationCases.object(definition, "{}")
        return Schema.shared.validate(object, as: node).map(\.description)
    }

    func testWherePartsOfVersionsAre() throws {
        XCTAssertEqual(try errors(Self.definition(["type": "object"])), [])
        let bad: JSON = ["type": "text"]
        let detail =
            #"Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string""#
        XCTAssertEqual(try errors(Self.definition(bad, bad)), ["\(Self.root).type: \(detail)"])
        XCTAssertEqual(
            try errors(Self.definition(["type": "object"], bad)),
            ["spec.versions[1].schema.openAPIV3Schema.properties[spec].type: \(detail)"])
        var columns = Self.definition(["type": "object"])
        columns["spec"]["versions"].updateElements { _, version in
            version["additionalPrinterColumns"] = [["name": "A", "type": "string", "jsonPath": "a"]]
            version["subresources"] = ["scale": ["specReplicasPath": ".status.a", "statusReplicasPath": ""]]
        }
        XCTAssertEqual(
            try errors(columns),
            [
                #"spec.subresources.scale.specReplicasPath: Invalid value: ".status.a": should be a json path under .spec"#,
                "spec.subresources.scale.statusReplicasPath: Required value",
                #"spec.additionalPrinterColumns[0].JSONPath: Invalid value: "a": must be a simple json path starting with ."#,
            ])
        var named = Self.definition(["type": "object"])
        named["spec"]["versions"].updateElements { _, version in version["name"] = "V1" }
        XCTAssertEqual(
            try errors(named).map { $0.prefix(while: { $0 != " " }) }, ["spec.versions[0].name:", "spec.version:"])
        var warned = Self.definition(["type": "object"])
        warned["spec"]["versions"].updateElements { _, version in
            version["deprecated"] = true
            version["deprecationWarning"] = "a\tb"
        }
        XCTAssertEqual(
            try errors(warned),
            [
                #"spec.versions[0].deprecationWarning: Invalid value: "a\tb": must only contain printable UTF-8 characters; non-printable character found at index 1"#
            ])
    }

    func testLists() throws {
        func list(_ type: String, _ items: JSON, keys: JSON = .null) throws -> [String] {
            var schema: JSON = ["type": "array", "x-kubernetes-list-type": .string(type), "items": items]
            if keys.exists { schema["x-kubernetes-list-map-keys"] = keys }
            return try errors(Self.definition(schema))
        }
        XCTAssertEqual(
            try list("set", ["type": "string", "nullable": true]),
            ["\(Self.root).items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"])
        XCTAssertEqual(
            try list("map", ["type": "string"], keys: ["a"]),
            [
                #"\#(Self.root).items.type: Invalid value: "string": must be object if parent array's x-kubernetes-list-type is map"#
            ])
        let item: JSON = [
            "type": "object", "required": ["a", "o"],
            "properties": ["a": ["type": "string", "nullable": true], "o": ["type": "object"]],
        ]
        XCTAssertEqual(
            try list("map", item, keys: ["a", "a", "b", "o"]),
            [
                "\(Self.root).items.properties[a].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                #"\#(Self.root).x-kubernetes-list-map-keys: Invalid value: ["a","a","b","o"]: must not contain duplicate entries"#,
                "\(Self.root).items.properties[a].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                #"\#(Self.root).x-kubernetes-list-map-keys: Invalid value: ["a","a","b","o"]: entries must all be names of item properties"#,
                #"\#(Self.root).items.properties[o].type: Invalid value: "object": must be a scalar type if parent array's x-kubernetes-list-type is map"#,
            ])
        XCTAssertEqual(
            try errors(
                Self.definition(["x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-list-type": "set"])),
            ["\(Self.root).type: Required value: must be array if x-kubernetes-list-type is specified"])
    }

    func testRules() throws {
        func rule(_ rule: JSON, in schema: JSON) -> JSON {
            var schema = schema
            schema["x-kubernetes-validations"] = [rule]
            return schema
        }
        let text: JSON = ["type": "string", "maxLength": 10]
        let inner = rule(["rule": "self == oldSelf"], in: text)
        let place = "\(Self.root).properties[a].x-kubernetes-validations[0].rule"
        XCTAssertEqual(
            try errors(
                Self.definition(["type": "object", "x-kubernetes-map-type": "atomic", "properties": ["a": inner]])),
            [
                #"\#(place): Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within \#(Self.root)"#
            ])
        XCTAssertEqual(try errors(Self.definition(["type": "object", "properties": ["a": inner]])), [])
        XCTAssertEqual(
            try errors(Self.definition(rule(["rule": "true", "reason": "Because"], in: text))),
            [
                #"\#(Self.root).x-kubernetes-validations[0].reason: Unsupported value: "Because": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#
            ])
    }

    func testConversions() throws {
        func conversion(_ text: String) -> String { #"{"spec":{"conversion":\#(text)}}"# }
        let path = "spec.conversion"
        try ValidationCases.check(
            Self.definition(["type": "object"]),
            [
                (
                    conversion(#"{"strategy":"None","webhook":{"clientConfig":{},"conversionReviewVersions":["v1"]}}"#),
                    [
                        "\(path).webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
                        "\(path).conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
                    ]
                ),
                (
                    conversion(#"{"strategy":"Webhook"}"#),
                    [
                        "\(path).webhookClientConfig: Required value: required when strategy is set to Webhook",
                        "\(path).conversionReviewVersions: Required value",
                    ]
                ),
                (
                    conversion(
                        #"{"strategy":"Webhook","webhook":{"clientConfig":{"url":"http://h"},"conversionReviewVersions":["v2"]}}"#
                    ),
                    [
                        #"\#(path).webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]"#,
                        #"\#(path).conversionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1"#,
                    ]
                ),
                (
                    conversion(#"{"strategy":"Guess"}"#),
                    [#"\#(path).strategy: Unsupported value: "Guess": supported values: "None", "Webhook""#]
                ),
            ])
    }

    func testServers() throws {
        let service: JSON = [
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": ["name": "v1.a.b"],
            "spec": [
                "group": "a.b", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
                "service": ["name": "s", "namespace": "n"],
            ],
        ]
        try ValidationCases.check(
            service,
            [
                ("{}", []),
                (
                    #"{"metadata":{"name":"v1.c"}}"#,
                    [#"metadata.name: Invalid value: "v1.c": must be `spec.version+"."+spec.group`: "v1.a.b""#]
                ),
                (
                    #"{"metadata":{"name":"v2."},"spec":{"group":"","version":"v2"}}"#,
                    ["spec.group: Required value: only v1 may have an empty group and it better be legacy kube"]
                ),
                (
                    #"{"spec":{"groupPriorityMinimum":20001,"versionPriority":0}}"#,
                    [
                        "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000",
                        "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
                    ]
                ),
            ])
    }
}
