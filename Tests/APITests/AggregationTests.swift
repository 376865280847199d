import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// API groups that another server answers for.
final class AggregationTests: XCTestCase {
    private static let services = "/apis/apiregistration.k8s.io/v1/apiservices"
    private static let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    private static let group = "things.example.com"
    private static let name = "v1.things.example.com"
    private static let root = "/apis/things.example.com/v1"
    private static let things = root + "/namespaces/default/things"
    /// Whether the other server's index of OpenAPI documents cannot be read.
    private static let isBroken = Mutex(false)
    private var server: TestServer!
    private var extra: TestHTTPSServer!
    private let pods = TestPods()

    override func setUpWithError() throws {
        server = try TestServer()
        let routes = try XCTUnwrap(server.plugin.provider.pipeline).extensions
        routes.add(plugin: "pods", try pods.routes(), provider: pods)
        extra = try TestHTTPSServer(
            names: ["DNS:extra.default.svc"],
            clientAuthority: try AtomicFile.read(server.directory + "/pki/front-proxy-ca.crt"), Self.answer)
        pods.serve(8443, .server(extra.port))
        try put(
            "services/default/extra",
            [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": "extra", "namespace": "default"],
                "spec": ["ports": [["name": "https", "port": 443], ["name": "other", "port": 444]]],
            ])
    }

    override func tearDownWithError() throws {
        try server.stop()
        try extra.stop()
        pods.join()
    }

    private func put(_ key: String, _ object: JSON) throws {
        _ = try server.store.create(key, value: object.serialized(), index: [])
    }

    /// The other server: it shows what it was asked and by whom.
    @Sendable private static func answer(_ exchange: HTTPExchange) {
        let target = exchange.head.target
        switch target {
        case root:
            exchange.respond(
                .json(
                    200,
                    [
                        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": .string("\(group)/v1"),
                        "resources": [
                            [
                                "name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing",
                                "verbs": ["get", "list"], "shortNames": ["th"],
                            ],
                            [
                                "name": "things/scale", "singularName": "", "namespaced": true, "kind": "Scale",
                                "group": "autoscaling", "version": "v1", "verbs": ["get"],
                            ],
                        ],
                    ]))
        case "/openapi/v2":
            let reference: JSON = ["$ref": "#/definitions/com.example.things.v1.Thing"]
            exchange.respond(
                .json(
                    200,
                    [
                        "swagger": "2.0",
                        "paths": [
                            "/apis/things.example.com/v1/namespaces/default/things/{name}": [
                                "patch": [
                                    "parameters": [
                                        ["$ref": "#/parameters/manager"],
                                        ["name": "body", "in": "body", "schema": reference],
                                    ],
                                    "x-kubernetes-group-version-kind": [
                                        "group": .string(group), "version": "v1", "kind": "Thing",
                                    ],
                                ]
                            ], "/apis/other.example.com/v1/x": ["get": [:]],
                        ],
                        "parameters": ["manager": ["name": "fieldManager", "in": "query"]],
                        "definitions": [
                            "com.example.things.v1.Thing": [
                                "properties": [
                                    "metadata": [
                                        "$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
                                    ]
                                ]
                            ], "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": ["description": "theirs"],
                            "com.example.other.v1.X": [:],
                        ],
                    ]))
        case "/openapi/v3" where isBroken.withLock({ $0 }): exchange.respond(.text(500, "not now"))
        case "/openapi/v3":
            let place: JSON = ["serverRelativeURL": .string("/openapi/v3\(root)?hash=ABC")]
            exchange.respond(.json(200, ["paths": ["apis/things.example.com/v1": place]]))
        case _ where target.contains("watch=true"):
            let stream = HTTPBodyStream()
            exchange.respond(HTTPResponse(status: 200, body: .stream(stream)))
            stream.write { $0 += Array("{\"type\":\"ADDED\"}\n".utf8) }
        default:
            var headers: JSONObject = [:]
            for (name, value) in exchange.head.allHeaders {
                headers[name] = .array((headers[name]?.arrayValue ?? []) + [.string(value)])
            }
            let certificate = exchange.certificate
            exchange.respond(
                .json(
                    200,
                    [
                        "kind": "Thing", "method": .string(exchange.head.method), "target": .string(target),
                        "headers": .object(headers), "body": .string(String(decoding: exchange.body, as: UTF8.self)),
                        "proxy": .string(certificate?.isTrusted == true ? certificate?.commonName ?? "" : "nobody"),
                    ]))
        }
    }

    private func apiService(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var object: JSON = [
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": ["name": .string(Self.name)],
            "spec": [
                "group": .string(Self.group), "version": "v1", "groupPriorityMinimum": 17750, "versionPriority": 10,
                "service": ["namespace": "default", "name": "extra"], "caBundle": extra.caBundle,
            ],
        ]
        change(&object)
        return object
    }

    private func slice(port: Int64 = 8443) -> JSON {
        [
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": ["name": "extra-1", "labels": ["kubernetes.io/service-name": "extra"]],
            "endpoints": [
                [
                    "addresses": ["10.244.0.7"], "conditions": ["ready": true],
                    "targetRef": ["kind": "Pod", "name": "extra-0", "namespace": "default"],
                ]
            ], "ports": [["name": "https", "port": .integer(port)]],
        ]
    }

    private func create(_ path: String, _ object: JSON) throws {
        let answer = try server.request("POST", path, object)
        XCTAssertEqual(answer.status, 201, answer.text)
    }

    private func condition() throws -> JSON {
        try server.request("GET", Self.services + "/" + Self.name).json["status"]["conditions"][0]
    }

    private func awaitReason(_ reason: String) throws {
        try server.eventually("the reason is \(reason)") { try condition()["reason"].stringValue == reason }
    }

    private func serve() throws {
        try create(Self.slices, slice())
        try create(Self.services, apiService())
        try awaitReason("Passed")
    }

    // MARK: - The server's own

    func testTheServersOwnGroupsHaveObjects() throws {
        var names: Set<String> = []
        try server.eventually("all objects are there") {
            let items = try server.request("GET", Self.services).json["items"].arrayValue
            names = Set(items.map(\.name))
            return names.isSuperset(of: ["v1.", "v1.apps", "v2.autoscaling", "v1.rbac.authorization.k8s.io"])
        }
        XCTAssertFalse(names.contains("v1.apiregistration.k8s.io"))
        let apps = try server.request("GET", Self.services + "/v1.apps").json
        XCTAssertEqual(
            apps["spec"], ["group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15])
        XCTAssertEqual(apps.labels[LocalAPIServices.label], "onstart")
        XCTAssertEqual(apps["status"]["conditions"][0]["reason"], "Local")
        XCTAssertEqual(apps["status"]["conditions"][0]["status"], "True")

        XCTAssertEqual(try server.request("DELETE", Self.services + "/v1.apps").status, 200)
        try server.eventually("it is made again") {
            let object = try server.request("GET", Self.services + "/v1.apps")
            return object.status == 200 && object.text.contains("17800") && !object.text.contains(apps.uid)
        }
        let patch = try server.request(
            "PATCH", Self.services + "/v1.apps", ["spec": ["groupPriorityMinimum": 5]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(patch.status, 200, patch.text)
        try server.eventually("it is put right again") {
            try server.request("GET", Self.services + "/v1.apps").json["spec"]["groupPriorityMinimum"] == 17800
        }
    }

    func testCustomGroupsHaveObjects() throws {
        try create(CustomDefinitions.path, CustomDefinitions.widgets())
        let place = Self.services + "/v1.example.com"
        try server.eventually("the object is there") { try server.request("GET", place).status == 200 }
        let object = try server.request("GET", place).json
        XCTAssertEqual(object.labels[LocalAPIServices.label], "true")
        XCTAssertEqual(object["spec"]["groupPriorityMinimum"], 1000)
        XCTAssertEqual(object["spec"]["versionPriority"], 100)
        XCTAssertEqual(try server.request("DELETE", CustomDefinitions.path + "/widgets.example.com").status, 200)
        try server.eventually("it goes with its definition") { try server.request("GET", place).status == 404 }
    }

    // MARK: - Carried on

    func testRequestsAreCarriedOn() throws {
        try serve()
        let answer = try server.request(
            "POST", Self.things + "/x%2Fy?a=%20b", ["k": 1],
            headers: ["X-Remote-User": "somebody", "X-Remote-Group": "system:masters", "X-Own": "1"])
        let seen = try answer.json
        XCTAssertEqual(answer.status, 200, answer.text)
        XCTAssertEqual(seen["method"], "POST")
        XCTAssertEqual(seen["target"].stringValue, Self.things + "/x%2Fy?a=%20b")
        XCTAssertEqual(seen["body"], #"{"k":1}"#)
        XCTAssertEqual(seen["proxy"], "front-proxy-client", "this server's certificate")
        let headers = seen["headers"]
        XCTAssertEqual(headers["x-remote-user"], ["kubernetes-admin"])
        XCTAssertEqual(headers["x-remote-group"], ["system:masters", "system:authenticated"])
        XCTAssertEqual(headers["host"], ["extra.default.svc"])
        XCTAssertEqual(headers["x-own"], ["1"])
        XCTAssertFalse(headers["authorization"].exists)
        XCTAssertEqual(Set(pods.connections), ["default/extra-0 10.244.0.7:8443"])

        XCTAssertEqual(try server.request("GET", Self.root).json["kind"], "APIResourceList")
        let inProcess = try server.inProcess("GET", Self.things)
        XCTAssertEqual(inProcess.code, 200)
        XCTAssertEqual(inProcess.json["headers"]["x-remote-user"], ["system:hostd"])

        let client = try server.connect()
        defer { client.close() }
        client.send(
            "GET \(Self.things)?watch=true HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\n\r\n")
        XCTAssertEqual(try client.response(headOnly: true).status, 200)
        XCTAssertEqual(try client.event()?["type"], "ADDED", "while the watch goes on")
    }

    func testWhoMayIsDecidedHere() throws {
        try serve()
        let asAnn = ["Impersonate-User": "ann", "Impersonate-Group": "people"]
        let refused = try server.request("GET", Self.things + "/x", headers: asAnn)
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"].stringValue,
            "things.things.example.com \"x\" is forbidden: User \"ann\" cannot get resource \"things\" in API group "
                + "\"things.example.com\" in the namespace \"default\"")
        let root = "/apis/rbac.authorization.k8s.io/v1"
        try create(
            root + "/clusterroles",
            [
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": "things"],
                "rules": [["verbs": ["get"], "apiGroups": ["things.example.com"], "resources": ["things"]]],
            ])
        try create(
            root + "/clusterrolebindings",
            [
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": ["name": "ann"],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "things"],
                "subjects": [["kind": "Group", "name": "people", "apiGroup": "rbac.authorization.k8s.io"]],
            ])
        try server.eventually("ann may") { try server.request("GET", Self.things + "/x", headers: asAnn).status == 200 }
        let seen = try server.request("GET", Self.things + "/x", headers: asAnn).json["headers"]
        XCTAssertEqual(seen["x-remote-user"], ["ann"])
        XCTAssertEqual(seen["x-remote-group"], ["people", "system:authenticated"])
        XCTAssertFalse(seen["impersonate-user"].exists)
        XCTAssertEqual(try server.request("GET", Self.things, headers: asAnn).status, 403, "to list is another verb")
        XCTAssertEqual(try server.request("GET", Self.root, token: nil).status, 401)
    }

    // MARK: - Discovery

    private func aggregated(_ version: String) throws -> [JSON] {
        try server.request(
            "GET", "/apis",
            headers: ["Accept": "application/json;g=apidiscovery.k8s.io;v=\(version);as=APIGroupDiscoveryList"]
        ).json["items"].arrayValue
    }

    func testDiscoveryTellsOfIt() throws {
        let before = try server.request("GET", "/apis").json["groups"].arrayValue.map { $0["name"].stringValue ?? "" }
        try serve()
        let groups = try server.request("GET", "/apis").json["groups"].arrayValue.map { $0["name"].stringValue ?? "" }
        XCTAssertEqual(groups.filter { $0 != Self.group }, before, "the others stay in their order")
        let index = try XCTUnwrap(groups.firstIndex(of: Self.group))
        XCTAssertEqual(groups[index - 1], "events.k8s.io", "as its priority says")
        XCTAssertEqual(
            try server.request("GET", "/apis/things.example.com").json["preferredVersion"]["groupVersion"],
            "things.example.com/v1")
        for version in ["v2", "v2beta1"] {
            let item = try XCTUnwrap(try aggregated(version).first { $0.name == Self.group })
            XCTAssertEqual(item["versions"][0]["freshness"], "Current")
            XCTAssertEqual(
                item["versions"][0]["resources"],
                [
                    [
                        "resource": "things",
                        "responseKind": ["group": "things.example.com", "version": "v1", "kind": "Thing"],
                        "scope": "Namespaced", "singularResource": "thing", "verbs": ["get", "list"],
                        "shortNames": ["th"],
                        "subresources": [
                            [
                                "subresource": "scale",
                                "responseKind": ["group": "autoscaling", "version": "v1", "kind": "Scale"],
                                "verbs": ["get"],
                            ]
                        ],
                    ]
                ])
        }
        let place = "/openapi/v3\(Self.root)?hash=ABC"
        XCTAssertEqual(
            try server.request("GET", "/openapi/v3").json["paths"]["apis/things.example.com/v1"],
            ["serverRelativeURL": .string(place)])
        XCTAssertEqual(try server.request("GET", place).json["target"].stringValue, place)

        XCTAssertEqual(try server.request("DELETE", Self.slices + "/extra-1").status, 200)
        try awaitReason("EndpointsNotFound")
        let stale = try XCTUnwrap(try aggregated("v2").first { $0.name == Self.group })
        XCTAssertEqual(stale["versions"][0]["freshness"], "Stale")
        XCTAssertEqual(stale["versions"][0]["resources"].count, 1, "what it served is still known")
        let table = try server.request(
            "GET", Self.services + "/" + Self.name, headers: ["Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"]
        ).json
        XCTAssertEqual(
            Array(table["rows"][0]["cells"].arrayValue.prefix(3)),
            [.string(Self.name), "default/extra", "False (EndpointsNotFound)"])
        let refused = try server.request("GET", Self.things)
        XCTAssertEqual(refused.status, 503)
        XCTAssertTrue(refused.text.contains("EndpointsNotFound"), refused.text)

        XCTAssertEqual(try server.request("DELETE", Self.services + "/" + Self.name).status, 200)
        try server.eventually("the group is gone") {
            try server.request("GET", "/apis/things.example.com").status == 404
        }
        XCTAssertEqual(try server.request("GET", Self.things).status, 404)
    }

    /// The document of version 2 has what the other server's tells of its API, in JSON and in protobuf, and nothing else of it.
    func testOpenAPIVersion2TellsOfIt() throws {
        let place = Self.things + "/{name}"
        let before = try server.request("GET", "/openapi/v2")
        XCTAssertFalse(try before.json["paths"][place].exists)
        try serve()
        let answer = try server.request("GET", "/openapi/v2")
        XCTAssertNotEqual(answer.headers["etag"], before.headers["etag"])
        let document = try answer.json
        XCTAssertEqual(
            document["paths"][place]["patch"]["parameters"][0], ["name": "fieldManager", "in": "query"],
            "what its document keeps elsewhere")
        XCTAssertFalse(document["paths"]["/apis/other.example.com/v1/x"].exists, "another's path")
        XCTAssertTrue(document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"].exists)
        let definitions = document["definitions"]
        XCTAssertTrue(definitions["com.example.things.v1.Thing"].exists)
        XCTAssertFalse(definitions["com.example.other.v1.X"].exists, "nothing of the API needs it")
        XCTAssertTrue(
            definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"].exists, "this server's own")
        let protobuf = try server.request(
            "GET", "/openapi/v2",
            headers: ["Accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"])
        for text in [place, #""kind":"Thing""#, "fieldManager", "com.example.things.v1.Thing"] {
            XCTAssertTrue(protobuf.text.contains(text), text)
        }

        XCTAssertEqual(try server.request("DELETE", Self.slices + "/extra-1").status, 200)
        try awaitReason("EndpointsNotFound")
        XCTAssertFalse(try server.request("GET", "/openapi/v2").json["paths"][place].exists)
    }

    /// An index of documents that cannot be read does not make the API unavailable, and is soon asked for again.
    func testAnIndexThatCannotBeRead() throws {
        Self.isBroken.withLock { $0 = true }
        defer { Self.isBroken.withLock { $0 = false } }
        try serve()
        let place = "apis/things.example.com/v1"
        XCTAssertFalse(try server.request("GET", "/openapi/v3").json["paths"][place].exists)
        let aggregated = try XCTUnwrap(server.plugin.provider.pipeline).aggregated
        let problem = try XCTUnwrap(aggregated.all.first).knowledge.openAPIProblem
        XCTAssertEqual(problem, "bad status from /openapi/v3: 500")
        Self.isBroken.withLock { $0 = false }
        try server.eventually("it is read") { try server.request("GET", "/openapi/v3").json["paths"][place].exists }
        XCTAssertEqual(aggregated.all.first?.knowledge.openAPIProblem, "")
    }

    // MARK: - Conditions

    func testConditionsSayWhatIsWrong() throws {
        try create(Self.services, apiService { $0["spec"]["service"]["name"] = "nowhere" })
        let rows: [(reason: String, message: String, change: JSON)] = [
            ("ServiceNotFound", "service/nowhere in \"default\" is not present", ["name": "extra", "port": 445]),
            ("ServicePortError", "service/extra in \"default\" is not listening on port 445", ["port": 443]),
            (
                "EndpointsNotFound", "cannot find endpointslices for service/extra in \"default\"", [:]
            ),
        ]
        for row in rows {
            try awaitReason(row.reason)
            XCTAssertEqual(try condition()["message"].stringValue, row.message)
            XCTAssertEqual(try condition()["status"], "False")
            let patch = try server.request(
                "PATCH", Self.services + "/" + Self.name, ["spec": ["service": row.change]],
                headers: ["Content-Type": "application/merge-patch+json"])
            XCTAssertEqual(patch.status, 200, patch.text)
        }
        var other = slice(port: 1)
        other["ports"][0]["name"] = "other"
        other["metadata"]["name"] = "extra-0"
        try create(Self.slices, other)
        try awaitReason("MissingEndpoints")
        XCTAssertEqual(
            try condition()["message"].stringValue,
            "endpointslices for service/extra in \"default\" have no addresses with port name \"https\"")
        try create(Self.slices, slice(port: 1))
        try awaitReason("FailedDiscoveryCheck")
        XCTAssertEqual(
            try condition()["message"].stringValue,
            "failing or missing response from https://extra.default.svc:443/apis/things.example.com/v1: dial tcp "
                + "10.244.0.7:1: connection refused")
        let patch = try server.request(
            "PATCH", Self.slices + "/extra-1", ["ports": [["name": "https", "port": 8443]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(patch.status, 200, patch.text)
        try awaitReason("Passed")
        XCTAssertEqual(try condition()["status"], "True")
        let stranger = try CertificateAuthority.create(commonName: "stranger").credential.certificate
        _ = try server.request(
            "PATCH", Self.services + "/" + Self.name, ["spec": ["caBundle": .string(Base64.encode(stranger))]],
            headers: ["Content-Type": "application/merge-patch+json"])
        try server.eventually("the certificate is refused") {
            try condition()["message"].stringValue?.contains("tls: failed to verify certificate") == true
        }
        _ = try server.request(
            "PATCH", Self.services + "/" + Self.name, ["spec": ["caBundle": .null, "insecureSkipTLSVerify": true]],
            headers: ["Content-Type": "application/merge-patch+json"])
        try awaitReason("Passed")
    }

    func testTheTimeOfAConditionIsThatOfItsStatus() throws {
        func time(_ seconds: Int64) -> Timestamp { Timestamp.now().adding(seconds: seconds) }
        let failure = AggregationFailure("ServiceNotFound", "gone")
        let first = try XCTUnwrap(APIServiceStatus.checked(.null, failure, now: time(0)))
        XCTAssertNil(APIServiceStatus.checked(first, failure, now: time(60)), "nothing new")
        let second = try XCTUnwrap(
            APIServiceStatus.checked(first, AggregationFailure("MissingEndpoints", "none"), now: time(120)))
        XCTAssertEqual(second[0]["lastTransitionTime"], first[0]["lastTransitionTime"])
        XCTAssertEqual(second[0]["reason"], "MissingEndpoints")
        let third = try XCTUnwrap(APIServiceStatus.checked(second, nil, now: time(180)))
        XCTAssertNotEqual(third[0]["lastTransitionTime"], first[0]["lastTransitionTime"])
        XCTAssertEqual(third[0]["message"], "all checks passed")
    }

    func testInvalidObjects() throws {
        let rows: [(change: (inout JSON) -> Void, message: String)] = [
            ({ $0["metadata"]["name"] = "v1.other" }, "must be `spec.version+\".\"+spec.group`"),
            (
                { $0["spec"]["groupPriorityMinimum"] = 0 },
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive"
            ),
            ({ $0["spec"]["versionPriority"] = 1001 }, "spec.versionPriority: Invalid value: 1001: must be positive"),
            ({ $0["spec"]["insecureSkipTLSVerify"] = true }, "may not be true if caBundle is present"),
            ({ $0["spec"].removeValue(forKey: "service") }, "local APIServices may not have a caBundle"),
            ({ $0["spec"]["service"]["namespace"] = "" }, "spec.service.namespace: Required value"),
            ({ $0["spec"]["service"]["port"] = 70000 }, "spec.service.port: Invalid value: 70000"),
        ]
        for row in rows {
            let answer = try server.request("POST", Self.services, apiService(row.change))
            XCTAssertEqual(answer.status, 422, answer.text)
            let message = try answer.json["message"].stringValue ?? ""
            XCTAssertTrue(message.contains(row.message), "\(row.message) is not in: \(message)")
        }
    }
}
