import Objects
import XCTest

@testable import API

/// What requests may say in their queries and bodies, and in which words they are refused.
final class OptionsConformanceTests: ConformanceCase {
    private static let maps = "/api/v1/namespaces/default/configmaps"

    private func map(_ name: String) -> JSON {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["k": "v"]]
    }

    func testOptionsOfWrites() throws {
        let long = String(repeating: "m", count: 129)
        let tooLong = "fieldManager: Too long: may not be more than 128 bytes"
        let validation =
            "fieldValidation: Unsupported value: \"Some\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
        let dry = "dryRun: Unsupported value: [\"Some\"]: supported values: \"All\""
        XCTAssertEqual(try ask("POST", Self.maps, map("a")).status, 201)
        let rows: [(method: String, query: String, kind: String, error: String)] = [
            ("POST", "fieldManager=\(long)", "CreateOptions", tooLong),
            ("POST", "fieldValidation=Some", "CreateOptions", validation),
            ("POST", "dryRun=Some", "CreateOptions", dry),
            ("PUT", "dryRun=Some&fieldValidation=Some", "UpdateOptions", "[\(dry), \(validation)]"),
            (
                "PUT", "fieldManager=a%09b", "UpdateOptions",
                "fieldManager: Invalid value: \"a\\tb\": invalid character U+0009 (at position 1)"
            ),
            ("merge", "dryRun=Some", "PatchOptions", dry),
            ("merge", "force=true", "PatchOptions", "force: Forbidden: may not be specified for non-apply patch"),
            ("apply", "", "PatchOptions", "fieldManager: Required value: is required for apply patch"),
            ("apply", "fieldManager=m&fieldValidation=Some", "PatchOptions", validation),
            ("DELETE", "dryRun=Some", "DeleteOptions", dry),
            (
                "DELETE", "propagationPolicy=Some", "DeleteOptions",
                "propagationPolicy: Unsupported value: \"Some\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            ),
            (
                "DELETE", "propagationPolicy=Orphan&orphanDependents=true", "DeleteOptions",
                "propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"
            ),
        ]
        for row in rows {
            let path = Self.maps + (row.method == "POST" ? "?" : "/a?") + row.query
            let answer: TLSClient.Response
            switch row.method {
            case "merge": answer = try merge(path, [:])
            case "apply": answer = try ask("PATCH", path, map("a"), type: "application/apply-patch+yaml")
            case "DELETE": answer = try ask("DELETE", path)
            default: answer = try ask(row.method, path, map("a"))
            }
            XCTAssertEqual(answer.status, 422, row.query)
            XCTAssertEqual(
                try answer.json["message"].stringValue, "\(row.kind).meta.k8s.io \"\" is invalid: \(row.error)",
                row.query)
            XCTAssertEqual(try answer.json["details"]["kind"].stringValue, row.kind, row.query)
        }
    }

    /// Fields that nobody knows, or that are there twice, in every kind of body.
    func testFieldValidation() throws {
        let path = "/apis/apps/v1/namespaces/default/deployments"
        let head = #""metadata":{"name":"fv","labels":{"app":"x"}}"#
        let spec =
            #""selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"i:1"}]}}"#
        let bad = #"{\#(head),"spec":{"unknown1":1,"replicas":0,"replicas":0,\#(spec)}}"#
        XCTAssertEqual(
            try ask("POST", path, text: #"{\#(head),"spec":{\#(spec)}}"#, type: "application/json").status, 201)
        let patch = #"{"spec":{"unknown1":1,"replicas":0,"replicas":0}}"#
        let steps =
            #"[{"op":"add","path":"/spec/unknown1","value":1,"foo":"bar"},{"op":"add","path":"/spec/paused","path":"/spec/paused","value":true}]"#
        let both = #"unknown field "spec.unknown1", duplicate field "spec.replicas""#
        let turned = #"duplicate field "spec.replicas", unknown field "spec.unknown1""#
        let stepped =
            #"json patch unknown field "[0].foo", json patch duplicate field "[1].path", unknown field "spec.unknown1""#
        let rows: [(type: String, method: String, body: String, code: Int, faults: String)] = [
            ("application/json", "PUT", bad, 400, both), ("application/merge-patch+json", "PATCH", patch, 422, turned),
            ("application/strategic-merge-patch+json", "PATCH", patch, 422, turned),
            ("application/json-patch+json", "PATCH", steps, 422, stepped),
        ]
        for row in rows {
            let target = path + "/fv?dryRun=All"
            let strict = try ask(row.method, target + "&fieldValidation=Strict", text: row.body, type: row.type)
            XCTAssertEqual(strict.status, row.code, "\(row.type): \(strict.text)")
            XCTAssertTrue(
                try strict.json["message"].stringValue?.hasSuffix("strict decoding error: \(row.faults)") ?? false,
                "\(row.type): \(strict.text)")
            let ignored = try ask(row.method, target + "&fieldValidation=Ignore", text: row.body, type: row.type)
            XCTAssertEqual(ignored.status, 200, "\(row.type): \(ignored.text)")
            XCTAssertNil(ignored.headers["warning"], row.type)
            for query in ["", "&fieldValidation=Warn"] {
                let warned = try ask(row.method, target + query, text: row.body, type: row.type)
                XCTAssertEqual(warned.status, 200, row.type)
                XCTAssertTrue(
                    warned.headers["warning"]?.contains("field \\\"") ?? false, "\(row.type): \(warned.headers)")
            }
        }
        let typed = try merge(path + "/fv", ["spec": ["replicas": "many"]])
        XCTAssertEqual(typed.status, 422, "a value of a wrong type")
        XCTAssertTrue(
            try typed.json["message"].stringValue?.hasPrefix(" \"\" is invalid: patch: Invalid value: ") ?? false,
            typed.text)
    }

    func testHealth() throws {
        for kind in ["livez", "readyz", "healthz"] {
            let verbose = try ask("GET", "/\(kind)?verbose").text
            XCTAssertTrue(verbose.hasPrefix("[+]ping ok\n[+]store ok\n[+]etcd ok\n[+]log ok\n"), verbose)
            for check in ["poststarthook/crd-informer-synced", "autoregister-completion"] {
                XCTAssertTrue(verbose.contains("\n[+]\(check) ok\n"), verbose)
                XCTAssertEqual(try ask("GET", "/\(kind)/\(check)").text, "ok")
            }
            XCTAssertTrue(verbose.hasSuffix("\(kind) check passed\n"), verbose)
            let less = try ask("GET", "/\(kind)?verbose&exclude=etcd&exclude=other").text
            XCTAssertTrue(less.contains("[+]etcd excluded: ok\n"), less)
            XCTAssertTrue(
                less.contains("warn: some health checks cannot be excluded: no matches for \"other\"\n"), less)
            XCTAssertEqual(try ask("GET", "/\(kind)?exclude=other").text, "ok")
            XCTAssertEqual(try ask("GET", "/\(kind)/ping").text, "ok")
            XCTAssertEqual(try ask("GET", "/\(kind)/nothing").status, 404)
        }
    }

    func testMethodsThatAreNotServed() throws {
        let rows: [(method: String, path: String, allowed: String)] = [
            ("PUT", Self.maps, "DELETE, GET, POST"), ("POST", Self.maps + "/a", "DELETE, GET, PATCH, PUT"),
            ("DELETE", "/api/v1/namespaces", "GET, POST"),
            ("DELETE", "/apis/apps/v1/namespaces/default/deployments/x/scale", "GET, PATCH, PUT"),
            ("OPTIONS", Self.maps, "DELETE, GET, POST"),
            // Only one namespace at a time is written to.
            ("POST", "/api/v1/configmaps", "GET"), ("DELETE", "/api/v1/configmaps", "GET"),
            ("DELETE", "/apis/apps/v1/deployments", "GET"),
            ("GET", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "POST"),
        ]
        for row in rows {
            let answer = try ask(row.method, row.path)
            XCTAssertEqual(answer.status, 405, row.path)
            XCTAssertEqual(try answer.json["reason"], "MethodNotAllowed", row.path)
            XCTAssertEqual(answer.headers["allow"], row.allowed, "\(row.method) \(row.path)")
        }
    }

    func testPatchesThatAreNone() throws {
        XCTAssertEqual(try ask("POST", Self.maps, map("patched")).status, 201)
        let step: JSON = ["op": "add", "path": "/data/x", "value": "y"]
        let isInvalid = "the server rejected our request due to an error in our request"
        let rows: [(type: String, body: JSON, code: Int, message: String)] = [
            (
                "json-patch", step, 400,
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            ),
            (
                "json-patch", [1], 400,
                "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"
            ),
            (
                "json-patch", [["op": true]], 400,
                "error decoding patch: json: cannot unmarshal bool into Go struct field jsonPatchOp.op of type string"
            ),
            (
                "merge-patch", [step], 400,
                "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
            ),
            ("merge-patch", .null, 400, "Invalid JSON Patch"),
            (
                "strategic-merge-patch", "x", 400,
                "json: cannot unmarshal string into Go value of type map[string]interface {}"
            ),
            ("strategic-merge-patch", ["data": ["$retainKeys": "x"]], 400, "invalid patch format of retainKeys"),
            (
                "strategic-merge-patch", ["data": ["$patch": "merge", "a": 1]], 500,
                "unknown patch type: merge in map: map[$patch:merge a:1]"
            ),
            (
                "json-patch", JSON(Array(repeating: step, count: 10_001)), 413,
                "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
            ),
            ("json-patch", [["op": "remove", "path": "/data/none"]], 422, isInvalid),
            (
                "merge-patch", ["metadata": ["name": "other"]], 400,
                "the name of the object (other) does not match the name on the URL (patched)"
            ),
            (
                "merge-patch", ["metadata": ["name": .null]], 400,
                "the name of the object (patched based on URL) was undeterminable: name must be provided"
            ),
            (
                "strategic-merge-patch", ["metadata": ["namespace": "other"]], 400,
                "the namespace of the provided object does not match the namespace sent on the request"
            ),
        ]
        for row in rows {
            let answer = try ask("PATCH", Self.maps + "/patched", row.body, type: "application/\(row.type)+json")
            XCTAssertEqual(answer.status, row.code, row.message)
            XCTAssertEqual(try answer.json["message"].stringValue, row.message)
            if row.message == isInvalid { XCTAssertEqual(try answer.json["details"], [:], "kubectl shows the message") }
            guard row.code != 413 else { continue }
            let none = try ask("PATCH", Self.maps + "/none", row.body, type: "application/\(row.type)+json")
            XCTAssertEqual(none.status, 404, "of what is not there nothing else is said: \(row.message)")
        }
        XCTAssertEqual(try ask("GET", Self.maps + "/patched").json["data"], ["k": "v"], "nothing was changed")
    }

    /// What a patch makes of an object is of the kind that it was.
    func testPatchesOfTheKind() throws {
        XCTAssertEqual(try ask("POST", Self.maps, map("kinds")).status, 201)
        let rows: [(type: String, body: JSON, code: Int, words: String, reason: String)] = [
            (
                "merge-patch", ["kind": "Nothing"], 422, "no kind \"Nothing\" is registered for version \"v1\"",
                "no kind"
            ),
            (
                "merge-patch", ["kind": "Secret"], 422,
                "a Secret of v1 cannot be converted to a ConfigMap of v1", "another kind"
            ),
            (
                "json-patch", [["op": "replace", "path": "/apiVersion", "value": "apps/v1"]], 422,
                "no kind \"ConfigMap\" is registered for version \"apps/v1\"", "another group"
            ),
            ("merge-patch", ["kind": .null, "data": ["a": "b"]], 200, "", "none at all is the present one"),
            ("merge-patch", ["kind": "ConfigMap", "apiVersion": "v1"], 200, "", "the same"),
            ("strategic-merge-patch", ["kind": "Secret"], 200, "", "a strategic patch does not say what it is of"),
        ]
        for row in rows {
            let answer = try ask("PATCH", Self.maps + "/kinds", row.body, type: "application/\(row.type)+json")
            XCTAssertEqual(answer.status, row.code, "\(row.reason): \(answer.text)")
            guard row.code != 200 else { continue }
            XCTAssertTrue(try answer.json["message"].stringValue?.hasSuffix(row.words) ?? false, answer.text)
        }
        let object = try ask("GET", Self.maps + "/kinds").json
        XCTAssertEqual(object.kind, "ConfigMap")
        XCTAssertEqual(object["data"], ["k": "v", "a": "b"])
    }

    /// Columns come with the first event of a watch; a list that comes as the events of one is no table.
    func testTablesOfWatches() throws {
        let labels: JSON = ["tables": "yes"]
        for name in ["table-a", "table-b"] {
            var object = map(name)
            object["metadata"]["labels"] = labels
            XCTAssertEqual(try ask("POST", Self.maps, object).status, 201)
        }
        let table = "application/json;as=Table;g=meta.k8s.io;v=v1"
        let path = Self.maps + "?labelSelector=tables%3Dyes"
        for _ in 0..<2 {
            let events = try events(path, headers: ["Accept": table]) {
                $0["object"]["rows"][0]["cells"][0] == "table-b"
            }
            XCTAssertEqual(
                events.map { $0["object"]["columnDefinitions"].count }, [3, 0], "each watch has its first event")
            XCTAssertEqual(events.map { $0["object"]["rows"][0]["cells"][1] }, [1, 1])
        }
        let asList = path + "&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
        XCTAssertEqual(try ask("GET", asList, headers: ["Accept": table]).status, 406)
        let events = try events(
            path + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
            headers: ["Accept": table + ", application/json"]
        ) { $0["type"] == "BOOKMARK" }
        XCTAssertEqual(events.map { $0["object"].kind }, ["ConfigMap", "ConfigMap", "ConfigMap"])
    }

    /// Every answer has a name, the client's own where it gave one.
    func testNamesOfRequests() throws {
        let names = try (0..<3).map { _ in try ask("GET", "/version").headers["audit-id"] ?? "" }
        XCTAssertEqual(Set(names).count, 3)
        for name in names {
            let form = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/
            XCTAssertNotNil(name.wholeMatch(of: form), name)
        }
        XCTAssertEqual(try ask("GET", "/nowhere", headers: ["Audit-ID": "mine"]).headers["audit-id"], "mine")
        let long = String(repeating: "x", count: 65)
        XCTAssertNotEqual(try ask("GET", "/version", headers: ["Audit-ID": long]).headers["audit-id"], long)
    }

    /// The hash that Kubernetes makes of group, version and kind.
    func testStorageVersions() throws {
        let rows: [(list: String, resource: String, hash: String)] = [
            ("/api/v1", "pods", "xPOwRZ+Yhw8="), ("/apis/apps/v1", "deployments", "8aSe+NMegvE="),
            ("/apis/events.k8s.io/v1/", "events", "r2yiGXH7wu8="),
        ]
        for row in rows {
            let found = try ask("GET", row.list).json["resources"].arrayValue.first {
                $0["name"].stringValue == row.resource
            }
            XCTAssertEqual(found?["storageVersionHash"].stringValue, row.hash, row.resource)
        }
    }

    func testMediaTypes() throws {
        let patch = try ask("PATCH", Self.maps + "/a", [:], type: "application/json")
        XCTAssertEqual(patch.status, 415)
        XCTAssertEqual(
            try patch.json["message"].stringValue,
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
        )
        XCTAssertEqual(try ask("POST", Self.maps, text: "<a/>", type: "text/xml").status, 415)
        XCTAssertEqual(try ask("GET", Self.maps, headers: ["Accept": "text/xml"]).status, 406)
        XCTAssertEqual(
            try ask("GET", Self.maps, headers: ["Accept": "application/cbor, application/json;q=0.5"]).status, 200)
        let table = ["Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"]
        XCTAssertEqual(try ask("GET", Self.maps + "?includeObject=Object", headers: table).status, 200)
        let odd = try ask("GET", Self.maps + "?includeObject=Half", headers: table)
        XCTAssertEqual(odd.status, 400)
        XCTAssertEqual(
            try odd.json["message"].stringValue,
            "Unable to convert to Table as requested: includeObject: Invalid value: \"Half\": must be 'Metadata', 'Object', 'None', or empty"
        )
    }

    /// The series by which dashboards of Kubernetes count.
    func testMetrics() throws {
        let name = "metrics-\(UInt32.random(in: 0 ... .max))"
        try ask("POST", Self.maps, map(name))
        try ask("GET", "\(Self.maps)/\(name)")
        try apply("\(Self.maps)/\(name)", map(name), manager: "m")
        try ask("GET", "/api/v1/configmaps?limit=1")
        try ask("DELETE", "\(Self.maps)/\(name)?dryRun=All")
        try ask("GET", "/apis/apps/v1/namespaces/default/deployments/nowhere/scale")
        let text = try ask("GET", "/metrics").text
        func labels(
            _ code: Int, _ verb: String, _ resource: String, scope: String, dryRun: String = "", group: String = "",
            subresource: String = ""
        ) -> String {
            "apiserver_request_total{code=\"\(code)\",component=\"apiserver\",dry_run=\"\(dryRun)\",group=\"\(group)\",resource=\"\(resource)\","
                + "scope=\"\(scope)\",subresource=\"\(subresource)\",verb=\"\(verb)\",version=\"v1\"}"
        }
        for series in [
            labels(201, "POST", "configmaps", scope: "resource"), labels(200, "GET", "configmaps", scope: "resource"),
            labels(200, "APPLY", "configmaps", scope: "resource"), labels(200, "LIST", "configmaps", scope: "cluster"),
            labels(200, "DELETE", "configmaps", scope: "resource", dryRun: "All"),
            labels(404, "GET", "deployments", scope: "resource", group: "apps", subresource: "scale"),
        ] { XCTAssertTrue(text.contains(series), series) }
        XCTAssertTrue(
            text.contains(
                "apiserver_request_duration_seconds_count{component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"}"
            ))
    }
}
