import Objects
import XCTest

@testable import API

/// Every kind, verb and subresource is shown to webhooks as Kubernetes shows it, in both versions of reviews.
final class AdmissionReplayTests: XCTestCase {
    private static let paths = ["/v1/mutation", "/v1/validation", "/v1beta1/mutation", "/v1beta1/validation"]
    /// Their objects are those of the host's own plugins.
    private static let elsewhere: Set = ["plugins.hostd.dev"]
    private var server: TestServer!
    private var webhook: ReviewServer!

    override func setUpWithError() throws {
        server = try TestServer()
        webhook = try ReviewServer { path, _ in
            ["allowed": true, "warnings": [.string(String(path.prefix { $0 != "?" }))]]
        }
        let hooks: [(kind: String, phase: String)] = [
            ("MutatingWebhookConfiguration", "mutation"), ("ValidatingWebhookConfiguration", "validation"),
        ]
        for (kind, phase) in hooks {
            let entries: [JSON] = ["v1", "v1beta1"].map { version in
                [
                    "name": .string("\(phase).\(version).example.com"),
                    "clientConfig": webhook.client("/\(version)/\(phase)"), "sideEffects": "None",
                    "admissionReviewVersions": [.string(version)],
                    "rules": [
                        ["apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]]
                    ],
                ]
            }
            let answer = try server.request(
                "POST", "/apis/admissionregistration.k8s.io/v1/\(kind.lowercased())s",
                [
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string(kind),
                    "metadata": ["name": "replay"], "webhooks": .array(entries),
                ])
            XCTAssertEqual(answer.status, 201, answer.text)
        }
        try server.eventually("all four webhooks are asked") {
            let probe: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "probe"]]
            _ = try self.server.request("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", probe)
            let asked = Set(self.webhook.requests.map { String($0.path.prefix { $0 != "?" }) })
            return asked.isSuperset(of: Self.paths)
        }
    }

    override func tearDownWithError() throws {
        try webhook.stop()
        try server.stop()
    }

    /// What is expected of the reviews of one request.
    private struct Expected {
        var operation: String
        var group: String
        var version: String
        var resource: String
        var subresource = ""
        /// Of the object; of the resource when it is empty.
        var apiVersion: String
        var kind: String
        var name: String
        var namespace: String
        var hasObject = true
        var hasOld = false
        /// "" for none.
        var options: String
    }

    @discardableResult
    private func ask(
        _ method: String, _ path: String, _ body: JSON? = nil, patch: Bool = false, _ expected: Expected
    ) throws -> TLSClient.Response {
        let start = webhook.requests.count
        let answer = try server.request(
            method, path, body, headers: patch ? ["Content-Type": "application/merge-patch+json"] : [:])
        XCTAssertLessThan(answer.status, 300, "\(method) \(path): \(answer.text)")
        let reviews = webhook.requests.dropFirst(start)
        for endpoint in Self.paths {
            let about = "\(method) \(path) at \(endpoint)"
            let request = reviews.last {
                $0.path.hasPrefix(endpoint + "?") && $0.request["operation"].stringValue == expected.operation
                    && $0.request["resource"]["resource"].stringValue == expected.resource
                    && ($0.request["subResource"].stringValue ?? "") == expected.subresource
            }?.request
            guard let request else {
                XCTFail("\(about): not asked")
                continue
            }
            check(request, expected, about)
            XCTAssertEqual(
                answer.warnings.count { $0.contains("\"\(endpoint)\"") }, 1, "\(about): its warning, once")
        }
        return answer
    }

    private func check(_ request: JSON, _ expected: Expected, _ about: String) {
        XCTAssertEqual(request["name"].stringValue ?? "", expected.name, "\(about): name")
        XCTAssertEqual(request["namespace"].stringValue ?? "", expected.namespace, "\(about): namespace")
        XCTAssertEqual(request["resource"]["group"].stringValue, expected.group, about)
        XCTAssertEqual(request["resource"]["version"].stringValue, expected.version, about)
        XCTAssertEqual(request["requestResource"], request["resource"], about)
        XCTAssertEqual(request["kind"]["kind"].stringValue, expected.kind, "\(about): kind")
        XCTAssertEqual(request["options"]["kind"].stringValue ?? "", expected.options, "\(about): options")
        for (member, isThere) in [("object", expected.hasObject), ("oldObject", expected.hasOld)] {
            guard isThere else {
                XCTAssertTrue(request[member].isNull, "\(about): \(member)")
                continue
            }
            XCTAssertEqual(request[member].kind, expected.kind, "\(about): \(member)")
            XCTAssertEqual(request[member].apiVersion, expected.apiVersion, "\(about): \(member)")
        }
    }

    private func expected(_ resource: Resource, _ operation: String, _ name: String) -> Expected {
        let isNamespace = resource.qualified == "namespaces"
        let options = ["CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"]
        return Expected(
            operation: operation, group: resource.group, version: resource.version, resource: resource.plural,
            apiVersion: resource.apiVersion, kind: resource.kind, name: name,
            namespace: resource.isNamespaced ? "default" : isNamespace ? name : "",
            hasObject: operation != "DELETE", hasOld: operation != "CREATE", options: options[operation] ?? "")
    }

    func testEveryKind() throws {
        let all = ResourceTable.ofSchema().all.filter {
            $0.has("create") && $0.has("delete") && $0.has("watch") && !Self.elsewhere.contains($0.qualified)
                && $0.group != "admissionregistration.k8s.io"
        }
        XCTAssertGreaterThan(all.count, 45)
        for resource in all {
            let key = resource.group == "events.k8s.io" ? "events.events.k8s.io" : resource.qualified
            var object = try XCTUnwrap(ResourceSamples.objects[key], "no sample of \(key)")
            let name = ResourceSamples.names[resource.qualified] ?? "life"
            object["metadata"] = ["name": .string(name)]
            object.apiVersion = resource.apiVersion
            object.kind = resource.kind
            if resource.plural == "certificatesigningrequests" {
                object["spec"]["request"] = .string(Base64.encode(TestSigningRequest.make("life")))
            }
            let root = resource.group.isEmpty ? "/api/v1" : "/apis/\(resource.apiVersion)"
            let collection = root + (resource.isNamespaced ? "/namespaces/default/" : "/") + resource.plural
            let update = expected(resource, "UPDATE", name)
            try ask("POST", collection, object, expected(resource, "CREATE", name))
            var present = try ask(
                "PATCH", "\(collection)/\(name)", ["metadata": ["annotations": ["patched": "true"]]], patch: true,
                update
            ).json
            if present.kind == resource.kind {
                present["metadata"]["annotations"]["updated"] = "true"
                present["metadata"].removeValue(forKey: "managedFields")
                // Others write some kinds, too.
                if resource.plural != "customresourcedefinitions", resource.plural != "apiservices" {
                    try ask("PUT", "\(collection)/\(name)", present, update)
                }
            }
            try ask("DELETE", "\(collection)/\(name)?gracePeriodSeconds=0", nil, expected(resource, "DELETE", name))
        }
    }

    func testCollectionsAreDeletedWithoutNames() throws {
        let maps = "/api/v1/namespaces/default/configmaps"
        let map: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "many", "labels": ["of": "many"]],
        ]
        XCTAssertEqual(try server.request("POST", maps, map).status, 201)
        let expected = Expected(
            operation: "DELETE", group: "", version: "v1", resource: "configmaps", apiVersion: "v1", kind: "ConfigMap",
            name: "", namespace: "default", hasObject: false, hasOld: true, options: "DeleteOptions")
        try ask(
            "DELETE", maps + "?labelSelector=of%3Dmany",
            ["kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 3, "propagationPolicy": "Background"],
            expected)
        let options = try XCTUnwrap(webhook.requests.last).request["options"]
        XCTAssertEqual(options["gracePeriodSeconds"], 3)
        XCTAssertEqual(options["propagationPolicy"], "Background")
    }

    func testScales() throws {
        let deployments = "/apis/apps/v1/namespaces/default/deployments"
        var deployment = try XCTUnwrap(ResourceSamples.objects["deployments.apps"])
        deployment["metadata"] = ["name": "d"]
        deployment.apiVersion = "apps/v1"
        deployment.kind = "Deployment"
        XCTAssertEqual(try server.request("POST", deployments, deployment).status, 201)
        let expected = Expected(
            operation: "UPDATE", group: "apps", version: "v1", resource: "deployments", subresource: "scale",
            apiVersion: "autoscaling/v1", kind: "Scale", name: "d", namespace: "default", hasOld: true,
            options: "UpdateOptions")
        var scale = try server.request("GET", deployments + "/d/scale").json
        scale["spec"]["replicas"] = 2
        try ask("PUT", deployments + "/d/scale", scale, expected)
        try ask("PATCH", deployments + "/d/scale", ["spec": ["replicas": 3]], patch: true, expected)
        let last = try XCTUnwrap(webhook.requests.last).request
        XCTAssertEqual(last["oldObject"]["spec"]["replicas"], 2)
        XCTAssertEqual(last["object"]["spec"]["replicas"], 3)
        XCTAssertEqual(try server.request("GET", deployments + "/d").json["spec"]["replicas"], 3)
    }

    func testWhatIsPostedToSubresources() throws {
        let pods = "/api/v1/namespaces/default/pods"
        let account: JSON = ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "robot"]]
        XCTAssertEqual(
            try server.request("POST", "/api/v1/namespaces/default/serviceaccounts", account).status, 201)
        for name in ["p", "q"] {
            let pod: JSON = [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name)],
                "spec": ["serviceAccountName": "robot", "containers": [["name": "c", "image": "i:1"]]],
            ]
            let made = try server.request("POST", pods, pod)
            XCTAssertEqual(made.status, 201, made.text)
        }
        func posted(
            _ resource: String, _ subresource: String, _ apiVersion: String, _ kind: String, _ name: String
        ) -> Expected {
            Expected(
                operation: "CREATE", group: "", version: "v1", resource: resource, subresource: subresource,
                apiVersion: apiVersion, kind: kind, name: name, namespace: "default", options: "CreateOptions")
        }
        let binding: JSON = [
            "apiVersion": "v1", "kind": "Binding", "metadata": ["name": "p"],
            "target": ["kind": "Node", "apiVersion": "v1", "name": "foo"],
        ]
        try ask("POST", pods + "/p/binding", binding, posted("pods", "binding", "v1", "Binding", "p"))
        XCTAssertEqual(try server.request("GET", pods + "/p").json["spec"]["nodeName"], "foo")
        var other = binding
        other["metadata"]["name"] = "q"
        try ask(
            "POST", "/api/v1/namespaces/default/bindings", other, posted("bindings", "", "v1", "Binding", "q"))
        XCTAssertEqual(try server.request("GET", pods + "/q").json["spec"]["nodeName"], "foo")
        let token: JSON = [
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": ["audiences": ["api"]],
        ]
        try ask(
            "POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", token,
            posted("serviceaccounts", "token", "authentication.k8s.io/v1", "TokenRequest", "robot"))
        let start = webhook.requests.count
        let eviction: JSON = [
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": "p"],
            "deleteOptions": ["gracePeriodSeconds": 0],
        ]
        try ask("POST", pods + "/p/eviction", eviction, posted("pods", "eviction", "policy/v1", "Eviction", "p"))
        XCTAssertFalse(
            webhook.requests.dropFirst(start).contains { $0.request["operation"] == "DELETE" },
            "an eviction is asked about as such")
    }

    /// What is asked of the server and not stored is shown to webhooks, and not to policies.
    func testReviews() throws {
        let group = "authorization.k8s.io"
        try ask(
            "POST", "/apis/\(group)/v1/selfsubjectaccessreviews",
            [
                "apiVersion": .string("\(group)/v1"), "kind": "SelfSubjectAccessReview",
                "spec": ["resourceAttributes": ["verb": "get", "resource": "pods"]],
            ],
            Expected(
                operation: "CREATE", group: group, version: "v1", resource: "selfsubjectaccessreviews",
                apiVersion: "\(group)/v1", kind: "SelfSubjectAccessReview", name: "", namespace: "",
                options: "CreateOptions"))
        try ask(
            "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
            [
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": ["name": "t"],
                "spec": ["token": "x"],
            ],
            Expected(
                operation: "CREATE", group: "authentication.k8s.io", version: "v1", resource: "tokenreviews",
                apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", name: "t", namespace: "",
                options: "CreateOptions"))
    }
}
