import Objects
import XCTest

@testable import API

/// CustomResourceDefinitions and their objects, as clients meet them.
final class CustomResourceTests: XCTestCase {
    private var server: TestServer!
    private let definitions = CustomDefinitions.path
    private let widgets = CustomDefinitions.widgetsPath

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    @discardableResult
    private func define(_ change: (inout JSON) -> Void = { _ in }) throws -> JSON {
        let answer = try server.request("POST", definitions, CustomDefinitions.widgets(change))
        XCTAssertEqual(answer.status, 201, String(decoding: answer.body, as: UTF8.self))
        return try answer.json
    }

    @discardableResult
    private func create(_ name: String, _ spec: JSON = ["size": 3]) throws -> JSON {
        let answer = try server.request("POST", widgets, CustomDefinitions.widget(name, spec))
        XCTAssertEqual(answer.status, 201, String(decoding: answer.body, as: UTF8.self))
        return try answer.json
    }

    private func condition(_ object: JSON, _ type: String) -> String {
        let found = object["status"]["conditions"].arrayValue.first { $0["type"].stringValue == type } ?? .null
        return "\(found["status"].stringValue ?? "") \(found["reason"].stringValue ?? "")"
    }

    // MARK: - Definitions

    func testADefinitionIsServedAtOnce() throws {
        let made = try define()
        XCTAssertEqual(condition(made, "NamesAccepted"), "True NoConflicts")
        XCTAssertEqual(condition(made, "Established"), "True InitialNamesAccepted")
        XCTAssertEqual(made["status"]["storedVersions"], ["v1"])
        XCTAssertEqual(made["status"]["acceptedNames"]["listKind"], "WidgetList")
        XCTAssertEqual(made["spec"]["names"]["singular"], "widget", "defaults of names are written back")
        XCTAssertEqual(made["spec"]["conversion"], ["strategy": "None"])

        let list = try server.request("GET", widgets).json
        XCTAssertEqual(list["kind"], "WidgetList")
        XCTAssertEqual(list["items"].count, 0)
        let resources = try server.request("GET", "/apis/example.com/v1").json["resources"].arrayValue
        XCTAssertEqual(resources.map { $0["name"].stringValue }, ["widgets", "widgets/status"])
        XCTAssertEqual(resources[0]["singularName"], "widget")
        XCTAssertEqual(resources[0]["shortNames"], ["wd"])
        XCTAssertEqual(resources[0]["categories"], ["all"])
        XCTAssertTrue(
            try server.request("GET", "/apis").json["groups"].arrayValue.contains { $0["name"] == "example.com" })
        let accept = ["Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"]
        let groups = try server.request("GET", "/apis", headers: accept).json["items"].arrayValue
        let found = groups.first { $0.name == "example.com" } ?? .null
        XCTAssertEqual(found["versions"][0]["resources"][0]["resource"], "widgets")

        let paths = try server.request("GET", "/openapi/v3").json["paths"]
        let first = paths["apis/example.com/v1"]["serverRelativeURL"].stringValue
        let document = try server.request("GET", try XCTUnwrap(first)).json
        let schema = document["components"]["schemas"]["com.example.v1.Widget"]
        XCTAssertEqual(schema["properties"]["spec"]["properties"]["size"]["maximum"], 10)
        XCTAssertEqual(schema["x-kubernetes-group-version-kind"][0]["kind"], "Widget")
        let item = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]
        XCTAssertEqual(
            item["patch"]["requestBody"]["content"].objectValue?.keys,
            ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"],
            "kubectl patches by what is listed here")
        XCTAssertTrue(try server.request("GET", "/openapi/v2").json["definitions"]["com.example.v1.Widget"].exists)

        _ = try server.request(
            "PATCH", definitions + "/widgets.example.com", ["spec": ["names": ["shortNames": ["wdg"]]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        let second = try server.request("GET", "/openapi/v3").json["paths"]["apis/example.com/v1"]["serverRelativeURL"]
        XCTAssertNotEqual(second.stringValue, first, "a changed definition has another hash")
        XCTAssertEqual(try server.request("GET", "/apis/example.com/v1").json["resources"][0]["shortNames"], ["wdg"])
    }

    func testADeletedDefinitionTakesItsObjectsAlong() throws {
        try define()
        try create("one")
        try create("two")
        XCTAssertEqual(try server.request("DELETE", definitions + "/widgets.example.com").status, 200)
        try server.eventually("the definition is gone") {
            try server.request("GET", definitions + "/widgets.example.com").status == 404
        }
        try server.eventually("its kind is not served any more") { try server.request("GET", widgets).status == 404 }
        try server.eventually("nor its group") { try server.request("GET", "/apis/example.com").status == 404 }
        XCTAssertTrue(try server.store.list(prefix: "widgets.example.com/").records.isEmpty)
        try define()
        XCTAssertEqual(try server.request("GET", widgets).json["items"].count, 0, "nothing comes back")
    }

    func testObjectsWithFinalizersHoldTheDefinition() throws {
        try define()
        var held = CustomDefinitions.widget("held")
        held["metadata"]["finalizers"] = ["example.com/hold"]
        XCTAssertEqual(try server.request("POST", widgets, held).status, 201)
        let deleted = try server.request("DELETE", definitions + "/widgets.example.com").json
        XCTAssertEqual(condition(deleted, "Terminating"), "True InstanceDeletionPending")
        XCTAssertEqual(deleted.finalizers, ["customresourcecleanup.apiextensions.k8s.io"])
        try server.eventually("its objects are being deleted") {
            try condition(server.request("GET", definitions + "/widgets.example.com").json, "Terminating")
                == "True InstanceDeletionInProgress"
        }
        let refused = try server.request("POST", widgets, CustomDefinitions.widget("new"))
        XCTAssertEqual(refused.status, 405, "nothing new comes into being")
        let verbs = try server.request("GET", "/apis/example.com/v1").json["resources"][0]["verbs"]
        XCTAssertEqual(verbs, ["delete", "deletecollection", "get", "list", "watch"])
        let released = try server.request(
            "PATCH", widgets + "/held", ["metadata": ["finalizers": .null]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(released.status, 200)
        try server.eventually("the definition is gone") {
            try server.request("GET", definitions + "/widgets.example.com").status == 404
        }
    }

    func testNamesBelongToOne() throws {
        try define()
        let second = try define {
            $0["metadata"]["name"] = "others.example.com"
            $0["spec"]["names"] = ["plural": "others", "kind": "Widget"]
        }
        XCTAssertEqual(condition(second, "NamesAccepted"), "False ListKindConflict")
        XCTAssertEqual(condition(second, "Established"), "False NotAccepted")
        XCTAssertEqual(try server.request("GET", "/apis/example.com/v1/namespaces/default/others").status, 404)
        _ = try server.request("DELETE", definitions + "/widgets.example.com")
        try server.eventually("the other has the name when it is free") {
            try condition(server.request("GET", definitions + "/others.example.com").json, "Established")
                == "True InitialNamesAccepted"
        }
        try server.eventually("it is served") {
            try server.request("GET", "/apis/example.com/v1/namespaces/default/others").status == 200
        }
    }

    func testTheServersOwnNamesAreTaken() throws {
        let made = try define {
            $0["metadata"] = [
                "name": "ingresses.networking.k8s.io",
                "annotations": ["api-approved.kubernetes.io": "unapproved, test"],
            ]
            $0["spec"]["group"] = "networking.k8s.io"
            $0["spec"]["names"] = ["plural": "ingresses", "kind": "Gate"]
        }
        XCTAssertEqual(condition(made, "NamesAccepted"), "False PluralConflict")
        XCTAssertEqual(
            try server.request("GET", "/apis/networking.k8s.io/v1/namespaces/default/ingresses").json["kind"],
            "IngressList")
    }

    func testADefinitionOutlivesARestart() throws {
        try define()
        try create("kept", ["size": 2])
        try server.restart()
        XCTAssertEqual(try server.request("GET", widgets + "/kept").json["spec"]["color"], "red")
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("x", ["size": 11])).status, 422)
    }

    func testRefusedDefinitions() throws {
        let rows: [((inout JSON) -> Void, String, String)] = [
            ({ $0["metadata"]["name"] = "widgets.other.com" }, "metadata.name", "must be spec.names.plural"),
            ({ $0["spec"]["scope"] = "World" }, "spec.scope", "supported values: \"Cluster\", \"Namespaced\""),
            ({ $0["spec"]["versions"][0]["storage"] = false }, "spec.versions", "exactly one version"),
            ({ $0["spec"]["versions"].append($0["spec"]["versions"][0]) }, "spec.versions", "unique version names"),
            ({ $0["spec"]["names"]["kind"] = "Wid get" }, "spec.names.kind", "may have mixed case"),
            ({ $0["spec"]["names"]["listKind"] = "Widget" }, "spec.names.listKind", "may not be the same"),
            (
                { $0["spec"]["versions"][0].removeValue(forKey: "schema") },
                "spec.versions[0].schema.openAPIV3Schema", "schemas are required"
            ),
            (
                { $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["x"] = ["description": "d"] },
                "spec.validation.openAPIV3Schema.properties[x].type",
                "must not be empty for specified object fields"
            ),
            (
                { $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["x"] = ["type": "array"] },
                "spec.validation.openAPIV3Schema.properties[x].items", "must be specified"
            ),
            (
                {
                    $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["x"] = [
                        "type": "integer", "default": "no",
                    ]
                }, "spec.validation.openAPIV3Schema.properties[x].default", "must be of type integer"
            ),
            (
                {
                    $0["spec"]["versions"][0]["additionalPrinterColumns"] = [
                        ["name": "A", "type": "text", "jsonPath": ".a"]
                    ]
                },
                "spec.additionalPrinterColumns[0].type", "must be one of"
            ),
            (
                { $0["spec"]["versions"][0]["selectableFields"] = [["jsonPath": ".spec.parts"]] },
                "spec.selectableFields[0].jsonPath", "must point to a field of type"
            ),
        ]
        for (change, field, words) in rows {
            let answer = try server.request("POST", definitions, CustomDefinitions.widgets(change))
            XCTAssertEqual(answer.status, 422, field)
            let causes = try answer.json["details"]["causes"].arrayValue
            XCTAssertTrue(
                causes.contains {
                    $0["field"].stringValue == field && $0["message"].stringValue?.contains(words) == true
                },
                "\(field): \(words) not in \(causes)")
        }
    }

    func testWhatMayNotChange() throws {
        try define()
        let rows: [(JSON, String)] = [
            (["spec": ["scope": "Cluster"]], "spec.scope"),
            (["spec": ["names": ["kind": "Gadget"]]], "spec.names.kind"),
            (["spec": ["group": "other.com"]], "spec.group"),
            (
                [
                    "spec": [
                        "versions": [
                            [
                                "name": "v2", "served": true, "storage": true,
                                "schema": ["openAPIV3Schema": ["type": "object"]],
                            ]
                        ]
                    ]
                ], "status.storedVersions[0]"
            ),
        ]
        for (patch, field) in rows {
            let answer = try server.request(
                "PATCH", definitions + "/widgets.example.com", patch,
                headers: ["Content-Type": "application/merge-patch+json"])
            XCTAssertEqual(answer.status, 422, field)
            let fields = try answer.json["details"]["causes"].arrayValue.compactMap { $0["field"].stringValue }
            XCTAssertTrue(fields.contains(field), "\(fields)")
        }
    }

    // MARK: - Objects

    func testObjectsAreDefaultedAndPruned() throws {
        try define()
        let made = try create(
            "a", ["size": 3, "parts": [["name": "x"]], "free": ["any": ["thing": 1]], "nothing": true, "note": .null])
        XCTAssertEqual(
            made["spec"],
            [
                "size": 3, "parts": [["name": "x", "weight": 1.5]], "free": ["any": ["thing": 1]], "color": "red",
            ])
        XCTAssertEqual(made.generation, 1)
        let strict = try server.request(
            "POST", widgets + "?fieldValidation=Strict", CustomDefinitions.widget("b", ["size": 3, "nothing": true]))
        XCTAssertEqual(strict.status, 400)
        XCTAssertEqual(
            try strict.json["message"],
            "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.nothing\""
        )
        let warned = try server.request("POST", widgets, CustomDefinitions.widget("b", ["size": 3, "nothing": true]))
        XCTAssertEqual(warned.headers["warning"], "299 - \"unknown field \\\"spec.nothing\\\"\"")
    }

    /// A status that a client gives is the server's to drop; the one of the schema is there all the same.
    func testAStatusHasItsDefault() throws {
        let waiting: JSON = ["phase": "Waiting"]
        try define {
            $0["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"] = [
                "type": "object", "default": waiting, "properties": ["phase": ["type": "string"]],
            ]
        }
        let given = CustomDefinitions.widget("a", ["size": 1]).with("status", ["phase": "Mine"])
        XCTAssertEqual(try server.request("POST", widgets, given).json["status"], waiting)
        XCTAssertEqual(try server.request("GET", widgets + "/a").json["status"], waiting)
        let applied = try server.request(
            "PATCH", widgets + "/b?fieldManager=m", CustomDefinitions.widget("b", ["size": 1]),
            headers: ["Content-Type": "application/apply-patch+yaml"])
        XCTAssertEqual(try applied.json["status"], waiting)
    }

    func testRefusedObjects() throws {
        try define()
        let rows: [(JSON, String, String)] = [
            ([:], "spec.size", "Required value"),
            (
                ["size": "3"], "spec.size",
                "Invalid value: \"string\": spec.size in body must be of type integer: \"string\""
            ),
            (["size": 0], "spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1"),
            (
                ["size": 1, "color": "blue"], "spec.color",
                "Unsupported value: \"blue\": supported values: \"red\", \"green\""
            ),
            (
                ["size": 1, "note": "ABC"], "spec.note",
                "Invalid value: \"ABC\": spec.note in body should match '^[a-z ]*$'"
            ),
            (["size": 1, "note": "a b c d e f g h i j k l"], "spec.note", "Too long: may not be more than 20 bytes"),
            (
                ["size": 1, "port": true], "spec.port",
                "Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\""
            ),
            (["size": 1, "parts": [["weight": 1]]], "spec.parts[0].name", "Required value"),
            (
                ["size": 1, "parts": [["name": "a"], ["name": "a"]]], "spec.parts[1]",
                "Duplicate value: {\"name\":\"a\"}"
            ),
            (["size": 1, "tags": ["a", "a"]], "spec.tags[1]", "Duplicate value: \"a\""),
            (
                ["size": 1, "labels": ["a": 1]], "spec.labels.a",
                "Invalid value: \"integer\": spec.labels.a in body must be of type string: \"integer\""
            ),
        ]
        for (spec, field, message) in rows {
            let answer = try server.request("POST", widgets, CustomDefinitions.widget("bad", spec))
            XCTAssertEqual(answer.status, 422, "\(spec)")
            let json = try answer.json
            XCTAssertEqual(json["details"]["causes"][0]["field"].stringValue, field, "\(json)")
            XCTAssertEqual(json["details"]["causes"][0]["message"].stringValue, message, "\(json)")
            XCTAssertEqual(json["message"].stringValue, "Widget.example.com \"bad\" is invalid: \(field): \(message)")
        }
    }

    func testUpdatesAndGenerations() throws {
        try define()
        try create("a")
        func patch(_ body: JSON, _ path: String = "") throws -> JSON {
            try server.request(
                "PATCH", widgets + "/a" + path, body, headers: ["Content-Type": "application/merge-patch+json"]
            ).json
        }
        XCTAssertEqual(try patch(["metadata": ["labels": ["l": "1"]]]).generation, 1, "metadata does not count")
        XCTAssertEqual(try patch(["spec": ["size": 4]]).generation, 2, "the spec does")
        XCTAssertTrue(try patch(["status": ["phase": "New"]])["status"].isNull, "status is not changed by the object")
        let status = try patch(["status": ["phase": "New"], "spec": ["size": 9]], "/status")
        XCTAssertEqual(status["status"]["phase"], "New")
        XCTAssertEqual(status["spec"]["size"], 4, "nor the spec by its status")
        XCTAssertEqual(status.generation, 2)
        let bad = try patch(["status": ["phase": 1]], "/status")
        XCTAssertEqual(bad["details"]["causes"][0]["field"], "status.phase")
        let strategic = try server.request(
            "PATCH", widgets + "/a", ["spec": ["size": 5]],
            headers: ["Content-Type": "application/strategic-merge-patch+json"])
        XCTAssertEqual(strategic.status, 415)
        let json = try server.request(
            "PATCH", widgets + "/a", [["op": "replace", "path": "/spec/size", "value": 6]],
            headers: ["Content-Type": "application/json-patch+json"])
        XCTAssertEqual(try json.json["spec"]["size"], 6)
        XCTAssertEqual(try server.request("DELETE", widgets + "?labelSelector=l%3D1").json["items"].count, 1)
        XCTAssertEqual(try server.request("GET", widgets + "/a").status, 404)
    }

    func testServerSideApplyMergesByKeys() throws {
        try define()
        func apply(_ manager: String, _ spec: JSON) throws -> TLSClient.Response {
            try server.request(
                "PATCH", widgets + "/a?fieldManager=\(manager)", CustomDefinitions.widget("a", spec),
                headers: ["Content-Type": "application/apply-patch+yaml"])
        }
        XCTAssertEqual(
            try apply("one", ["size": 1, "parts": [["name": "x", "weight": 1]], "tags": ["a"]]).status, 201)
        let both = try apply("two", ["parts": [["name": "y", "weight": 2]], "tags": ["b"]]).json
        XCTAssertEqual(both["spec"]["parts"].arrayValue.map { $0["name"].stringValue }, ["x", "y"])
        XCTAssertEqual(both["spec"]["tags"], ["a", "b"])
        let conflict = try apply("two", ["parts": [["name": "x", "weight": 9]]])
        XCTAssertEqual(conflict.status, 409)
        XCTAssertEqual(
            try conflict.json["details"]["causes"][0]["field"], ".spec.parts[name=\"x\"].weight")
        let gone = try apply("one", ["size": 1]).json
        XCTAssertEqual(gone["spec"]["parts"].arrayValue.map { $0["name"].stringValue }, ["y"])
        XCTAssertEqual(try apply("one", ["size": 1, "nothing": 1]).status, 500, "fields that no schema has")
    }

    func testListsWatchesAndTables() throws {
        try define {
            $0["spec"]["versions"][0]["additionalPrinterColumns"] = [
                ["name": "Size", "type": "integer", "jsonPath": ".spec.size"],
                ["name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"],
                ["name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"],
            ]
            $0["spec"]["versions"][0]["selectableFields"] = [["jsonPath": ".spec.color"]]
        }
        for (name, color) in [("a", "red"), ("b", "green"), ("c", "red")] {
            try create(name, ["size": 2, "color": .string(color)])
        }
        let first = try server.request("GET", widgets + "?limit=2").json
        XCTAssertEqual(first["items"].count, 2)
        let token = try XCTUnwrap(first.metadata["continue"].stringValue)
        XCTAssertEqual(try server.request("GET", widgets + "?limit=2&continue=\(token)").json["items"].count, 1)
        let green = try server.request("GET", widgets + "?fieldSelector=spec.color%3Dgreen").json
        XCTAssertEqual(green["items"].arrayValue.map(\.name), ["b"])
        let table = try server.request(
            "GET", widgets, headers: ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"]
        ).json
        XCTAssertEqual(
            table["columnDefinitions"].arrayValue.map(\.["name"].stringValue), ["Name", "Size", "Ready", "Age"])
        XCTAssertEqual(Array(table["rows"][0]["cells"].arrayValue.prefix(3)), ["a", 2, .null])
        let partial = try server.request(
            "GET", widgets, headers: ["Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"]
        ).json
        XCTAssertEqual(partial["items"][0]["kind"], "PartialObjectMetadata")
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(widgets)?watch=true&timeoutSeconds=600 HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        try create("d", ["size": 2])
        let events = try (0..<4).map { _ in try XCTUnwrap(try client.event())["object"].name }
        XCTAssertEqual(events, ["a", "b", "c", "d"], "what exists comes first")
    }

    func testDryRunWritesNothing() throws {
        XCTAssertEqual(
            try server.request("POST", definitions + "?dryRun=All", CustomDefinitions.widgets()).status, 201)
        XCTAssertEqual(try server.request("GET", widgets).status, 404)
        try define()
        XCTAssertEqual(try server.request("POST", widgets + "?dryRun=All", CustomDefinitions.widget("a")).status, 201)
        XCTAssertEqual(try server.request("GET", widgets + "/a").status, 404)
    }

    func testScale() throws {
        try define {
            $0["spec"]["versions"][0]["subresources"]["scale"] = [
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".spec.note",
            ]
        }
        try create("a", ["size": 1, "replicas": 2, "note": "label"])
        let scale = try server.request("GET", widgets + "/a/scale").json
        XCTAssertEqual(scale["kind"], "Scale")
        XCTAssertEqual(scale["spec"]["replicas"], 2)
        XCTAssertEqual(scale["status"], ["replicas": 0, "selector": "label"])
        var wanted = scale
        wanted["spec"]["replicas"] = 5
        XCTAssertEqual(try server.request("PUT", widgets + "/a/scale", wanted).json["spec"]["replicas"], 5)
        let after = try server.request("GET", widgets + "/a").json
        XCTAssertEqual(after["spec"]["replicas"], 5)
        XCTAssertEqual(after.generation, 2)
        XCTAssertEqual(try server.request("PUT", widgets + "/a/scale", wanted).status, 409, "it has moved")
    }

    // MARK: - Versions

    func testVersionsAndTheirSchemas() throws {
        try define {
            var second = $0["spec"]["versions"][0]
            second["name"] = "v1beta1"
            second["storage"] = false
            second["deprecated"] = true
            second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["extra"] = [
                "type": "string", "default": "e",
            ]
            $0["spec"]["versions"].append(second)
        }
        try create("a", ["size": 3])
        let beta = try server.request("GET", "/apis/example.com/v1beta1/namespaces/default/widgets/a")
        XCTAssertEqual(try beta.json.apiVersion, "example.com/v1beta1")
        XCTAssertEqual(try beta.json["spec"]["extra"], "e", "defaults of the version that is asked for")
        XCTAssertEqual(beta.headers["warning"], "299 - \"example.com/v1beta1 Widget is deprecated\"")
        XCTAssertTrue(try server.request("GET", widgets + "/a").json["spec"]["extra"].isNull)
        let group = try server.request("GET", "/apis/example.com").json
        XCTAssertEqual(group["preferredVersion"]["version"], "v1")

        let moved = try server.request(
            "PATCH", definitions + "/widgets.example.com",
            [
                ["op": "replace", "path": "/spec/versions/0/storage", "value": false],
                ["op": "replace", "path": "/spec/versions/1/storage", "value": true],
            ], headers: ["Content-Type": "application/json-patch+json"]
        ).json
        XCTAssertEqual(moved["status"]["storedVersions"], ["v1", "v1beta1"])
        let before = try server.request("GET", widgets + "/a").json
        let rewritten = try server.request("PUT", widgets + "/a", before).json
        XCTAssertNotEqual(rewritten.resourceVersion, before.resourceVersion, "it is stored in the new version now")
        let record = try XCTUnwrap(try server.store.get("widgets.example.com/default/a"))
        XCTAssertEqual(try record.object().apiVersion, "example.com/v1beta1")
        let status = try server.request(
            "PATCH", definitions + "/widgets.example.com/status", ["status": ["storedVersions": ["v1beta1"]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(try status.json["status"]["storedVersions"], ["v1beta1"])
    }

    /// What follows from a definition is in its status again, whatever a client has put there.
    func testAStatusThatIsWrittenOver() throws {
        try define()
        let patched = try server.request(
            "PATCH", definitions + "/widgets.example.com/status",
            [["op": "add", "path": "/status/conditions", "value": [["message": "patched"]]]],
            headers: ["Content-Type": "application/json-patch+json"])
        XCTAssertEqual(patched.status, 200, patched.text)
        XCTAssertEqual(try patched.json["status"]["conditions"].arrayValue.map { $0["message"] }, ["patched"])
        try server.eventually("it is established again") {
            let definition = try server.request("GET", definitions + "/widgets.example.com").json
            let conditions = definition["status"]["conditions"].arrayValue
            return conditions.contains { $0["type"] == "Established" && $0["status"] == "True" }
                && conditions.contains { $0["message"] == "patched" }
        }
        try server.eventually("and served") { try server.request("GET", widgets).status == 200 }
    }

    func testFieldsThatBecomeSelectable() throws {
        try define()
        for (name, color) in [("a", "red"), ("b", "green")] { try create(name, ["size": 2, "color": .string(color)]) }
        let selected = widgets + "?fieldSelector=spec.color%3Dgreen"
        XCTAssertEqual(try server.request("GET", selected).status, 400, "not yet")
        _ = try server.request(
            "PATCH", definitions + "/widgets.example.com",
            [["op": "add", "path": "/spec/versions/0/selectableFields", "value": [["jsonPath": ".spec.color"]]]],
            headers: ["Content-Type": "application/json-patch+json"])
        XCTAssertEqual(try server.request("GET", selected).json["items"].arrayValue.map(\.name), ["b"])
        try create("c", ["size": 2, "color": "green"])
        XCTAssertEqual(try server.request("GET", selected).json["items"].arrayValue.map(\.name), ["b", "c"])
    }

    func testAChangedDefinitionEndsWatches() throws {
        try define()
        let client = try server.connect()
        defer { client.close() }
        let head = "GET \(widgets)?watch=true&timeoutSeconds=60 HTTP/1.1\r\nHost: localhost\r\n"
        client.send(Array("\(head)Authorization: Bearer \(TestServer.token)\r\n\r\n".utf8))
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        _ = try server.request(
            "PATCH", definitions + "/widgets.example.com", ["spec": ["names": ["shortNames": ["w"]]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        let began = ContinuousClock.now
        while try client.chunk() != nil {}
        XCTAssertLessThan(ContinuousClock.now - began, .seconds(20), "it ends long before its time")
    }

    func testAChangedSchemaShowsAtOnce() throws {
        try define()
        try create("a", ["size": 3, "replicas": 1])
        _ = try server.request(
            "PATCH", definitions + "/widgets.example.com",
            [
                [
                    "op": "remove",
                    "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas",
                ],
                [
                    "op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode",
                    "value": ["type": "string", "default": "new"],
                ],
                [
                    "op": "replace",
                    "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/maximum",
                    "value": 2,
                ],
            ], headers: ["Content-Type": "application/json-patch+json"])
        let shown = try server.request("GET", widgets + "/a").json
        XCTAssertEqual(shown["spec"]["mode"], "new", "what is stored has the new defaults")
        XCTAssertTrue(shown["spec"]["replicas"].isNull, "and not what is no longer known")
        let labelled = try server.request(
            "PATCH", widgets + "/a", ["metadata": ["labels": ["a": "b"]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(labelled.status, 200, "what was valid and does not change is not judged again")
        let changed = try server.request(
            "PATCH", widgets + "/a", ["spec": ["size": 4]], headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(changed.status, 422)
    }
}
