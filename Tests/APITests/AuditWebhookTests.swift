import Glibc
import Objects
import PluginKit
import XCTest

@testable import API

/// Events that go to another server.
final class AuditWebhookTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-audit-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    override func tearDownWithError() throws { try FileTree.remove(directory) }

    private func write(_ name: String, _ text: String) throws -> String {
        try AtomicFile.write(Array(text.utf8), to: "\(directory)/\(name)", isDurable: false)
        return "\(directory)/\(name)"
    }

    private func kubeconfig(_ receiver: JSONServer) throws -> String {
        _ = try write("ca.crt", receiver.authority)
        _ = try write("token", "secret\n")
        return try write(
            "hook.yaml",
            """
            apiVersion: v1
            kind: Config
            current-context: audit
            clusters:
            - name: other
              cluster: {server: "https://192.0.2.1"}
            - name: receiver
              cluster: {server: "\(receiver.url("/events"))", certificate-authority: ca.crt}
            users:
            - name: me
              user: {tokenFile: token}
            contexts:
            - name: audit
              context: {cluster: receiver, user: me}
            """)
    }

    private func start(_ receiver: JSONServer, _ change: (inout JSON) -> Void = { _ in }) throws -> TestServer {
        let policy = try write(
            "policy.yaml",
            """
            apiVersion: audit.k8s.io/v1
            kind: Policy
            omitStages: [RequestReceived]
            rules: [{level: Request, omitManagedFields: true, resources: [{resources: [configmaps]}], verbs: [create]}]
            """)
        var webhook: JSON = ["configFile": .string(try kubeconfig(receiver)), "batchMaximumWait": "10ms"]
        change(&webhook)
        return try TestServer(options: ["audit": ["policyFile": .string(policy), "webhook": webhook]])
    }

    private func create(_ server: TestServer, _ name: String) throws {
        let object: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
        XCTAssertEqual(try server.request("POST", "/api/v1/namespaces/default/configmaps", object).status, 201)
    }

    func testEventsComeInLists() throws {
        let receiver = try JSONServer { _ in [:] }
        defer { try? receiver.stop() }
        let server = try start(receiver)
        try create(server, "a")
        try server.eventually("it comes") { receiver.questions.count == 1 }
        let question = receiver.questions[0]
        XCTAssertEqual(question.path, "/events")
        XCTAssertEqual(question.authorization, "Bearer secret")
        XCTAssertEqual(question.body.kind, "EventList")
        XCTAssertEqual(question.body.apiVersion, "audit.k8s.io/v1")
        XCTAssertEqual(question.body["items"][0]["objectRef"]["name"], "a")
        XCTAssertEqual(question.body["items"][0]["stage"], "ResponseComplete")
        XCTAssertThrowsError(try AtomicFile.read(server.directory + "/audit.log"), "without a path there is no file")
        try server.stop()
    }

    func testWhatWaitsIsSentAtTheEnd() throws {
        let receiver = try JSONServer { _ in [:] }
        defer { try? receiver.stop() }
        let server = try start(receiver) { $0["batchMaximumWait"] = "1h" }
        for name in ["a", "b", "c"] { try create(server, name) }
        XCTAssertEqual(receiver.questions.count, 0, "the batch is not full")
        try server.stop()
        XCTAssertEqual(receiver.questions.count, 1)
        XCTAssertEqual(receiver.questions[0].body["items"].arrayValue.map { $0["objectRef"]["name"] }, ["a", "b", "c"])
    }

    func testAFailureIsTriedAgain() throws {
        let receiver = try JSONServer()
        defer { try? receiver.stop() }
        let server = try start(receiver) { $0["initialBackoff"] = "1ms" }
        try create(server, "a")
        try server.eventually("it was tried") { !receiver.questions.isEmpty }
        receiver.answer { _ in [:] }
        try create(server, "b")
        try server.eventually("it goes on") {
            receiver.questions.contains { $0.body["items"].arrayValue.contains { $0["objectRef"]["name"] == "b" } }
        }
        try server.stop()
    }

    func testBatching() throws {
        let receiver = try JSONServer { _ in [:] }
        defer { try? receiver.stop() }
        let file = try kubeconfig(receiver)
        let settings = try AuditWebhookSettings([
            "configFile": .string(file), "throttleRate": 10, "throttleBurst": 2, "initialBackoff": "10s",
        ])
        XCTAssertEqual(settings.batchMaximumSize, 400)
        XCTAssertEqual(settings.batchMaximumWait, 30_000_000_000)
        let second: UInt64 = 1_000_000_000
        var batching = AuditBatching(settings, now: second)
        XCTAssertEqual(batching.free(second), second)
        batching.take(second)
        batching.take(second)
        let next = batching.free(second)
        XCTAssertEqual(Double(next - second) / 1e9, 0.1, accuracy: 0.001, "ten a second once the burst is over")
        XCTAssertEqual(batching.free(2 * second), 2 * second)
        XCTAssertEqual((1...3).map { batching.delay($0) }, [10 * second, 15 * second, 22_500_000_000])
        XCTAssertTrue(UpstreamError("no answer").mayPass)
        XCTAssertTrue(UpstreamError("busy", status: 429).mayPass)
        XCTAssertFalse(UpstreamError("no such path", status: 404).mayPass, "the same again is refused again")
    }

    func testWhatCannotBeIsRefused() throws {
        let rows = [
            ("clusters: [{name: a, cluster: {server: 'http://a'}}]", "it must be an https URL"),
            (
                "clusters: [{name: a, cluster: {server: 'https://a', insecure-skip-tls-verify: true}}]",
                "insecure-skip-tls-verify is not supported"
            ),
            (
                "clusters: [{name: a, cluster: {server: 'https://a'}}]\nusers: [{name: u, user: {client-key-data: eA==}}]",
                "must be given together"
            ),
            ("clusters: [{name: a, cluster: {server: 'https://a', certificate-authority-data: '?'}}]", "is no base 64"),
        ]
        for (text, message) in rows {
            XCTAssertThrowsError(try KubeconfigConnection(file: try write("bad.yaml", text)), message) {
                XCTAssertTrue("\($0)".contains(message), "\($0)")
                XCTAssertTrue("\($0)".contains("bad.yaml"), "\($0)")
            }
        }
    }
}
