import Objects
import XCTest

@testable import API

/// Server-side apply over every kind of list and map, by several managers.
/// See https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy.
final class ApplyConformanceTests: ConformanceCase {
    private static let parts = "/apis/apply.example.com/v1/namespaces/default/parts"

    private static let definition: JSON = [
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": ["name": "parts.apply.example.com"],
        "spec": [
            "group": "apply.example.com", "scope": "Namespaced", "names": ["plural": "parts", "kind": "Part"],
            "versions": [
                [
                    "name": "v1", "served": true, "storage": true,
                    "schema": [
                        "openAPIV3Schema": [
                            "type": "object", "properties": ["spec": ["type": "object", "properties": fields]],
                        ]
                    ],
                ]
            ],
        ],
    ]

    private static let fields: JSON = [
        "leaf": ["type": "string"], "number": ["type": "integer"],
        "set": ["type": "array", "x-kubernetes-list-type": "set", "items": ["type": "string"]],
        "atomic": ["type": "array", "x-kubernetes-list-type": "atomic", "items": ["type": "string"]],
        "list": [
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": [
                "type": "object", "required": ["name"],
                "properties": ["name": ["type": "string"], "v": ["type": "integer"], "w": ["type": "integer"]],
            ],
        ],
        "ports": [
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": [
                "type": "object", "required": ["port"],
                "properties": [
                    "port": ["type": "integer"], "protocol": ["type": "string", "default": "TCP"],
                    "name": ["type": "string"],
                ],
            ],
        ],
        "granular": ["type": "object", "additionalProperties": ["type": "string"]],
        "whole": [
            "type": "object", "x-kubernetes-map-type": "atomic",
            "properties": ["a": ["type": "integer"], "b": ["type": "integer"]],
        ],
    ]

    override func setUpWithError() throws {
        let made = try ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Self.definition)
        XCTAssertTrue([201, 409].contains(made.status), made.text)
    }

    /// One request of a scenario: who applies, or updates, what; then what the spec is, or the refusal's message.
    private enum Step {
        case apply(String, String, spec: String)
        case force(String, String, spec: String)
        case update(String, String, spec: String)
        case refused(String, String, code: Int, message: String)
    }

    private func part(_ name: String, _ spec: String) throws -> JSON {
        [
            "apiVersion": "apply.example.com/v1", "kind": "Part", "metadata": ["name": .string(name)],
            "spec": try JSON(parsing: spec),
        ]
    }

    private func run(_ reason: String, _ name: String, _ steps: [Step], owners: [String: String]) throws {
        let path = "\(Self.parts)/\(name)"
        for step in steps {
            let answer: TLSClient.Response
            switch step {
            case .apply(let manager, let spec, _), .refused(let manager, let spec, _, _):
                answer = try apply(path, part(name, spec), manager: manager)
            case .force(let manager, let spec, _):
                answer = try apply(path, part(name, spec), manager: manager, force: true)
            case .update(let manager, let patch, _):
                answer = try merge("\(path)?fieldManager=\(manager)", ["spec": try JSON(parsing: patch)])
            }
            switch step {
            case .apply(_, _, let spec), .force(_, _, let spec), .update(_, _, let spec):
                XCTAssertTrue([200, 201].contains(answer.status), "\(reason): \(answer.text)")
                XCTAssertEqual(try answer.json["spec"], try JSON(parsing: spec), reason)
            case .refused(_, _, let code, let message):
                XCTAssertEqual(answer.status, code, "\(reason): \(answer.text)")
                let text = try answer.json["message"].stringValue ?? ""
                XCTAssertTrue(text.hasPrefix(message), "\(reason): \(text)")
            }
        }
        var found: [String: String] = [:]
        for entry in try ask("GET", path).json.metadata["managedFields"].arrayValue {
            found[entry["manager"].stringValue ?? ""] = entry["fieldsV1"]["f:spec"].serializedString()
        }
        XCTAssertEqual(found, owners, reason)
    }

    func testSets() throws {
        try run(
            "elements belong to those who apply them", "sets",
            [
                .apply("a", #"{"set":["1","2"]}"#, spec: #"{"set":["1","2"]}"#),
                .apply("b", #"{"set":["2","3"]}"#, spec: #"{"set":["1","2","3"]}"#),
                .apply("a", #"{"set":["1"]}"#, spec: #"{"set":["1","2","3"]}"#),
                .apply("b", #"{"leaf":"x"}"#, spec: #"{"leaf":"x","set":["1"]}"#),
            ], owners: ["a": #"{"f:set":{"v:\"1\"":{}}}"#, "b": #"{"f:leaf":{}}"#])
        try run(
            "twice the same", "sets-twice",
            [
                .apply("a", #"{"set":["1"]}"#, spec: #"{"set":["1"]}"#),
                .refused(
                    "b", #"{"set":["1","1"]}"#, code: 500,
                    message:
                        "failed to create typed patch object (default/sets-twice; apply.example.com/v1, Kind=Part): .spec.set: duplicate entries for key [=\"1\"]"
                ),
            ], owners: ["a": #"{"f:set":{"v:\"1\"":{}}}"#])
    }

    func testListsOfObjects() throws {
        try run(
            "members of elements", "lists",
            [
                .apply("a", #"{"list":[{"name":"x","v":1}]}"#, spec: #"{"list":[{"name":"x","v":1}]}"#),
                .apply("b", #"{"list":[{"name":"x","w":2}]}"#, spec: #"{"list":[{"name":"x","v":1,"w":2}]}"#),
                .refused(
                    "b", #"{"list":[{"name":"x","v":3}]}"#, code: 409,
                    message: "Apply failed with 1 conflict: conflict with \"a\": .spec.list[name=\"x\"].v"),
                .force(
                    "b", #"{"list":[{"name":"x","v":3,"w":2}]}"#, spec: #"{"list":[{"name":"x","v":3,"w":2}]}"#),
                .apply("a", #"{"leaf":"x"}"#, spec: #"{"leaf":"x","list":[{"name":"x","v":3,"w":2}]}"#),
                .apply("b", #"{"number":1}"#, spec: #"{"leaf":"x","number":1}"#),
            ], owners: ["a": #"{"f:leaf":{}}"#, "b": #"{"f:number":{}}"#])
        try run(
            "keys of two members, of which one has a default", "ports",
            [
                .apply(
                    "a", #"{"ports":[{"port":80,"name":"web"}]}"#,
                    spec: #"{"ports":[{"port":80,"name":"web","protocol":"TCP"}]}"#),
                .refused(
                    "b", #"{"ports":[{"port":80,"protocol":"TCP","name":"other"}]}"#, code: 409,
                    message:
                        "Apply failed with 1 conflict: conflict with \"a\": .spec.ports[port=80,protocol=\"TCP\"].name"
                ),
                .apply(
                    "b", #"{"ports":[{"port":80,"protocol":"UDP","name":"dns"}]}"#,
                    spec:
                        #"{"ports":[{"port":80,"name":"web","protocol":"TCP"},{"port":80,"protocol":"UDP","name":"dns"}]}"#
                ),
                .refused(
                    "c", #"{"ports":[{"port":1},{"port":1,"protocol":"TCP"}]}"#, code: 500,
                    message:
                        "failed to create typed patch object (default/ports; apply.example.com/v1, Kind=Part): .spec.ports: duplicate entries for key [port=1,protocol=\"TCP\"]"
                ),
            ],
            owners: [
                "a": #"{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}"#,
                "b":
                    #"{"f:ports":{"k:{\"port\":80,\"protocol\":\"UDP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{}}}}"#,
            ])
    }

    func testWholeValues() throws {
        try run(
            "an atomic list has one owner", "atomic",
            [
                .apply("a", #"{"atomic":["1"]}"#, spec: #"{"atomic":["1"]}"#),
                .refused(
                    "b", #"{"atomic":["1","2"]}"#, code: 409,
                    message: "Apply failed with 1 conflict: conflict with \"a\": .spec.atomic"),
                .apply("b", #"{"atomic":["1"]}"#, spec: #"{"atomic":["1"]}"#),
                .apply("a", #"{"leaf":"x"}"#, spec: #"{"leaf":"x","atomic":["1"]}"#),
            ], owners: ["a": #"{"f:leaf":{}}"#, "b": #"{"f:atomic":{}}"#])
        try run(
            "so has an atomic map", "whole",
            [
                .apply("a", #"{"whole":{"a":1}}"#, spec: #"{"whole":{"a":1}}"#),
                .refused(
                    "b", #"{"whole":{"b":1}}"#, code: 409,
                    message: "Apply failed with 1 conflict: conflict with \"a\": .spec.whole"),
                .force("b", #"{"whole":{"b":1}}"#, spec: #"{"whole":{"b":1}}"#),
            ], owners: ["b": #"{"f:whole":{}}"#])
        try run(
            "members of other maps are their own", "granular",
            [
                .apply("a", #"{"granular":{"x":"1"}}"#, spec: #"{"granular":{"x":"1"}}"#),
                .apply("b", #"{"granular":{"y":"2"}}"#, spec: #"{"granular":{"x":"1","y":"2"}}"#),
                .apply("a", #"{"leaf":"l"}"#, spec: #"{"leaf":"l","granular":{"y":"2"}}"#),
            ], owners: ["a": #"{"f:leaf":{}}"#, "b": #"{"f:granular":{"f:y":{}}}"#])
    }

    func testUpdatesBetween() throws {
        try run(
            "an update takes what it changes", "updates",
            [
                .apply("a", #"{"leaf":"1","number":1}"#, spec: #"{"leaf":"1","number":1}"#),
                .update("ed", #"{"leaf":"2"}"#, spec: #"{"leaf":"2","number":1}"#),
                .refused(
                    "a", #"{"leaf":"1","number":1}"#, code: 409,
                    message: "Apply failed with 1 conflict: conflict with \"ed\" using apply.example.com/v1 at "),
                .apply("a", #"{"leaf":"2","number":1}"#, spec: #"{"leaf":"2","number":1}"#),
                .update("ed", #"{"number":null}"#, spec: #"{"leaf":"2"}"#),
                .apply("a", #"{"leaf":"2","number":4}"#, spec: #"{"leaf":"2","number":4}"#),
            ], owners: ["a": #"{"f:leaf":{},"f:number":{}}"#, "ed": #"{"f:leaf":{}}"#])
        try run(
            "values of another type", "types",
            [
                .apply("a", #"{"leaf":"1"}"#, spec: #"{"leaf":"1"}"#),
                .refused(
                    "b", #"{"leaf":5}"#, code: 500,
                    message:
                        "failed to create typed patch object (default/types; apply.example.com/v1, Kind=Part): .spec.leaf: expected string"
                ),
                .refused(
                    "b", #"{"nothing":5}"#, code: 500,
                    message:
                        "failed to create typed patch object (default/types; apply.example.com/v1, Kind=Part): .spec.nothing: field not declared in schema"
                ),
            ], owners: ["a": #"{"f:leaf":{}}"#])
    }

    /// What a conflict is about, as clients read it.
    func testCausesOfConflicts() throws {
        let path = Self.parts + "/causes"
        XCTAssertEqual(try apply(path, part("causes", #"{"leaf":"1","number":1}"#), manager: "a").status, 201)
        let refused = try apply(path, part("causes", #"{"leaf":"2","number":2}"#), manager: "b")
        XCTAssertEqual(refused.status, 409)
        XCTAssertEqual(try refused.json["reason"], "Conflict")
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.leaf\n- .spec.number")
        XCTAssertEqual(
            try refused.json["details"]["causes"],
            [
                ["reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".spec.leaf"],
                ["reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".spec.number"],
            ])
    }

    func testVersionsAndTimes() throws {
        let path = Self.parts + "/times"
        let config = try part("times", #"{"leaf":"1"}"#)
        let made = try apply(path, config, manager: "a").json
        XCTAssertEqual(try apply(path, config, manager: "a").json, made, "nothing changes, the time included")
        var stale = config
        stale.resourceVersion = "1"
        XCTAssertEqual(try apply(path, stale, manager: "a").status, 409, "an old version")
        stale.resourceVersion = made.resourceVersion
        XCTAssertEqual(try apply(path, stale, manager: "a").status, 200, "the present one")
        var foreign = config
        foreign.uid = "00000000-0000-0000-0000-000000000000"
        XCTAssertEqual(try apply(path, foreign, manager: "a").status, 409, "another object")
        XCTAssertEqual(
            try apply(Self.parts + "/none", foreign.with("metadata", ["name": "none", "uid": "x"]), manager: "a")
                .status, 409)
        for (leaf, reset): (String, JSON) in [("2", []), ("3", [[:]])] {
            let cleared = try merge(path, ["metadata": ["managedFields": reset]])
            XCTAssertEqual(cleared.status, 200, cleared.text)
            XCTAssertTrue(try cleared.json.metadata["managedFields"].isNull)
            let adopted = try apply(path, part("times", #"{"leaf":"\#(leaf)"}"#), manager: "a", force: true).json
            XCTAssertEqual(
                adopted.metadata["managedFields"].arrayValue.compactMap { $0["manager"].stringValue }, ["a"],
                "what was before belongs to nobody any more once it is taken over")
        }
    }
}
