import Glibc
import Objects
import PluginKit
import XCTest

@testable import API

/// The whole plugin over the real store: requests as clients and plugins send them.
final class APIServerTests: XCTestCase {
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private let maps = "/api/v1/namespaces/default/configmaps"

    private func map(_ name: String, _ value: String = "v", labels: JSON = [:]) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name), "labels": labels],
            "data": ["k": .string(value)],
        ]
    }

    private let deployment: JSON = [
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"],
        "spec": [
            "selector": ["matchLabels": ["app": "web"]],
            "template": [
                "metadata": ["labels": ["app": "web"]], "spec": ["containers": [["name": "c", "image": "i:1"]]],
            ],
        ],
    ]

    // MARK: - Objects

    func testLifeOfAnObject() throws {
        let created = try server.request("POST", maps, map("a"))
        XCTAssertEqual(created.status, 201)
        let first = try created.json
        XCTAssertFalse(first.uid.isEmpty)
        XCTAssertNotNil(first.creationTimestamp)
        XCTAssertFalse(first.resourceVersion.isEmpty)
        XCTAssertEqual(try server.request("GET", maps + "/a").json, first, "stored bytes are what was answered")
        XCTAssertEqual(try server.request("POST", maps, map("a")).status, 409)

        var changed = first
        changed["data"]["k"] = "w"
        let updated = try server.request("PUT", maps + "/a", changed)
        XCTAssertEqual(updated.status, 200)
        XCTAssertNotEqual(try updated.json.resourceVersion, first.resourceVersion)
        let stale = try server.request("PUT", maps + "/a", changed.with("data", ["k": "x"]))
        XCTAssertEqual(stale.status, 409)
        XCTAssertEqual(
            try stale.json["message"].stringValue,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to "
                + "the latest version and try again")
        let same = try server.request("PUT", maps + "/a", try updated.json)
        XCTAssertEqual(try same.json.resourceVersion, try updated.json.resourceVersion, "no change is no write")

        let patched = try server.request(
            "PATCH", maps + "/a", ["data": ["n": "1"]], headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(try patched.json["data"], ["k": "w", "n": "1"])
        let operations: JSON = [["op": "test", "path": "/data/n", "value": "1"], ["op": "remove", "path": "/data/n"]]
        XCTAssertEqual(
            try server.request(
                "PATCH", maps + "/a", operations, headers: ["Content-Type": "application/json-patch+json"]
            )
            .json["data"], ["k": "w"])
        let deleted = try server.request("DELETE", maps + "/a")
        XCTAssertEqual(try deleted.json["status"], "Success")
        XCTAssertEqual(try server.request("GET", maps + "/a").status, 404)
        XCTAssertEqual(try server.request("DELETE", maps + "/a").status, 404)
    }

    func testDefaultsGenerationStatusAndScale() throws {
        let path = "/apis/apps/v1/namespaces/default/deployments"
        let created = try server.request("POST", path, deployment.with("status", ["replicas": 7])).json
        XCTAssertEqual(created["spec"]["replicas"], 1)
        XCTAssertEqual(created["spec"]["template"]["spec"]["restartPolicy"], "Always")
        XCTAssertEqual(created["status"], [:])
        XCTAssertEqual(created.generation, 1)
        let status = try server.request(
            "PUT", path + "/web/status", created.with("status", ["replicas": 3]).with("spec", created["spec"])
        ).json
        XCTAssertEqual(status["status"]["replicas"], 3)
        XCTAssertEqual(status.generation, 1)
        let scale = try server.request("GET", path + "/web/scale").json
        XCTAssertEqual(scale["status"]["selector"], "app=web")
        let scaled = try server.request("PUT", path + "/web/scale", scale.with("spec", ["replicas": 4]))
        XCTAssertEqual(scaled.status, 200)
        XCTAssertEqual(try scaled.json["spec"]["replicas"], 4)
        XCTAssertEqual(try server.request("GET", path + "/web").json.generation, 2)
        let merged = try server.request(
            "PATCH", path + "/web",
            ["spec": ["template": ["spec": ["containers": [["name": "c", "env": [["name": "A", "value": "1"]]]]]]]],
            headers: ["Content-Type": "application/strategic-merge-patch+json"]
        ).json
        XCTAssertEqual(merged["spec"]["template"]["spec"]["containers"][0]["image"], "i:1", "merged by name")
        XCTAssertEqual(merged.generation, 3)
    }

    func testNamesAndNamespaces() throws {
        let generated = try server.request(
            "POST", maps, ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["generateName": "a-"]]
        ).json
        XCTAssertTrue(generated.name.hasPrefix("a-") && generated.name.utf8.count == 7)
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces/none/configmaps", map("a")).status, 404)
        XCTAssertEqual(try server.request("POST", maps, map("Bad_Name")).status, 422)
        XCTAssertEqual(
            try server.request("POST", maps, map("a").with("metadata", ["namespace": "other", "name": "a"])).status, 400
        )
        let namespace: JSON = ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "n"]]
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces", namespace).status, 201)
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/n/serviceaccounts/default").status, 200)
        XCTAssertEqual(try server.request("DELETE", "/api/v1/namespaces/n").json["status"]["phase"], "Terminating")
        let refused = try server.request("POST", "/api/v1/namespaces/n/configmaps", map("a"))
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(try refused.json["details"]["causes"][0]["reason"], "NamespaceTerminating")
        let present = try server.request("GET", "/api/v1/namespaces/n").json
        XCTAssertEqual(
            try server.request("PUT", "/api/v1/namespaces/n/finalize", present.with("spec", [:])).status, 200)
        XCTAssertEqual(try server.request("GET", "/api/v1/namespaces/n").status, 404)
        XCTAssertEqual(try server.request("DELETE", "/api/v1/namespaces/default").status, 403)
    }

    func testDryRunAndFieldValidation() throws {
        XCTAssertEqual(try server.request("POST", maps + "?dryRun=All", map("dry")).status, 201)
        XCTAssertEqual(try server.request("GET", maps + "/dry").status, 404)
        let unknown = map("a").with("foo", 1)
        let warned = try server.request("POST", maps + "?dryRun=All", unknown)
        XCTAssertEqual(warned.headers["warning"], #"299 - "unknown field \"foo\"""#)
        XCTAssertNil(
            try server.request("POST", maps + "?dryRun=All&fieldValidation=Ignore", unknown).headers["warning"])
        let strict = try server.request("POST", maps + "?fieldValidation=Strict", unknown)
        XCTAssertEqual(strict.status, 400)
        XCTAssertTrue(try strict.json["message"].stringValue?.contains("unknown field \"foo\"") ?? false)
        XCTAssertEqual(
            try server.request("POST", maps, map("a").with("data", ["k": 1])).status, 400, "a value of a wrong type")
    }

    func testAdvice() throws {
        let service: JSON = [
            "apiVersion": "v1", "kind": "Service", "metadata": ["name": "a"],
            "spec": ["ports": [["port": 80]], "externalName": "x.example.com"],
        ]
        let text = #"299 - "spec.externalName is ignored when spec.type is not \"ExternalName\"""#
        let services = "/api/v1/namespaces/default/services"
        let created = try server.request("POST", services, service)
        XCTAssertEqual(created.headers["warning"], text, created.text)
        let patch = ["Content-Type": "application/merge-patch+json"]
        XCTAssertEqual(
            try server.request("PATCH", services + "/a", ["metadata": ["labels": ["a": "b"]]], headers: patch).headers[
                "warning"], text)
        XCTAssertNil(
            try server.request("PATCH", services + "/a", ["spec": ["externalName": .null]], headers: patch).headers[
                "warning"])
        XCTAssertEqual(
            try server.request("GET", "/api/v1/endpoints").headers["warning"],
            #"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#)
    }

    /// The words that clients of Kubernetes look for.
    func testRepeatedKeys() throws {
        let twice = #"{"metadata":{"name":"twice"},"x":1,"data":{"k":"a","k":"b"}}"#
        let path = maps + "?dryRun=All"
        let lenient = try server.request("POST", path + "&fieldValidation=Ignore", bytes: Array(twice.utf8))
        XCTAssertEqual(lenient.status, 201, lenient.text)
        XCTAssertEqual(try lenient.json["data"], ["k": "b"], "the last value counts")
        XCTAssertNil(lenient.headers["warning"])
        let strict = try server.request("POST", path + "&fieldValidation=Strict", bytes: Array(twice.utf8))
        XCTAssertEqual(strict.status, 400)
        XCTAssertTrue(
            strict.text.contains(#"strict decoding error: unknown field \"x\", duplicate field \"data.k\""#),
            strict.text)
        let yaml = "\nmetadata:\n  name: twice\ndata:\n  k: a\n  k: b\n"
        let headers = ["Content-Type": "application/yaml"]
        let warned = try server.request("POST", path, bytes: Array(yaml.utf8), headers: headers)
        XCTAssertEqual(warned.status, 201, warned.text)
        XCTAssertEqual(warned.headers["warning"], #"299 - "line 6: key \"k\" already set in map""#)
        let applied = "apiVersion: v1\nkind: ConfigMap\n" + yaml
        let target = maps + "/twice?fieldManager=m&dryRun=All"
        let type = ["Content-Type": "application/apply-patch+yaml"]
        for (query, status) in [("", 201), ("&fieldValidation=Ignore", 201), ("&fieldValidation=Strict", 400)] {
            let answer = try server.request("PATCH", target + query, bytes: Array(applied.utf8), headers: type)
            XCTAssertEqual(answer.status, status, answer.text)
            let told = query.isEmpty ? answer.headers["warning"] ?? "" : status == 400 ? answer.text : ""
            XCTAssertEqual(told.contains(#"line 8: key \"k\" already set in map"#), !query.hasSuffix("Ignore"), told)
        }
    }

    func testAnswersAreNoTables() throws {
        let review: JSON = ["spec": ["nonResourceAttributes": ["path": "/", "verb": "get"]]]
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io"
        XCTAssertEqual(try server.request("POST", path, review, headers: ["Accept": table]).status, 406)
        XCTAssertEqual(
            try server.request("POST", path, review, headers: ["Accept": table + ",application/json"]).status, 201)
    }

    func testListsPagesAndSelectors() throws {
        for number in 0..<5 {
            _ = try server.request("POST", maps, map("m\(number)", labels: ["n": .string("\(number)")]))
        }
        let first = try server.request("GET", maps + "?limit=2").json
        XCTAssertEqual(first["items"].arrayValue.map(\.name), ["m0", "m1"])
        XCTAssertEqual(first.metadata["remainingItemCount"], 3)
        let token = try XCTUnwrap(first.metadata["continue"].stringValue)
        _ = try server.request("POST", maps, map("m11"))
        let second = try server.request("GET", maps + "?limit=9&continue=\(token)").json
        XCTAssertEqual(second["items"].arrayValue.map(\.name), ["m2", "m3", "m4"], "as it was at the first page")
        XCTAssertEqual(
            try server.request("GET", maps + "?labelSelector=n+in+(1,3)").json["items"].arrayValue.map(\.name),
            ["m1", "m3"])
        XCTAssertEqual(
            try server.request("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dm4").json["items"].arrayValue
                .count, 1)
        XCTAssertEqual(try server.request("GET", maps + "?fieldSelector=data.k%3D1").status, 400)
        XCTAssertEqual(try server.request("GET", maps + "?continue=x").status, 400)
        let revision = try XCTUnwrap(first.metadata["resourceVersion"].stringValue)
        XCTAssertEqual(
            try server.request("GET", maps + "?resourceVersion=\(revision)&resourceVersionMatch=Exact").json["items"]
                .arrayValue.count, 5)
        XCTAssertEqual(try server.request("GET", maps + "?resourceVersion=99999999").status, 504)
        let gone = try server.request("DELETE", maps + "?labelSelector=n")
        XCTAssertEqual(try gone.json["items"].arrayValue.count, 5)
        XCTAssertEqual(try server.request("GET", maps).json["items"].arrayValue.map(\.name), ["m11"])
    }

    func testTablesAndPartialObjects() throws {
        _ = try server.request("POST", maps, map("a"))
        let table = try server.request(
            "GET", maps, headers: ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"])
        XCTAssertEqual(table.headers["content-type"], "application/json")
        XCTAssertEqual(
            try table.json["columnDefinitions"].arrayValue.compactMap { $0["name"].stringValue },
            ["Name", "Data", "Age"])
        XCTAssertEqual(try table.json["rows"][0]["cells"][0], "a")
        XCTAssertEqual(try table.json["rows"][0]["object"].kind, "PartialObjectMetadata")
        let partial = try server.request(
            "GET", maps, headers: ["Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"]
        ).json
        XCTAssertEqual(partial.kind, "PartialObjectMetadataList")
        XCTAssertTrue(partial["items"][0]["data"].isNull)
        XCTAssertEqual(
            try server.request("GET", maps, headers: ["Accept": "application/xml"]).status, 406)
    }

    // MARK: - Watches

    func testWatch() throws {
        let before = try server.request("POST", maps, map("a", labels: ["x": "1"])).json
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(maps)?watch=1&labelSelector=x%3D1&resourceVersion=\(before.resourceVersion)&allowWatchBookmarks=true HTTP/1.1\r\n"
                + "Host: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        _ = try server.request("POST", maps, map("b", labels: ["x": "1"]))
        _ = try server.request("POST", maps, map("c", labels: ["x": "2"]))
        _ = try server.request("PUT", maps + "/a", map("a", labels: ["x": "2"]))
        _ = try server.request("PUT", maps + "/c", map("c", labels: ["x": "1"]))
        _ = try server.request("PUT", maps + "/c", map("c", "w", labels: ["x": "1"]))
        _ = try server.request("DELETE", maps + "/c")
        var seen: [String] = []
        while seen.count < 5, let event = try client.event() {
            guard event["type"] != "BOOKMARK" else { continue }
            seen.append("\(event["type"].stringValue ?? "") \(event["object"].name)")
        }
        XCTAssertEqual(seen, ["ADDED b", "DELETED a", "ADDED c", "MODIFIED c", "DELETED c"])
    }

    func testWatchBeginsWithWhatIsThereAndEndsInTime() throws {
        _ = try server.request("POST", maps, map("a"))
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(maps)?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
                + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        _ = try client.response(headOnly: true)
        XCTAssertEqual(try client.event()?["type"], "ADDED")
        let mark = try XCTUnwrap(try client.event())
        XCTAssertEqual(mark["type"], "BOOKMARK")
        XCTAssertEqual(mark["object"].annotations["k8s.io/initial-events-end"], "true")
        while let event = try client.event() { XCTAssertEqual(event["type"], "BOOKMARK") }
        XCTAssertEqual(try client.request("GET", maps + "/a").status, 200, "the connection goes on after the watch")
    }

    func testWatchAsTable() throws {
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(maps)?watch=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
                + "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n\r\n")
        _ = try client.response(headOnly: true)
        _ = try server.request("POST", maps, map("t"))
        let event = try XCTUnwrap(try client.event())
        XCTAssertEqual(event["object"].kind, "Table")
        XCTAssertEqual(event["object"]["rows"][0]["cells"][0], "t")
    }

    // MARK: - Pods and services

    private func pod(_ name: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name)],
            "spec": ["containers": [["name": "c", "image": "i"]]],
        ]
    }

    func testPodsAreAdmittedBoundAndDeletedGracefully() throws {
        let pods = "/api/v1/namespaces/default/pods"
        let created = try server.request("POST", pods, pod("p")).json
        XCTAssertEqual(created["spec"]["serviceAccountName"], "default")
        XCTAssertEqual(created["spec"]["tolerations"].arrayValue.count, 2)
        XCTAssertEqual(created["spec"]["priority"], 0)
        XCTAssertEqual(created["spec"]["volumes"].arrayValue.count, 1)
        XCTAssertEqual(created["status"]["phase"], "Pending")
        let binding: JSON = [
            "apiVersion": "v1", "kind": "Binding", "metadata": ["name": "p"], "target": ["kind": "Node", "name": "n1"],
        ]
        XCTAssertEqual(try server.inProcess("POST", pods + "/p/binding", binding).code, 201)
        XCTAssertEqual(try server.inProcess("POST", pods + "/p/binding", binding).code, 409, "it has a node")
        let bound = try server.request("GET", pods + "/p").json
        XCTAssertEqual(bound["spec"]["nodeName"], "n1")
        XCTAssertEqual(bound["status"]["conditions"][0]["type"], "PodScheduled")
        let pending = try server.request("DELETE", pods + "/p").json
        XCTAssertEqual(pending.metadata["deletionGracePeriodSeconds"], 30)
        XCTAssertNotNil(pending.deletionTimestamp)
        let options: JSON = ["gracePeriodSeconds": 0, "preconditions": ["uid": "other"]]
        XCTAssertEqual(try server.inProcess("DELETE", pods + "/p", options).code, 409)
        XCTAssertEqual(
            try server.inProcess("DELETE", pods + "/p", options.with("preconditions", ["uid": .string(created.uid)]))
                .code, 200)
        XCTAssertEqual(try server.request("GET", pods + "/p").status, 404)
        XCTAssertEqual(
            try server.request(
                "POST", pods,
                pod("q").with("spec", ["serviceAccountName": "none", "containers": [["name": "c", "image": "i"]]])
            ).status,
            403)
    }

    func testServicesGetAddressesOnce() throws {
        let services = "/api/v1/namespaces/default/services"
        func service(_ name: String, _ spec: JSON) -> JSON {
            ["apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)], "spec": spec]
        }
        let ports: JSON = [["port": 80]]
        let fixed = service("a", ["clusterIP": "10.96.0.20", "ports": ports])
        XCTAssertEqual(try server.request("POST", services, fixed).status, 201)
        let twice = try server.request("POST", services, service("b", ["clusterIP": "10.96.0.20", "ports": ports]))
        XCTAssertEqual(twice.status, 422)
        XCTAssertTrue(twice.text.contains("provided IP is already allocated"), twice.text)
        XCTAssertEqual(
            try server.request("POST", services, service("b", ["clusterIP": "10.1.0.1", "ports": ports])).status, 422)
        XCTAssertEqual(try server.request("DELETE", services + "/a").status, 200)
        XCTAssertEqual(try server.request("POST", services, fixed).status, 201, "given back")
        let node = try server.request("POST", services, service("n", ["type": "NodePort", "ports": ports])).json
        let port = try XCTUnwrap(node["spec"]["ports"][0]["nodePort"].integerValue)
        XCTAssertTrue(ServiceAllocator.nodePorts.contains(port))
        let patched = try server.request(
            "PATCH", services + "/n", ["spec": ["ports": [["port": 80, "targetPort": 8080]]]],
            headers: ["Content-Type": "application/merge-patch+json"]
        ).json
        XCTAssertEqual(patched["spec"]["ports"][0]["nodePort"].integerValue, port, "kept")
        let headless = try server.request("POST", services, service("h", ["clusterIP": "None", "ports": ports])).json
        XCTAssertEqual(headless["spec"]["clusterIPs"], ["None"])
    }

    func testConcurrentWritersLoseNothing() throws {
        _ = try server.request("POST", maps, map("counter", "0"))
        // SAFETY: the client is usable from any thread, and the server outlives the threads, which are joined.
        nonisolated(unsafe) let server = try XCTUnwrap(server)
        let path = maps + "/counter"
        var threads: [LoopThread] = []
        for worker in 0..<64 {
            threads.append(
                try LoopThread(name: "writer") {
                    for round in 0..<10 {
                        let patch: JSON = ["data": .object(["w\(worker)-\(round)": "x"])]
                        let answer = try? server.inProcess("PATCH application/merge-patch+json", path, patch)
                        XCTAssertEqual(answer?.code, 200)
                    }
                })
        }
        for thread in threads { thread.join() }
        XCTAssertEqual(try server.inProcess("GET", path).json["data"].objectValue?.count, 641)
    }

    // MARK: - Who may what

    func testAuthentication() throws {
        XCTAssertEqual(try server.request("GET", maps, token: nil).status, 401, "nobody")
        XCTAssertEqual(try server.request("GET", maps, token: "wrong").status, 401)
        XCTAssertEqual(try server.request("GET", "/livez", token: nil).text, "ok")
        XCTAssertEqual(try server.request("GET", "/version", token: nil).json["minor"], "36")
        let tokenPath = "/api/v1/namespaces/default/serviceaccounts/default/token"
        let review: JSON = [
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": ["expirationSeconds": 3600],
        ]
        let answer = try server.request("POST", tokenPath, review)
        let token = try XCTUnwrap(answer.json["status"]["token"].stringValue)
        let denied = try server.request("GET", maps, token: token)
        XCTAssertEqual(
            try denied.json["message"].stringValue,
            "configmaps is forbidden: User \"system:serviceaccount:default:default\" cannot list resource \"configmaps\" in "
                + "API group \"\" in the namespace \"default\"")
        let binding: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": "b"],
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"],
            "subjects": [["kind": "ServiceAccount", "name": "default", "namespace": "default"]],
        ]
        XCTAssertEqual(
            try server.request("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding)
                .status, 201)
        try server.eventually("the binding takes effect") {
            try server.request("GET", maps, token: token).status == 200
        }
        _ = try server.request("DELETE", "/api/v1/namespaces/default/serviceaccounts/default")
        XCTAssertEqual(try server.request("GET", maps, token: token).status, 401, "its account is gone")
    }

    func testNobodyGrantsMoreThanTheyMay() throws {
        let root = "/apis/rbac.authorization.k8s.io/v1"
        func binding(_ name: String, _ role: String, _ user: String) -> JSON {
            [
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": ["name": .string(name)],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(role)],
                "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": .string(user)]],
            ]
        }
        let path = root + "/namespaces/default/rolebindings"
        XCTAssertEqual(try server.request("POST", path, binding("a", "admin", "ann")).status, 201)
        let asAnn = ["Impersonate-User": "ann"]
        try server.eventually("the binding takes effect") {
            try server.request("GET", path, headers: asAnn).status == 200
        }
        XCTAssertEqual(try server.request("POST", path, binding("b", "view", "bob"), headers: asAnn).status, 201)
        let more = try server.request("POST", path, binding("c", "cluster-admin", "bob"), headers: asAnn)
        XCTAssertEqual(more.status, 403)
        XCTAssertTrue(more.text.contains("not currently held"), more.text)
        let role: JSON = [
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": ["name": "r"],
            "rules": [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]],
        ]
        XCTAssertEqual(try server.request("POST", root + "/namespaces/default/roles", role, headers: asAnn).status, 403)
    }

    func testClientCertificates() throws {
        func credential(_ name: String) throws -> (certificate: [UInt8], key: [UInt8]) {
            (
                try AtomicFile.read(server.directory + "/pki/\(name).crt"),
                try AtomicFile.read(server.directory + "/pki/\(name).key")
            )
        }
        let admin = try credential("admin")
        let client = try TLSClient(port: server.port, certificate: admin.certificate, key: admin.key)
        defer { client.close() }
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        let review: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
        let answer = try client.request("POST", path, body: review.serialized(), token: nil)
        XCTAssertEqual(try answer.json["status"]["userInfo"]["username"], "kubernetes-admin")
        let stranger = try CertificateAuthority.create(commonName: "other").issue(
            commonName: "kubernetes-admin", organizations: ["system:masters"], usage: .client)
        let other = try TLSClient(port: server.port, certificate: stranger.certificate, key: stranger.key)
        defer { other.close() }
        XCTAssertEqual(try other.request("GET", maps, token: nil).status, 401)
    }

    // MARK: - Discovery

    func testDiscovery() throws {
        XCTAssertEqual(try server.request("GET", "/api").json["versions"], ["v1"])
        let list = try server.request("GET", "/apis/apps/v1").json
        XCTAssertTrue(
            list["resources"].arrayValue.contains { $0["name"] == "deployments/scale" && $0["kind"] == "Scale" })
        let aggregated = try server.request(
            "GET", "/apis",
            headers: ["Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"]
        )
        XCTAssertEqual(
            aggregated.headers["content-type"], "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        XCTAssertEqual(try aggregated.json.apiVersion, "apidiscovery.k8s.io/v2")
        XCTAssertEqual(try server.request("GET", "/apis/none").status, 404)
        XCTAssertEqual(try server.request("GET", "/api/v1/nones").status, 404)
        XCTAssertEqual(try server.request("POST", maps + "/a", [:]).status, 405)
        XCTAssertTrue(try server.request("GET", "/openapi/v3").json["paths"]["apis/apps/v1"].exists)
        XCTAssertTrue(try server.request("GET", "/readyz?verbose").text.contains("[+]store ok"))
        let restarted = try server.inProcess("GET", "/version")
        XCTAssertEqual(restarted.json["gitVersion"], "v1.36.0+hostd")
    }
}

extension JSON {
    func with(_ key: String, _ value: JSON) -> JSON {
        var copy = self
        copy[key] = value
        return copy
    }
}
