import COpenSSL
import Objects
import PluginKit
import XCTest

@testable import API

/// CertificateSigningRequests from their creation to their end.
final class CertificateSigningTests: XCTestCase {
    private static let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    private static let clientUsages = ["digital signature", "client auth"]

    // MARK: - What is signed

    func testWhatEachSignerSigns() throws {
        let node = ["system:nodes"]
        let client = Self.clientUsages
        let serving = ["digital signature", "key encipherment", "server auth"]
        let rows: [(CertificateSigner, [UInt8], [String], String?, String)] = [
            (.client, TestSigningRequest.make("ann"), client, nil, "a client"),
            (.client, TestSigningRequest.make("ann"), ["client auth"], nil, "the one usage that it needs"),
            (
                .client, TestSigningRequest.make("ann"), ["digital signature"],
                "missing required usage for client certificate: client auth", "without it"
            ),
            (
                .client, TestSigningRequest.make("ann"), client + ["server auth"],
                "invalid usage for client certificate: server auth", "no server"
            ),
            (.node, TestSigningRequest.make("system:node:a", organizations: node), client, nil, "a node"),
            (
                .node, TestSigningRequest.make("system:node:a", organizations: node),
                ["digital signature", "key encipherment", "client auth"], nil, "with a key that enciphers"
            ),
            (
                .node, TestSigningRequest.make("system:node:a", organizations: node + ["x"]), client,
                "subject organization is not system:nodes", "of two groups"
            ),
            (
                .node, TestSigningRequest.make("ann", organizations: node), client,
                "subject common name does not begin with system:node: ", "no node's name"
            ),
            (
                .node, TestSigningRequest.make("system:node:a", organizations: node, names: "DNS:a"), client,
                "DNS subjectAltNames are not allowed", "with a name"
            ),
            (
                .node, TestSigningRequest.make("system:node:a", organizations: node, names: "IP:1.2.3.4"), client,
                "IP subjectAltNames are not allowed", "with an address"
            ),
            (
                .node, TestSigningRequest.make("system:node:a", organizations: node), serving,
                "usages did not match [client auth digital signature key encipherment]", "for another purpose"
            ),
            (
                .serving, TestSigningRequest.make("system:node:a", organizations: node, names: "DNS:a,IP:1.2.3.4"),
                serving, nil, "what a node serves with"
            ),
            (
                .serving, TestSigningRequest.make("system:node:a", organizations: node), serving,
                "DNS or IP subjectAltName is required", "without a name"
            ),
            (
                .serving, TestSigningRequest.make("system:node:a", organizations: node, names: "DNS:a,email:a@b.c"),
                serving, "Email subjectAltNames are not allowed", "with a mail address"
            ),
            (
                .serving, TestSigningRequest.make("system:node:a", organizations: node, names: "DNS:a,URI:https://a"),
                serving, "URI subjectAltNames are not allowed", "with a URI"
            ),
        ]
        for (signer, pem, usages, expected, reason) in rows {
            XCTAssertEqual(signer.problem(try SigningRequest(pem: pem), usages: usages), expected, reason)
        }
        XCTAssertEqual(CertificateSigner.lifetime(nil), 365 * 86_400)
        XCTAssertEqual(CertificateSigner.lifetime(3600), 3600)
        XCTAssertEqual(CertificateSigner.lifetime(2_000_000_000), 365 * 86_400, "at most a year")
    }

    func testWhatIsNoRequest() {
        let damaged = String(decoding: TestSigningRequest.make("ann"), as: UTF8.self).replacing("MI", with: "NI")
        let rows: [([UInt8], String, String)] = [
            (Array("x".utf8), "PEM block type must be CERTIFICATE REQUEST", "no PEM"),
            (Array(damaged.utf8), "the PEM block holds no certificate request (PKCS #10)", "another content"),
            (
                TestSigningRequest.make("ann", isForged: true),
                "its signature is not by the key that it asks a certificate for", "somebody else's key"
            ),
        ]
        for (bytes, expected, reason) in rows {
            XCTAssertThrowsError(try SigningRequest(pem: bytes), reason) { error in
                XCTAssertEqual((error as? SigningRequest.Mistake)?.text, expected, reason)
            }
        }
    }

    func testSteps() throws {
        let pem = TestSigningRequest.make("system:node:a", organizations: ["system:nodes"])
        func object(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
            var object = TestSigningRequest.object(
                "a", pem, signer: "kubernetes.io/kube-apiserver-client-kubelet", usages: Self.clientUsages)
            object["spec"]["username"] = "system:bootstrap:abcdef"
            object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
            change(&object)
            return object
        }
        func condition(_ type: JSON, _ time: JSON = "2026-01-01T00:00:00Z") -> JSON {
            ["type": type, "status": "True", "lastUpdateTime": time]
        }
        let midnight: Int64 = 1_767_225_600
        let request = try SigningRequest(pem: pem)
        let rows: [(JSON, Int64, Set<String>, CertificateKeeper.Step, String)] = [
            (object(), 60, [], .nothing, "nobody has approved it, and nobody may"),
            (
                object(), 60, ["nodeclient"],
                .approve(message: "Auto approving kubelet client certificate after SubjectAccessReview."), "a new node"
            ),
            (object(), 60, ["selfnodeclient"], .nothing, "it is not its own"),
            (
                object { $0["spec"]["username"] = "system:node:a" }, 60, ["selfnodeclient"],
                .approve(message: "Auto approving self kubelet client certificate after SubjectAccessReview."),
                "its own, once more"
            ),
            (object { $0["spec"]["signerName"] = "example.com/a" }, 60, ["nodeclient"], .nothing, "another signer's"),
            (
                object { $0["status"]["conditions"] = [condition("Approved")] }, 60, [], .sign(request, .node),
                "approved"
            ),
            (
                object {
                    $0["status"]["conditions"] = [condition("Approved")]
                    $0["spec"]["usages"] = ["server auth"]
                }, 60, [],
                .fail(message: "usages did not match [client auth digital signature key encipherment]"),
                "approved, and nothing that the signer signs"
            ),
            (object { $0["status"]["conditions"] = [condition("Denied")] }, 60, ["nodeclient"], .nothing, "denied"),
            (object { $0["status"]["conditions"] = [condition("Denied")] }, 3600, [], .delete, "an hour ago"),
            (object { $0["status"]["conditions"] = [condition("Failed")] }, 3600, [], .delete, "failed as long ago"),
            (object(), 86_399, [], .nothing, "nearly a day old"),
            (object(), 86_400, [], .delete, "nobody looked at it for a day"),
            (
                object {
                    $0["status"]["conditions"] = [condition("Approved")]
                    $0["status"]["certificate"] = "eA=="
                }, 3599, [], .nothing, "issued"
            ),
            (
                object {
                    $0["status"]["conditions"] = [condition("Approved")]
                    $0["status"]["certificate"] = "eA=="
                }, 3600, [], .delete, "and fetched, surely"
            ),
        ]
        for (object, seconds, allowed, expected, reason) in rows {
            let step = CertificateKeeper.step(object, now: midnight + seconds) { user, wanted in
                XCTAssertEqual(wanted.verb, "create")
                return allowed.contains(wanted.subresource)
            }
            XCTAssertEqual(step, expected, reason)
        }
    }

    func testWhatIsRefused() {
        let pem = TestSigningRequest.make("ann")
        func faults(_ change: (inout JSON) -> Void) -> [String] {
            var object = TestSigningRequest.object(
                "a", pem, signer: "example.com/a", usages: ["client auth"])
            change(&object)
            return CertificateRequestChecks.faults(in: object).map { "\($0.field): \($0.message)" }
        }
        XCTAssertEqual(faults { _ in }, [])
        XCTAssertEqual(
            faults { $0["spec"]["expirationSeconds"] = 599 },
            [
                "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)"
            ])
        XCTAssertEqual(
            faults { $0["spec"]["request"] = "eA==" },
            ["spec.request: Invalid value: \"eA==\": PEM block type must be CERTIFICATE REQUEST"])
        XCTAssertEqual(faults { $0["spec"]["usages"] = [] }, ["spec.usages: Required value"])
        XCTAssertEqual(
            faults { $0["spec"]["usages"] = ["any", "any"] }, ["spec.usages[1]: Duplicate value: \"any\""])
        XCTAssertTrue(
            faults { $0["spec"]["usages"] = ["flying"] }.first?.hasPrefix(
                "spec.usages[0]: Unsupported value: \"flying\": supported values: \"any\", ") == true)
        XCTAssertEqual(
            faults { $0["spec"]["signerName"] = "a" },
            [
                "spec.signerName: Invalid value: \"a\": must be a fully qualified domain and path of the form "
                    + "'example.com/signer-name'"
            ])
        XCTAssertEqual(
            faults { $0["spec"]["signerName"] = "com/a" },
            [
                "spec.signerName: Invalid value: \"com\": should be a domain with at least two segments separated by dots"
            ])
        let twice = faults { $0["spec"]["signerName"] = "A.B.com/a..b" }
        XCTAssertEqual(twice.count, 2, "of each part the first mistake is told")
        XCTAssertTrue(twice[0].hasPrefix(#"spec.signerName: Invalid value: "A.B.com": validating label "A": a lower"#))
        XCTAssertTrue(twice[1].hasPrefix(#"spec.signerName: Invalid value: "a..b": validating label "": a lower"#))
    }

    func testWhatIsToldOfARequest() {
        let rows: [(JSON, String)] = [
            ([:], "Pending"), (["conditions": [["type": "Approved"]]], "Approved"),
            (["conditions": [["type": "Approved"]], "certificate": "eA=="], "Approved,Issued"),
            (["conditions": [["type": "Approved"], ["type": "Failed"]]], "Approved,Failed"),
            (["conditions": [["type": "Denied"]]], "Denied"),
        ]
        for (status, expected) in rows { XCTAssertEqual(CertificateRequest.summary(status), expected) }
    }

    // MARK: - With a server

    private func approve(_ server: TestServer, _ name: String, token: String? = TestServer.token) throws
        -> TLSClient.Response
    {
        var object = try server.request("GET", "\(Self.requests)/\(name)").json
        object["status"]["conditions"] = [["type": "Approved", "status": "True", "reason": "Test", "message": "yes"]]
        return try server.request("PUT", "\(Self.requests)/\(name)/approval", object, token: token)
    }

    func testAnApprovedRequestBecomesACertificate() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        let key = try CertificateAuthority.generateKey()
        defer { EVP_PKEY_free(key) }
        let pem = TestSigningRequest.make("ann", organizations: ["people"], key: key)
        let made = TestSigningRequest.object(
            "ann", pem, signer: CertificateSigner.client.rawValue, usages: ["client auth"], expirationSeconds: 3600)
        XCTAssertEqual(try server.request("POST", Self.requests, made).status, 201)
        XCTAssertEqual(try approve(server, "ann").status, 200)
        var certificate: [UInt8] = []
        try server.eventually("it is signed") {
            let text = try server.request("GET", Self.requests + "/ann").json["status"]["certificate"].stringValue
            certificate = Base64.decode(text ?? "") ?? []
            return !certificate.isEmpty
        }
        let client = try TLSClient(
            port: server.port, certificate: certificate, key: try PEM.text(privateKey: key))
        defer { client.close() }
        let review: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
        let answer = try client.request(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body: review.serialized(), token: nil)
        XCTAssertEqual(try answer.json["status"]["userInfo"]["username"], "ann")
        XCTAssertEqual(try answer.json["status"]["userInfo"]["groups"], ["people", "system:authenticated"])
        let x509 = try XCTUnwrap(PEM.certificate(certificate))
        defer { X509_free(x509) }
        var (days, seconds): (Int32, Int32) = (0, 0)
        ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(x509))
        XCTAssertEqual(days, 0)
        XCTAssertTrue((3500...3600).contains(seconds), "it lasts as long as was asked for: \(seconds)")

        let bad = TestSigningRequest.object(
            "bad", pem, signer: CertificateSigner.client.rawValue, usages: ["server auth"])
        XCTAssertEqual(try server.request("POST", Self.requests, bad).status, 201)
        XCTAssertEqual(try approve(server, "bad").status, 200)
        try server.eventually("it fails") {
            let conditions = try server.request("GET", Self.requests + "/bad").json["status"]["conditions"].arrayValue
            return conditions.contains {
                $0["type"] == "Failed" && $0["reason"] == "SignerValidationFailure"
                    && $0["message"] == "invalid usage for client certificate: server auth"
            }
        }
    }

    func testNodesAreApprovedWhereTheyMayBe() throws {
        let server = try TestServer()
        defer { try? server.stop() }
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        for (name, role, group) in [
            ("a", "system:node-bootstrapper", "joining"),
            ("b", "system:certificates.k8s.io:certificatesigningrequests:nodeclient", "joining"),
        ] {
            let binding: JSON = [
                "metadata": ["name": .string(name)],
                "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(role)],
                "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": .string(group)]],
            ]
            XCTAssertEqual(try server.request("POST", bindings, binding).status, 201)
        }
        let object = TestSigningRequest.object(
            "node", TestSigningRequest.make("system:node:a", organizations: ["system:nodes"]),
            signer: CertificateSigner.node.rawValue, usages: Self.clientUsages)
        let headers = ["Impersonate-User": "new-node", "Impersonate-Group": "joining"]
        try server.eventually("the roles are in force") {
            try server.request("POST", Self.requests, object, headers: headers).status != 403
        }
        try server.eventually("it is approved and signed") {
            let status = try server.request("GET", Self.requests + "/node").json["status"]
            return status["conditions"][0]["reason"] == "AutoApproved" && status["certificate"].exists
        }
    }

    func testWhoMayApproveAndSign() throws {
        let server = try TestServer(options: ["signCertificates": false])
        defer { try? server.stop() }
        let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        let rules: JSON = [
            [
                "apiGroups": ["certificates.k8s.io"], "verbs": ["update", "create"],
                "resources": [
                    "certificatesigningrequests", "certificatesigningrequests/approval",
                    "certificatesigningrequests/status",
                ],
            ],
            [
                "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve", "sign"],
                "resourceNames": ["example.com/*"],
            ],
        ]
        XCTAssertEqual(
            try server.request("POST", roles, ["metadata": ["name": "approver"], "rules": rules]).status, 201)
        let binding: JSON = [
            "metadata": ["name": "approver"],
            "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"],
            "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"]],
        ]
        XCTAssertEqual(
            try server.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).status, 201)
        let pem = TestSigningRequest.make("x")
        for (name, signer) in [("theirs", "example.com/a"), ("ours", CertificateSigner.client.rawValue)] {
            let object = TestSigningRequest.object(name, pem, signer: signer, usages: ["client auth"])
            XCTAssertEqual(try server.request("POST", Self.requests, object).status, 201)
        }
        func put(_ name: String, _ subresource: String, _ change: (inout JSON) -> Void) throws -> TLSClient.Response {
            var object = try server.request("GET", "\(Self.requests)/\(name)").json
            change(&object)
            return try server.request(
                "PUT", "\(Self.requests)/\(name)/\(subresource)", object, headers: ["Impersonate-User": "ann"])
        }
        let approved: JSON = ["type": "Approved", "status": "True", "reason": "r", "message": "m"]
        try server.eventually("the role is in force") {
            try put("theirs", "approval") { $0["status"]["conditions"] = [approved] }.status == 200
        }
        let refused = try put("ours", "approval") { $0["status"]["conditions"] = [approved] }
        XCTAssertEqual(refused.status, 403)
        XCTAssertEqual(
            try refused.json["message"],
            "certificatesigningrequests.certificates.k8s.io \"ours\" is forbidden: user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\""
        )
        let failed: JSON = ["type": "Failed", "status": "True", "reason": "r", "message": "m"]
        XCTAssertEqual(try put("theirs", "status") { $0["status"]["conditions"].append(failed) }.status, 200)
        let unsigned = try put("ours", "status") { $0["status"]["conditions"] = [failed] }
        XCTAssertEqual(unsigned.status, 403)
        XCTAssertTrue(unsigned.text.contains("user not permitted to sign requests with signerName"), unsigned.text)

        let masters = TestSigningRequest.object(
            "masters", TestSigningRequest.make("eve", organizations: ["system:masters"]),
            signer: CertificateSigner.client.rawValue, usages: ["client auth"])
        let answer = try server.request("POST", Self.requests, masters)
        XCTAssertEqual(answer.status, 403, "not even who may do everything")
        XCTAssertTrue(
            answer.text.contains(
                "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"),
            answer.text)
        var moved = try server.request("GET", Self.requests + "/theirs").json
        moved["spec"]["username"] = "eve"
        XCTAssertEqual(try server.request("PUT", Self.requests + "/theirs", moved).status, 200)
        XCTAssertEqual(
            try server.request("GET", Self.requests + "/theirs").json["spec"]["username"], "kubernetes-admin",
            "who asks is settled")
    }
}
