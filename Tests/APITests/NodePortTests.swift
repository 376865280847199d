import COpenSSL
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import API

/// A node's own port, as a kubelet's: who is let in, what they may see, and what they are told otherwise.
final class NodePortTests: XCTestCase {
    private var server: TestServer!
    private var door: HTTPServer!
    private var port: NodePort!
    private let node = FakeNode()

    override func setUpWithError() throws {
        server = try TestServer()
        let pipeline = try XCTUnwrap(server.plugin.provider.pipeline)
        pipeline.extensions.add(plugin: "node", try node.routes(), provider: node)
        _ = try server.inProcess(
            "POST", "/api/v1/nodes",
            [
                "metadata": ["name": "alpha"],
                "status": ["addresses": [["type": "InternalIP", "address": "192.0.2.7"]]],
            ])
        door = try HTTPServer(threads: 1, context: nil, handler: NodeFront(pipeline: pipeline, node: "alpha"))
        port = NodePort(
            .init(node: "alpha", address: SocketAddress(host: "127.0.0.1", port: 0)), server: door, pipeline: pipeline,
            authority: CertificateAuthority(credential: try credential("ca")))
        port.open()
    }

    override func tearDownWithError() throws {
        port.close()
        door.stop()
        try server.stop()
    }

    private func credential(_ name: String) throws -> Credential {
        Credential(
            certificate: try AtomicFile.read("\(server.directory)/pki/\(name).crt"),
            key: try AtomicFile.read("\(server.directory)/pki/\(name).key"))
    }

    private func ask(
        _ path: String, method: String = "GET", token: String? = TestServer.token, as shown: Credential? = nil
    ) throws -> TLSClient.Response {
        let client = try TLSClient(
            port: try XCTUnwrap(port.port), certificate: shown?.certificate, key: shown?.key)
        defer { client.close() }
        client.send(
            "\(method) \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                + (token.map { "Authorization: Bearer \($0)\r\n" } ?? "") + "\r\n")
        return try client.response(headOnly: method == "HEAD")
    }

    func testWhoIsLetIn() throws {
        for path in ["/healthz", "/metrics", "/pods", "/nothing"] {
            let answer = try ask(path, token: nil)
            XCTAssertEqual(answer.status, 401, path)
            XCTAssertEqual(answer.text, "Unauthorized")
            XCTAssertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        }
        XCTAssertEqual(try ask("/healthz", token: "wrong").status, 401)
        XCTAssertEqual(try ask("/healthz").text, "GET healthz as kubernetes-admin")
        let admin = try ask("/stats/summary?a=b", token: nil, as: try credential("admin"))
        XCTAssertEqual(admin.text, "GET stats/summary as kubernetes-admin")
        let other = try CertificateAuthority.create(commonName: "other").issue(
            commonName: "x", organizations: ["system:masters"], usage: .client)
        XCTAssertEqual(try ask("/healthz", token: nil, as: other).status, 401, "another authority's certificate")
        let proxy = try credential("front-proxy-client")
        XCTAssertEqual(try ask("/healthz", token: nil, as: proxy).status, 401, "nobody's word counts for others here")
    }

    /// The words of a kubelet for who has a name, but no permission.
    func testWhatIsRefused() throws {
        let user = try CertificateAuthority(credential: try credential("ca")).issue(commonName: "jane", usage: .client)
        for (method, path, verb, subresources) in [
            ("GET", "/metrics", "get", "metrics"), ("GET", "/metrics/cadvisor", "get", "metrics"),
            ("GET", "/stats/summary", "get", "stats"), ("GET", "/logs/x", "get", "log"),
            ("GET", "/pods", "get", "pods proxy"), ("GET", "/runningpods/", "get", "pods proxy"),
            ("GET", "/healthz", "get", "healthz proxy"), ("GET", "/configz", "get", "configz proxy"),
            ("GET", "/podsx", "get", "proxy"), ("POST", "/run/a/b/c", "create", "proxy"),
            ("GET", "/containerLogs/a/b/c", "get", "proxy"), ("HEAD", "/metrics", "", "metrics"),
            ("GET", "/metrics%2f..%2frun", "get", "metrics"), ("POST", "/checkpoint/a/b/c", "create", "checkpoint"),
        ] {
            let answer = try ask(path, method: method, token: nil, as: user)
            XCTAssertEqual(answer.status, 403, path)
            guard method != "HEAD" else { continue }
            XCTAssertEqual(
                answer.text,
                "Forbidden (user=jane, verb=\(verb), resource=nodes, subresource(s)=[\(subresources)])\n", path)
        }
    }

    func testFineGrainedPermissions() throws {
        let user = try CertificateAuthority(credential: try credential("ca")).issue(commonName: "jane", usage: .client)
        let rbac = "/apis/rbac.authorization.k8s.io/v1"
        func allow(_ subresource: String) throws {
            _ = try server.inProcess(
                "POST", "\(rbac)/clusterroles",
                [
                    "metadata": ["name": .string(subresource)],
                    "rules": [
                        ["apiGroups": [""], "resources": [.string("nodes/\(subresource)")], "verbs": ["get"]]
                    ],
                ])
            _ = try server.inProcess(
                "POST", "\(rbac)/clusterrolebindings",
                [
                    "metadata": ["name": .string(subresource)],
                    "roleRef": [
                        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(subresource),
                    ], "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"]],
                ])
        }
        func status(_ path: String) throws -> Int { try ask(path, token: nil, as: user).status }
        try allow("configz")
        try server.eventually("configz is allowed") { try status("/configz") == 200 }
        XCTAssertEqual(try status("/healthz"), 403)
        try allow("healthz")
        try server.eventually("healthz is allowed") { try status("/healthz") == 200 }
        XCTAssertEqual(try status("/pods"), 403)
        try allow("proxy")
        try server.eventually("pods are allowed with all else") { try status("/pods") == 200 }
        XCTAssertEqual(try status("/metrics"), 403, "figures need a permission of their own")
    }

    func testAnswersInWords() throws {
        let missing = try ask("/missing")
        XCTAssertEqual(missing.status, 404)
        XCTAssertEqual(missing.text, "pod does not exist")
        XCTAssertEqual(missing.headers["content-type"], "text/plain; charset=utf-8")
        let method = try ask("/pods", method: "PUT")
        XCTAssertEqual(method.status, 405)
        XCTAssertEqual(method.text, "Method Not Allowed")
        XCTAssertEqual(method.headers["allow"], "GET")
    }

    /// The certificate is for the node's name and addresses, and follows them.
    func testCertificate() throws {
        let authority = CertificateAuthority(credential: try credential("ca"))
        let addresses = Mutex<JSON>([["type": "InternalIP", "address": "192.0.2.7"]])
        let certificate = NodeCertificate(node: "alpha", authority: authority) { addresses.withLock { $0 } }
        XCTAssertNil(certificate.current(now: 1000), "nothing is made before a client comes")
        let first = try certificate.make(now: 1000)
        XCTAssertTrue(certificate.current(now: 1059) === first)
        XCTAssertNil(certificate.current(now: 1060), "it is looked at again")
        XCTAssertTrue(try certificate.make(now: 1060) === first)
        addresses.withLock { $0 = [["type": "InternalIP", "address": "192.0.2.8"]] }
        let second = try certificate.make(now: 1120)
        XCTAssertFalse(second === first)
        XCTAssertFalse(try certificate.make(now: 1120 + NodeCertificate.age) === second)
        XCTAssertEqual(
            NodeCertificate.names("alpha", ["type": "x"]), ["DNS:alpha", "DNS:localhost", "IP:127.0.0.1"])
    }

    /// A port that another program has does no harm, and is taken when it is free.
    func testBusyPort() throws {
        let taken = try SocketAddress(host: "127.0.0.1", port: 0).listen()
        let number = SocketAddress.port(of: taken)
        let waiting = NodePort(
            .init(node: "alpha", address: SocketAddress(host: "127.0.0.1", port: number)), server: door,
            pipeline: try XCTUnwrap(server.plugin.provider.pipeline),
            authority: CertificateAuthority(credential: try credential("ca")))
        defer { waiting.close() }
        waiting.open()
        XCTAssertNil(waiting.port)
        close(taken)
        waiting.open()
        XCTAssertEqual(waiting.port, number)
        XCTAssertEqual(
            HTTPServerError.addressInUse(address: "a:1").cause, "a:1 is in use by another process")
    }

    func testPlaces() {
        XCTAssertNil(NodePort.Place(["node": "alpha", "port": 0]))
        XCTAssertNil(NodePort.Place(["port": 10250]))
        XCTAssertEqual(
            NodePort.Place(["node": "alpha", "address": "192.0.2.1", "port": 10250]),
            .init(node: "alpha", address: SocketAddress(host: "192.0.2.1", port: 10250)))
    }
}

/// Says what it was asked.
private final class FakeNode: APIExtensionProvider {
    func routes() throws -> JSON {
        let node = "/api/v1/nodes/{node}/proxy"
        return [
            "routes": [
                ["methods": ["POST"], "path": .string("\(node)/run/{namespace}/{name}/{container}")],
                ["methods": ["GET"], "path": .string("\(node)/{rest...}"), "upgrade": "none"],
            ]
        ]
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        close(stream)
        let rest = request["parameters"]["rest"].stringValue ?? ""
        guard rest != "missing" else {
            let status: JSON = [
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "pod does not exist",
                "reason": "NotFound", "code": 404,
            ]
            return [
                "status": 404, "headers": ["Content-Type": "application/json"], "stream": false,
                "body": .string(status.serializedString()),
            ]
        }
        let user = request["user"]["name"].stringValue ?? ""
        return ["status": 200, "body": .string("\(request["method"].stringValue ?? "") \(rest) as \(user)")]
    }
}
