import Objects
import PluginKit
import XCTest

@testable import API

/// Webhooks at services of the cluster: which address they are asked at.
final class WebhookTargetTests: XCTestCase {
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func put(_ key: String, _ object: JSON, index: String = "") throws {
        _ = try server.store.create(key, value: object.serialized(), index: Array(index.utf8))
    }

    private func service(_ name: String, _ ports: JSON) throws {
        try put(
            "services/default/\(name)",
            [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name), "namespace": "default"],
                "spec": ["clusterIP": "10.96.7.7", "ports": ports],
            ])
    }

    private func slice(_ service: String, _ ports: JSON, _ endpoints: JSON) throws {
        let labels: JSON = ["kubernetes.io/service-name": .string(service)]
        try put(
            "endpointslices.discovery.k8s.io/default/\(service)-1",
            [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": ["name": .string(service + "-1"), "namespace": "default", "labels": labels],
                "ports": ports, "endpoints": endpoints,
            ], index: "kubernetes.io/service-name\0\(service)\0")
    }

    private func endpoint(_ address: String, ready: Bool = true) -> JSON {
        ["addresses": [.string(address)], "conditions": ["ready": .bool(ready)]]
    }

    private func address(_ service: String, port: Int64?) throws(UpstreamError) -> String {
        var config: JSON = ["service": ["name": .string(service), "namespace": "default"]]
        if let port { config["service"]["port"] = .integer(port) }
        guard let target = WebhookTarget(config) else { throw UpstreamError("no target") }
        return try target.address(server.store).authority
    }

    /// The front does for a webhook what a service's address does for others: from the service's port to the endpoints' own.
    func testPortsOfServices() throws {
        try service("mapped", [["port": 443, "targetPort": 9443]])
        try slice(
            "mapped", [["name": "", "port": 9443]], [endpoint("10.244.0.9", ready: false), endpoint("10.244.0.5")])
        try service(
            "named",
            [
                ["name": "metrics", "port": 80, "targetPort": "http"],
                ["name": "hook", "port": 443, "targetPort": "webhook"],
                ["name": "other", "port": 444, "targetPort": 1],
            ])
        try slice(
            "named", [["name": "metrics", "port": 8080], ["name": "hook", "port": 10250]], [endpoint("10.244.0.6")])
        try service("unready", [["port": 443]])
        try slice("unready", [["name": "", "port": 443]], [endpoint("10.244.0.7", ready: false)])
        let rows: [(service: String, port: Int64?, address: String, reason: String)] = [
            ("mapped", 443, "10.244.0.5:9443", "another target port, at the endpoint that is ready"),
            ("mapped", nil, "10.244.0.5:9443", "443 is the usual one"),
            ("named", 443, "10.244.0.6:10250", "a target port with a name: what the endpoints say it is"),
            ("named", 80, "10.244.0.6:8080", "another port of the same service"),
        ]
        for row in rows { XCTAssertEqual(try address(row.service, port: row.port), row.address, row.reason) }
        let failures: [(service: String, port: Int64, message: String)] = [
            ("mapped", 9443, "no service port 9443 found for service \"mapped\""),
            ("named", 444, "no endpoints available for service \"named\""),
            ("unready", 443, "no endpoints available for service \"unready\""),
            ("missing", 443, "service \"missing\" not found"),
        ]
        for row in failures {
            XCTAssertThrowsError(try address(row.service, port: row.port), row.message) {
                XCTAssertEqual("\($0)", row.message)
            }
        }
    }

    /// A webhook that is reached through a service with a named target port decides; its certificate is the service's.
    func testAWebhookAtAService() throws {
        let webhook = try TestHTTPSServer(names: ["DNS:hook.default.svc"]) { exchange in
            let review = (try? JSON(parsing: exchange.body)) ?? .null
            let response: JSON = [
                "uid": review["request"]["uid"], "allowed": false, "status": ["code": 403, "message": "it is asked"],
            ]
            exchange.respond(
                .json(200, ["apiVersion": review["apiVersion"], "kind": review["kind"], "response": response]))
        }
        defer { XCTAssertNoThrow(try webhook.stop()) }
        try service("hook", [["name": "hook", "port": 443, "targetPort": "webhook"]])
        try slice("hook", [["name": "hook", "port": .integer(Int64(webhook.port))]], [endpoint("127.0.0.1")])
        let made = try server.request(
            "POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            [
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": ["name": "hook"],
                "webhooks": [
                    [
                        "name": "hook.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                        "clientConfig": [
                            "service": ["name": "hook", "namespace": "default", "path": "/review"],
                            "caBundle": webhook.caBundle,
                        ],
                        "rules": [
                            [
                                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                                "resources": ["configmaps"],
                            ]
                        ],
                    ]
                ],
            ])
        XCTAssertEqual(made.status, 201, made.text)
        var answer: TLSClient.Response?
        try server.eventually("the webhook is asked") {
            answer = try server.request(
                "POST", "/api/v1/namespaces/default/configmaps",
                ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["generateName": "c-"]])
            return answer?.status != 201
        }
        XCTAssertEqual(answer?.status, 403)
        XCTAssertTrue(answer?.text.contains("it is asked") == true, answer?.text ?? "")
    }
}
